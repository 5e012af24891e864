"""dlib's network that tells faces apart, a ResNet that was trained on three million faces."""

from collections.abc import Iterable, Iterator

import numpy as np

from headstart.arrays import Features, Pixels
from headstart.data.faces import NETWORK, weights_file


class DlibEngine:
    """Runs dlib's network on aligned faces of 150 x 150 pixels, on the CPU."""

    name = "dlib"
    precision = "float32"
    batch_size = 8
    streams = 1

    def __init__(self) -> None:
        import dlib

        self._network = dlib.face_recognition_model_v1(str(weights_file(NETWORK)))

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """See `Engine.run`."""
        return map(self.infer, batches)

    def infer(self, batch: Pixels) -> Features:
        """See `Engine.infer`."""
        found = self._network.compute_face_descriptor([np.ascontiguousarray(one) for one in batch])
        return np.array(found, dtype=np.float32).reshape(len(batch), -1)
