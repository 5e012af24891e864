"""Step 5, train the head, with what is found out about the training images on the way."""

from dataclasses import dataclass

from headstart.classifier import Classifier
from headstart.commands.clock import Clock
from headstart.commands.label_audit import doubtful_training_labels
from headstart.commands.leakage import groups_of, measure_leakage
from headstart.commands.recording import series_of
from headstart.commands.studying import learning_curve_of
from headstart.data.images import Images
from headstart.options import TrainOptions
from headstart.record import Leakage, Series
from headstart.record.data_check import LabelError
from headstart.record.learning_curve import LearningCurve
from headstart.watching import Watcher


@dataclass(frozen=True)
class FittedHead:
    """What is known once the head is fitted.

    Attributes:
        images: The images, whose training part is grouped by series.
        doubtful: Training images whose label is probably wrong.
        series: Series among them; None if there are none.
        leakage: What folds say with and without groups; None if it was not measured.
        curve: How accuracy would grow with more images; None if it was not measured.
    """

    images: Images
    doubtful: tuple[LabelError, ...]
    series: Series | None = None
    leakage: Leakage | None = None
    curve: LearningCurve | None = None


def fit_in_memory(
    model: Classifier, images: Images, options: TrainOptions, watcher: Watcher, clock: Clock
) -> FittedHead:
    """Fit the head to all features, and look for what they say about the images."""
    with clock.step("head"), watcher.stage("Training the head"):
        features, stored_as = model.features_of(images.train, warn=watcher.warn)
        found = series_of(images, features, model.extractor.layout)
        groups = groups_of(images.train, found)
        leakage = (
            measure_leakage(model, images.train, features, groups) if options.leakage else None
        )
        if found:
            images = images.with_training_groups(found.groups)
        model.fit_features(images.train, features, stored_as, val=images.val)
        doubtful = doubtful_training_labels(model, images.train)
    curve = learning_curve_of(model, images, features, options, watcher, clock)
    series = found.series if found else None
    if series:
        watcher.warn(series.message)
    if groups and groups.message:
        watcher.warn(groups.message)
    return FittedHead(images, doubtful, series, leakage, curve)


def fit_streamed(model: Classifier, images: Images, watcher: Watcher, clock: Clock) -> FittedHead:
    """Fit the head to features that do not fit in memory."""
    with clock.step("head"), watcher.stage("Training the head") as progress:
        model.fit_streamed(images.train, progress=progress)
        doubtful = doubtful_training_labels(model, images.train)
    groups = groups_of(images.train, None)
    if groups and groups.message:
        watcher.warn(groups.message)
    return FittedHead(images, doubtful)
