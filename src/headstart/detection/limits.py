"""What a new detector keeps of its training images, to tell whether other images are like them."""

import numpy as np

from headstart.data.images import ImageSet
from headstart.evaluation.known_images import MAX_POINTS, MIN_IMAGES
from headstart.evaluation.training_images import known_images, traits_of
from headstart.features.extractor import FeatureExtractor
from headstart.predictor.limits import Limits
from headstart.watching import Watcher


def limits_of(
    train: ImageSet, extractor: FeatureExtractor, *, seed: int, watcher: Watcher
) -> Limits:
    """Return the limits of a detector, for which its backbone looks at the images once more.

    Of very many images it looks at a sample, because no more are kept.

    Args:
        train: The training images.
        extractor: The extractor of the detector.
        seed: Random seed.
        watcher: Follows the stage.
    """
    known = None
    if len(train) >= MIN_IMAGES:
        rows = np.random.default_rng(seed).permutation(len(train))[:MAX_POINTS]
        sample = train.take(np.sort(rows))
        with watcher.stage("Extracting features") as progress:
            features, _ = extractor.of_files(sample.files, progress=progress, warn=watcher.warn)
            known = known_images(sample, features, extractor, seed=seed)
    return Limits(known=known, traits=traits_of(train, extractor.preprocess.contract, seed=seed))
