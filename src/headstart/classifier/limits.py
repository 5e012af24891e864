"""What a new model keeps of its training to know its limits."""

from headstart.arrays import Features, Probabilities, Targets
from headstart.data.images import ImageSet
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.training_images import known_images, traits_of
from headstart.features.extractor import FeatureExtractor
from headstart.heads.problem import HeadFit
from headstart.predictor.limits import Limits
from headstart.task import Task


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
    traits = traits_of(train, extractor.preprocess.contract, seed=seed)
    return Limits(calibration, known, traits)


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
