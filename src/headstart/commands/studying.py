"""What train measures besides the six steps, and its pictures in the report."""

from headstart.arrays import Features, Probabilities
from headstart.classifier import Classifier
from headstart.commands.clock import Clock
from headstart.commands.earlier import EarlierRun
from headstart.commands.label_audit import audit_labels
from headstart.data.images import Images, ImageSet
from headstart.options import TrainOptions
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation
from headstart.record.comparison import ComparisonRecord
from headstart.record.data_check import LabelError
from headstart.record.label_audit import LabelAudit
from headstart.record.learning_curve import LearningCurve
from headstart.record.limits import LimitsResult
from headstart.report.pictures import Gallery, Pictures, label_gallery
from headstart.watching import Watcher


def learning_curve_of(
    model: Classifier,
    images: Images,
    features: Features,
    options: TrainOptions,
    watcher: Watcher,
    clock: Clock,
) -> LearningCurve | None:
    """Measure the learning curve of the frozen model, if it was asked for."""
    if not options.learning_curve:
        return None
    with clock.step("curve"), watcher.stage("Measuring the learning curve"):
        return model.learning_curve(images.train, features, images.train.groups)


def audit_of(
    model: Predictor,
    reported: tuple[ImageSet, Probabilities | None],
    test: Evaluation | None,
    validation: Evaluation | None,
    doubtful: tuple[LabelError, ...],
) -> LabelAudit | None:
    """Return the labels that the model doubts, on the part that is reported."""
    shown, probabilities = reported
    evaluation = test or validation
    if evaluation is None or probabilities is None:
        return None
    part = "test" if test else "validation"
    return audit_labels(model, (shown, probabilities), evaluation, part, doubtful)


def limits_of(
    model: Predictor, images: ImageSet, probabilities: Probabilities | None, *, calibrated: bool
) -> LimitsResult | None:
    """Measure what the model knows about its own limits, on the part that is reported.

    Args:
        model: The model.
        images: The images of the part.
        probabilities: Their probabilities; None if nothing was evaluated.
        calibrated: Whether the limits were chosen on these images, so that they prove nothing.
    """
    if probabilities is None or calibrated:
        return None
    return model.measure_limits(images, probabilities)


def comparison_of(
    earlier: EarlierRun | None,
    model: Predictor,
    images: Images,
    probabilities: Probabilities | None,
    watcher: Watcher,
) -> ComparisonRecord | None:
    """Compare the model with an earlier run on the test part, if that was asked for."""
    if earlier is None or probabilities is None:
        return None
    return earlier.compare(model, images.test, probabilities, images.name, watcher)


def doubts_of(audit: LabelAudit | None, pictures: Pictures) -> Gallery | None:
    """Return the images of the reported part whose label may be wrong, for the report."""
    if audit is None or not audit.suspects:
        return None
    return label_gallery(audit.suspects, pictures, audit.message)
