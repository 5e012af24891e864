"""The live probe: a linear head on stored features, refitted whenever labels change."""

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from headstart.arrays import Flags, Probabilities
from headstart.classifier.limits import limits_of
from headstart.data.images import Images, ImageSet
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import HeadFit, Problem, Strength
from headstart.heads.selection import select_head
from headstart.heads.specs import Head, LinearHead
from headstart.heads.trials import nearby
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation
from headstart.record.evaluation import SingleEvaluation
from headstart.record.multi import MultiEvaluation
from headstart.studio.labels import State
from headstart.studio.suggestions import alike, doubt, next_to_label, points_of
from headstart.studio.workbench import Workbench
from headstart.task import Task

_SUGGESTED = 60
"""Images that are suggested at a time."""


@dataclass(frozen=True)
class Guess:
    """The prediction for an image.

    Attributes:
        labels: The most probable class; with several labels per image, those that it has.
        probability: The calibrated probability of the most probable class.
    """

    labels: tuple[str, ...]
    probability: float


@dataclass(frozen=True)
class Doubt:
    """A label that is probably wrong.

    Attributes:
        image: The image.
        label: Its label; with several labels per image, such as "edema present".
        suggested: The label that the model predicts.
        about: With several labels per image, the name of the label; "" otherwise.
    """

    image: str
    label: str
    suggested: str
    about: str = ""


@dataclass(frozen=True)
class Probe:
    """A model of the labels at some time.

    Attributes:
        lesson: The last change of labels that it has seen, see `State.lesson`.
        train: The images that it was fitted on.
        tested: The number of labelled images that are kept aside for *Finish*.
        fit: The head.
        predictor: The model, which knows nothing of its limits: see `with_limits`.
        evaluation: Its results on those images, each predicted by a head that was not fitted on it;
            None if there are too few for folds.
        unlabelled: The images without a label.
        probabilities: Their probabilities, (images, classes).
        doubts: Labels that are probably wrong, the most suspect first.
    """

    lesson: int
    train: ImageSet
    tested: int
    fit: HeadFit
    predictor: Predictor
    evaluation: Evaluation | None
    unlabelled: tuple[str, ...]
    probabilities: Probabilities
    doubts: tuple[Doubt, ...]

    @property
    def guesses(self) -> dict[str, Guess]:
        """Its predictions for the images without a label."""
        classes, best = self.predictor.classes, self.probabilities.max(axis=1).tolist()
        rows = self._predicted.tolist()
        return {
            name: Guess(tuple(itertools.compress(classes, row)), probability)
            for name, row, probability in zip(self.unlabelled, rows, best, strict=True)
        }

    @property
    def _predicted(self) -> Flags:
        """Which labels are predicted, (images, classes)."""
        if thresholds := self.predictor.thresholds:
            return np.asarray(self.probabilities >= np.array(thresholds.values))
        best = self.probabilities.argmax(axis=1)
        return np.asarray(np.arange(self.probabilities.shape[1]) == best[:, np.newaxis])

    @property
    def verdict(self) -> str:
        """How good it is, in words; "" if there are too few images for folds."""
        return verdict_of(self.predictor.task, self.evaluation)

    @property
    def score(self) -> float | None:
        """The main metric, 0 to 1: accuracy or, with several labels per image, macro AUROC."""
        match self.evaluation:
            case SingleEvaluation():
                return self.evaluation.accuracy
            case MultiEvaluation():
                return self.evaluation.auroc.macro.value
        return None

    def with_limits(self, workbench: Workbench) -> Predictor:
        """Return the model with what it knows of its limits, to tell unknown images."""
        features = workbench.features_by_sha256(self.train.sha256s)
        limits = limits_of(self.fit, self.train, features, workbench.extractor, seed=0)
        return replace(self.predictor, limits=limits)


@dataclass(frozen=True)
class Suggestions:
    """Images without a label.

    Attributes:
        next: Those to label next, the most useful ones first.
        alike: Groups of images that look alike and have the same prediction, the largest one
            first.
    """

    next: tuple[str, ...]
    alike: tuple[tuple[str, ...], ...]


NO_SUGGESTIONS = Suggestions((), ())
"""Nothing is left to label."""


@dataclass(frozen=True)
class _Refit:
    """A linear head with a regularisation strength near that of the probe before it."""

    kind: ClassVar[str] = "linear"

    strength: Strength

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        return select_head(problem, ["linear"], strengths=nearby(self.strength), seed=seed)


def fit_probe(workbench: Workbench, labels: State, before: Probe | None = None) -> Probe:
    """Fit a linear head to all labels, as far as features are known.

    Args:
        workbench: Knows the features.
        labels: The labels of a project.
        before: The last probe, whose regularisation is a good guess for this one.

    Raises:
        DataError: There are no images of two classes.
    """
    images = workbench.labelled(labels)
    train, task = images.train, images.task
    features = workbench.features_by_sha256(train.sha256s)
    fit = linear_choice(workbench, images, before).fit(features, train.labels, train.groups)
    predictor = Predictor(
        task=task,
        classes=images.classes,
        extractor=workbench.extractor,
        features=fit.features,
        stored_as=workbench.stored_as,
        head=fit.head,
        temperature=fit.temperature,
        thresholds=fit.thresholds,
    )
    evaluation, doubts = None, tuple[Doubt, ...]()
    if fit.held_out:
        probabilities = task.probabilities(fit.held_out.logits, fit.temperature)
        held_out = train.take(fit.held_out.rows)
        evaluation, doubts = measure(held_out, probabilities), doubts_of(held_out, probabilities)
    unlabelled = workbench.unlabelled(labels)
    guessed = np.empty((0, len(images.classes)))
    if unlabelled:
        columns = workbench.last_layer(workbench.features_of(unlabelled))
        guessed = task.probabilities(fit.head.logits(columns), fit.temperature)
    return Probe(
        lesson=labels.lesson,
        train=train,
        tested=len(images.test),
        fit=fit,
        predictor=predictor,
        evaluation=evaluation,
        unlabelled=tuple(unlabelled),
        probabilities=guessed,
        doubts=doubts,
    )


def measure(held_out: ImageSet, probabilities: Probabilities) -> Evaluation:
    """Evaluate probabilities of images, each by a head that was not fitted on it."""
    labels, classes = held_out.labels, held_out.classes
    return held_out.task.evaluate(probabilities, labels, classes, groups=held_out.given_groups)


def verdict_of(task: Task, evaluation: Evaluation | None) -> str:
    """Return an evaluation in words; "" without one."""
    if evaluation is None:
        return ""
    summary = task.summarise(evaluation, "labelled")
    return f"{summary.headline}{summary.context}"


def doubts_of(held_out: ImageSet, probabilities: Probabilities) -> tuple[Doubt, ...]:
    """Return the labels that are probably wrong, the most suspect first."""
    names = held_out.names
    suspects = held_out.task.suspects(probabilities, held_out.labels, held_out.classes)
    return tuple(Doubt(names[one.row], one.label, one.suggested, one.about) for one in suspects)


def linear_choice(workbench: Workbench, images: Images, before: Probe | None) -> HeadChoice:
    """Return the choice of a linear head on the last layer.

    Args:
        workbench: Knows the features.
        images: The images of which some are to be learnt from.
        before: A probe, around whose regularisation alone is searched if it has the same classes.
    """
    head: Head = LinearHead()
    if before and _is_alike(before, images):
        head = _Refit(before.fit.members[0].strength)
    layout = workbench.extractor.layout
    return HeadChoice(head, ("last",), layout, len(images.classes), images.task)


def _is_alike(before: Probe, images: Images) -> bool:
    """Return whether the regularisation of a probe is a good guess for other images."""
    predictor = before.predictor
    return (predictor.task.name, predictor.classes) == (images.task.name, images.classes)


def suggest(workbench: Workbench, labels: State, probe: Probe | None) -> Suggestions:
    """Return which images to label next, and which look alike.

    Args:
        workbench: Knows the features.
        labels: The labels of a project.
        probe: The model of the same labels, if there is one.
    """
    names = workbench.unlabelled(labels)
    if not names:
        return NO_SUGGESTIONS
    points = points_of(workbench.last_layer(workbench.features_of(names)))
    doubts = doubt(probe.probabilities, exclusive=labels.kind == "single") if probe else None
    chosen = next_to_label(points, doubts, _SUGGESTED)
    members: dict[tuple[int, tuple[str, ...]], list[str]] = defaultdict(list)
    guesses = probe.guesses if probe else {}
    for name, group in zip(names, alike(points).tolist(), strict=True):
        taken = guesses[name].labels if name in guesses else ()
        members[group, taken].append(name)
    groups = sorted(members.values(), key=len, reverse=True)
    return Suggestions(tuple(names[row] for row in chosen.tolist()), tuple(map(tuple, groups)))
