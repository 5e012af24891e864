"""What a new model keeps of its training to know its limits."""

import numpy as np

from headstart.arrays import Features, Floats, Probabilities, Targets
from headstart.data.images import ImageSet
from headstart.data.traits import trait_values
from headstart.errors import DataError
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.known_images import MIN_IMAGES, KnownImages
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import HeadFit
from headstart.predictor.limits import Limits
from headstart.task import Task

_FOLDS = 5
# Decoding so many images takes a fraction of a second.
_MEASURED = 100


def limits_of(
    fit: HeadFit, train: ImageSet, features: Features, extractor: FeatureExtractor, *, seed: int
) -> Limits:
    """Return the limits of a model with a frozen backbone.

    Args:
        fit: The head, with its held-out scores.
        train: The training images.
        features: Their features, (images, width).
        extractor: What has computed them.
        seed: Random seed.
    """
    calibration = None
    if fit.held_out is not None and fit.truth is not None:
        probabilities = train.task.probabilities(fit.held_out.logits, fit.temperature)
        calibration = calibration_set(train.task, probabilities, fit.truth, seed=seed)
    known = known_images(train, features, extractor, seed=seed)
    return Limits(calibration, known, _traits(train, extractor, seed))


def calibration_set(
    task: Task, probabilities: Probabilities, truth: Targets, *, seed: int
) -> CalibrationSet | None:
    """Return the set of held-out predictions; None if labels do not exclude each other.

    Args:
        task: The kind of label.
        probabilities: Calibrated probabilities of held-out images, (images, classes).
        truth: Their encoded labels.
        seed: Random seed of the sample that is kept.
    """
    exclusive = task.activation == "softmax"
    return CalibrationSet.of(probabilities, truth, seed=seed) if exclusive else None


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


def _traits(train: ImageSet, extractor: FeatureExtractor, seed: int) -> Floats:
    """Return the traits of a sample of the training images."""
    rows = np.random.default_rng(seed).permutation(len(train))[:_MEASURED]
    return trait_values(train.take(rows).paths, extractor.preprocess.contract)


def _label(images: ImageSet, row: int) -> str:
    """Return the label of an image as text; several labels are separated by bars."""
    present = images.task.present(images.labels[row : row + 1])
    return "|".join(images.classes[number] for number in sorted(present))
