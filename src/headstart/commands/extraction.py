"""Step 3, extract features, and say what several passes of the network per image cost."""

import time

from headstart.classifier import Classifier
from headstart.cluster.machines import THIS_MACHINE, Machines
from headstart.data.images import Images
from headstart.data.orientations import orientation_count
from headstart.watching import Progress, Watcher


def extract_features(
    model: Classifier, images: Images, watcher: Watcher, machines: Machines = THIS_MACHINE
) -> None:
    """Compute the features of all images that are not in the store.

    With several orientations or scales, a note before it states the number of passes, and one after
    it their duration.
    """
    preprocess = model.backbone.preprocess
    sizes = [size for size in (preprocess.size, preprocess.small_size) if size]
    passes = orientation_count(preprocess.orientations) * len(sizes)
    if passes > 1:
        watcher.note(
            f"The network runs {passes} times per image, here and in every prediction: "
            f"--orientations {preprocess.orientations}, at {' and '.join(map(str, sizes))} pixels."
        )
    start = time.perf_counter()
    with watcher.stage("Extracting features") as progress:
        count = _Count(progress)
        machines.extract(model.extractor, images.all.files, progress=count, warn=watcher.warn)
    if passes > 1 and count.images:
        seconds = time.perf_counter() - start
        watcher.note(
            f"{passes} passes for each of {count.images:,} images took {seconds:.1f} s: "
            f"{seconds / count.images * 1000:.1f} ms per image."
        )


class _Count:
    """A progress that also keeps the number of images that were not in the store."""

    images = 0

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, done: int, total: int) -> None:
        """See `Progress`."""
        self.images = total
        self._progress(done, total)
