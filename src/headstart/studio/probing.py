"""The live probe: a linear head on stored features, refitted whenever labels change."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Probabilities
from headstart.classifier import Classifier
from headstart.heads.specs import LinearHead
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation
from headstart.studio.labels import Item
from headstart.studio.suggestions import alike, next_to_label
from headstart.studio.workbench import Workbench

_SUGGESTED = 60
"""Images that are suggested at a time."""


@dataclass(frozen=True)
class Guess:
    """What a model takes an image for.

    Attributes:
        label: The most probable class.
        probability: Its calibrated probability.
    """

    label: str
    probability: float


@dataclass(frozen=True)
class Doubt:
    """A label that is probably wrong.

    Attributes:
        image: The image.
        label: Its label.
        suggested: What the model takes it for.
    """

    image: str
    label: str
    suggested: str


@dataclass(frozen=True)
class Probe:
    """A model of the labels at some time.

    Attributes:
        number: The number of acts that it has seen.
        images: How many images it was fitted on; those of the test part are not among them.
        predictor: The model.
        evaluation: Its results on those images, each predicted by a head that was not fitted on it;
            None if there are too few for folds.
        unlabelled: The images without a label.
        probabilities: Their probabilities, (images, classes).
        doubts: Labels that are probably wrong, the most suspect first.
    """

    number: int
    images: int
    predictor: Predictor
    evaluation: Evaluation | None
    unlabelled: tuple[str, ...]
    probabilities: Probabilities
    doubts: tuple[Doubt, ...]

    @property
    def guesses(self) -> dict[str, Guess]:
        """What it takes the images without a label for."""
        classes, best = self.predictor.classes, self.probabilities.argmax(axis=1).tolist()
        return {
            name: Guess(classes[number], float(row[number]))
            for name, number, row in zip(self.unlabelled, best, self.probabilities, strict=True)
        }


@dataclass(frozen=True)
class Suggestions:
    """Images without a label.

    Attributes:
        next: Those to label next, the most useful ones first.
        alike: Groups of images that look alike, the largest one first.
    """

    next: tuple[str, ...]
    alike: tuple[tuple[str, ...], ...]


NO_SUGGESTIONS = Suggestions((), ())
"""Nothing is left to label."""


def fit_probe(workbench: Workbench, items: Mapping[str, Item], number: int) -> Probe:
    """Fit a linear head to all labels, as far as features are known.

    Args:
        workbench: Knows the features.
        items: The images of a project.
        number: The number of acts so far.

    Raises:
        DataError: There are no images of two classes.
    """
    images = workbench.labelled(items)
    train = images.train
    model = Classifier(
        workbench.extractor.backbone, LinearHead(), classes=images.classes, features="last"
    )
    model.extractor = workbench.extractor
    features = workbench.features_by_sha256(train.sha256s)
    model.fit_features(train, features, workbench.stored_as)
    evaluation, doubts = None, list[Doubt]()
    if found := model.held_out_probabilities():
        rows, probabilities = found
        held_out = train.take(rows)
        task = train.task
        evaluation = task.evaluate(
            *(probabilities, held_out.labels, held_out.classes), groups=held_out.given_groups
        )
        suspects = task.suspects(probabilities, held_out.labels, held_out.classes)
        names = held_out.names
        doubts = [Doubt(names[one.row], one.label, one.suggested) for one in suspects]
    names = _unlabelled(workbench, items)
    guessed = np.empty((0, len(images.classes)))
    if names:
        guessed = model.predictor.probabilities(workbench.features_of(names))
    return Probe(
        *(number, len(train), model.predictor, evaluation), tuple(names), guessed, tuple(doubts)
    )


def suggest(workbench: Workbench, items: Mapping[str, Item], probe: Probe | None) -> Suggestions:
    """Return which images to label next, and which look alike.

    Args:
        workbench: Knows the features.
        items: The images of a project.
        probe: The model of the labels of the same items, if there is one.
    """
    names = _unlabelled(workbench, items)
    if not names:
        return NO_SUGGESTIONS
    features = workbench.last_layer(workbench.features_of(names))
    chosen = next_to_label(features, probe.probabilities if probe else None, _SUGGESTED)
    members: dict[int, list[str]] = defaultdict(list)
    for name, group in zip(names, alike(features).tolist(), strict=True):
        members[group].append(name)
    groups = sorted(members.values(), key=len, reverse=True)
    return Suggestions(tuple(names[row] for row in chosen.tolist()), tuple(map(tuple, groups)))


def _unlabelled(workbench: Workbench, items: Mapping[str, Item]) -> list[str]:
    """Return the images without a label whose features are known."""
    return [
        name
        for name, item in items.items()
        if not item.labels and not item.dropped and workbench.has(name)
    ]
