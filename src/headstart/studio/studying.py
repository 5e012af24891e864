"""The full head on all labels, and what more images would bring."""

from dataclasses import dataclass

from headstart.classifier import Classifier
from headstart.evaluation.learning_curve import measure_learning_curve
from headstart.predictor.predictor import Predictor
from headstart.record.learning_curve import LearningCurve
from headstart.studio.labels import State
from headstart.studio.probing import Probe, linear_choice, measure, verdict_of
from headstart.studio.workbench import Workbench
from headstart.watching import Watcher


@dataclass(frozen=True)
class Study:
    """A model with the full head, measured on folds: the test part is not read.

    Attributes:
        lesson: The last change of labels that it has seen, see `State.lesson`.
        predictor: The model.
        verdict: How good it is, in words; "" if there are too few images for folds.
        curve: How the accuracy of a linear head grows with the number of images.
        more: How many images of the class whose images would help most would double it, and its
            name; None if that cannot be told.
    """

    lesson: int
    predictor: Predictor
    verdict: str
    curve: LearningCurve
    more: tuple[int, str] | None


def study(workbench: Workbench, labels: State, probe: Probe | None, watcher: Watcher) -> Study:
    """Fit the head that `train` fits, and measure the learning curve of a linear one.

    Args:
        workbench: Knows the features.
        labels: The labels of a project, of whole images.
        probe: The last probe, if there is one.
        watcher: Follows the stages.

    Raises:
        DataError: There are no images of two classes.
    """
    with watcher.stage("Training the head"):
        images = workbench.labelled(labels)
        train = images.train
        model = Classifier(workbench.extractor.backbone, classes=images.classes)
        model.extractor = workbench.extractor
        features = workbench.features_by_sha256(train.sha256s)
        model.fit_features(train, features, workbench.stored_as)
    evaluation = None
    if held_out := model.held_out_probabilities():
        rows, probabilities = held_out
        evaluation = measure(train.take(rows), probabilities)
    with watcher.stage("Measuring what more images would bring") as advance:
        choice = linear_choice(workbench, images, probe)
        curve = measure_learning_curve(
            choice, features, train.labels, train.groups, train.classes, progress=advance
        )
    more = None
    if curve.gains:
        number = images.classes.index(curve.gains[0].name)
        more = int((train.labels == number).sum()), curve.gains[0].name
    return Study(
        lesson=labels.lesson,
        predictor=model.predictor,
        verdict=verdict_of(images.task, evaluation),
        curve=curve,
        more=more,
    )
