"""A backbone that gives features: of files through the store, of images in memory directly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.backbones.backbone import Backbone
from headstart.backbones.pooling import FeatureLayout, StagePooling
from headstart.data.checks import Progress
from headstart.engines.engine import Engine, choose_device, choose_precision, make_engine
from headstart.features.extraction import stacked, stored_features
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore
from headstart.options import DecodeLimits, DeviceOption, PrecisionOption

Features = np.ndarray[Any, np.dtype[np.float32]]


class FeatureExtractor:
    """Gives the features of all stages for images.

    Attributes:
        backbone: The network, frozen.
        layout: What each column of the features is.
        device: "cpu" or "cuda".
        precision: "bf16" or "float32".
        fingerprint: What the features depend on.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        cache: Path,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        limits: DecodeLimits | None = None,
    ) -> None:
        self.backbone = backbone
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.layout: FeatureLayout
        self._network = StagePooling(backbone)
        self.layout = self._network.layout()
        self.fingerprint = Fingerprint(
            backbone.architecture,
            backbone.weights_sha256(),
            self.layout.blocks,
            backbone.preprocess,
            self.precision,
        )
        self._cache = cache
        self._limits = limits

    @cached_property
    def engine(self) -> Engine:
        """The engine, built when the first image needs it."""
        return make_engine(
            self._network.eval(),
            size=self.backbone.preprocess.size,
            device=self.device,
            precision=self.precision,
            cache=self._cache / "networks",
            key=self.fingerprint.key,
        )

    @property
    def stored_as(self) -> str:
        """The precision that the store keeps these features in."""
        return FeatureStore(self._cache / "features").table(self.fingerprint).kind

    def of_files(
        self,
        images: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> tuple[Features, str]:
        """Give the features of files, given as (path, sha256), through the store.

        Returns:
            Features of shape (images, layout.width), and the precision that they are stored in.
        """
        return stored_features(
            images,
            store=FeatureStore(self._cache / "features"),
            fingerprint=self.fingerprint,
            engine=lambda: self.engine,
            preprocess=self.backbone.preprocess,
            limits=self._limits,
            progress=progress,
            warn=warn,
        )

    def of_images(self, images: Iterable[Image.Image]) -> Iterator[Features]:
        """Give the features of decoded images ("RGB" or "L"), a batch at a time, unstored."""
        pixels = map(self.backbone.preprocess.pixels, images)
        return self.engine.run(stacked(pixels, self.engine.batch_size))
