"""What a model answers: predictions, the thresholds behind them, and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from headstart.arrays import Probabilities


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image with one label.

    Attributes:
        image: The name of the image, as the user passed it.
        label: The most probable class.
        probability: The calibrated probability of that class, 0 to 1.
        top: The most probable classes with their probabilities, in descending order.
        probabilities: The calibrated probabilities of all classes in the model's order, (classes,).
    """

    image: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    probabilities: Probabilities = field(repr=False, compare=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {
            "image": self.image,
            "label": self.label,
            "probability": self.probability,
            "top": _ranked(self.top),
        }

    @property
    def answer(self) -> dict[str, str | float]:
        """The label as cells of a table, by the name of the column."""
        return {"label": self.label, "probability": self.probability}


@dataclass(frozen=True)
class MultiPrediction:
    """The prediction for one image with any number of labels.

    Attributes:
        image: The name of the image, as the user passed it.
        labels: The labels that reach their threshold, with their probabilities, in descending
            order; empty if none does.
        top: The most probable labels with their probabilities, in descending order.
        probabilities: The calibrated probability of each label in the model's order, (classes,).
    """

    image: str
    labels: tuple[tuple[str, float], ...]
    top: tuple[tuple[str, float], ...]
    probabilities: Probabilities = field(repr=False, compare=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {"image": self.image, "labels": _ranked(self.labels), "top": _ranked(self.top)}

    @property
    def answer(self) -> dict[str, str | float]:
        """The labels as cells of a table, by the name of the column."""
        return {"labels": "|".join(label for label, _ in self.labels)}


AnyTaskPrediction = Prediction | MultiPrediction
"""The prediction for one image, by the task."""


def _ranked(labels: Sequence[tuple[str, float]]) -> list[JsonValue]:
    return [{"label": label, "probability": probability} for label, probability in labels]


@dataclass(frozen=True)
class Thresholds:
    """The operating point of a model: which probability is enough.

    Attributes:
        purpose: What the thresholds were chosen for, such as "sensitivity=0.95".
        values: The smallest probability with which each label is predicted. For two classes: that
            of the positive class, and of the other one what is left.
        notes: Why the purpose is not reached, for each value; "" if it is.
        positive: The number of the positive one of two classes; None with several labels.
    """

    purpose: str
    values: tuple[float, ...]
    notes: tuple[str, ...]
    positive: int | None = None


@dataclass(frozen=True)
class Suspect:
    """A label that is probably wrong.

    Attributes:
        row: The position of the image in the set.
        label: The label that it has; with several labels per image, such as "edema present".
        suggested: The label that it probably should have.
        score: The probability of the suggested label minus that of the given one, 0 to 1.
        about: With several labels per image, the name of the label; "" otherwise.
    """

    row: int
    label: str
    suggested: str
    score: float
    about: str = ""


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction.

    Attributes:
        row: The position of the image in the set.
        label: The true label.
        predicted: The predicted label.
        probability: The probability of the predicted label, 0 to 1.
        about: With several labels per image, the name of the label, whose `label` and `predicted`
            are "present" or "absent"; "" otherwise.
    """

    row: int
    label: str
    predicted: str
    probability: float
    about: str = ""
