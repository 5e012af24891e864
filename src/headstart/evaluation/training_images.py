"""What a new model keeps of its training images, to tell whether other images are like them."""

import numpy as np

from headstart.arrays import Features, Floats
from headstart.data.contract import PixelContract
from headstart.data.images import ImageSet
from headstart.data.traits import trait_values
from headstart.errors import DataError
from headstart.evaluation.known_images import MIN_IMAGES, KnownImages
from headstart.features.extractor import FeatureExtractor

_FOLDS = 5
# Decoding so many images takes a fraction of a second.
_MEASURED = 100


def known_images(
    train: ImageSet, features: Features, extractor: FeatureExtractor, *, seed: int
) -> KnownImages | None:
    """Return the training images as points; None if there are too few, or features are unpooled.

    Args:
        train: The training images.
        features: Their features as the store returns them, (images, width).
        extractor: What has computed them.
        seed: Random seed.
    """
    layout = extractor.layout
    if len(train) < MIN_IMAGES or "multilevel" not in layout.kinds:
        return None
    try:
        folds = train.folds(_FOLDS, seed=seed)
    except DataError:
        return None
    columns = layout.columns("multilevel")
    read, weights = features[:, columns], layout.weights()[columns]
    labels = [_label(train, row) for row in range(len(train))]
    return KnownImages.of(read, weights, train.sha256s, labels, folds, seed=seed)


def traits_of(train: ImageSet, contract: PixelContract, *, seed: int) -> Floats:
    """Return the traits of a sample of the training images, (images, traits)."""
    rows = np.random.default_rng(seed).permutation(len(train))[:_MEASURED]
    return trait_values(train.take(rows).paths, contract)


def _label(images: ImageSet, row: int) -> str:
    """Return the label of an image as text; several labels are separated by bars."""
    present = images.task.present(images.labels[row : row + 1])
    return "|".join(images.classes[number] for number in sorted(present))
