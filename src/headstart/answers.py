"""What a model answers: predictions, the thresholds behind them, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from headstart.arrays import Probabilities
from headstart.boxes import Detections


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image with one label.

    Attributes:
        image: The name of the image, as the user passed it.
        label: The most probable class.
        probability: The calibrated probability of that class, 0 to 1.
        top: The most probable classes with their probabilities, in descending order.
        probabilities: The calibrated probabilities of all classes in the model's order, (classes,).
        unknown: Whether the image is unlike all training images, so that the label means nothing;
            None if the model cannot tell.
        prediction_set: The labels that the image may have at the requested coverage, most probable
            first; it may be empty. None if it was not requested.
        abstained: Whether the model is not confident enough for the requested share of errors; None
            if none was requested.
        heat_map: The picture with the heat map of the label; None if it was not requested.
    """

    image: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    probabilities: Probabilities = field(repr=False, compare=False)
    unknown: bool | None = None
    prediction_set: tuple[str, ...] | None = None
    abstained: bool | None = None
    heat_map: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = {
            "image": self.image,
            "label": self.label,
            "probability": self.probability,
            "top": _ranked(self.top),
        }
        if self.prediction_set is not None:
            values["set"] = list(self.prediction_set)
        if self.abstained is not None:
            values["abstained"] = self.abstained
        return values | _said(self.unknown, self.heat_map)

    @property
    def answer(self) -> dict[str, str | float | bool]:
        """The label as cells of a table, by the name of the column."""
        cells: dict[str, str | float | bool] = {
            "label": self.label,
            "probability": self.probability,
        }
        if self.prediction_set is not None:
            cells["set"] = "|".join(self.prediction_set)
        if self.abstained is not None:
            cells["abstained"] = self.abstained
        return cells | _unknown_cell(self.unknown)


@dataclass(frozen=True)
class MultiPrediction:
    """The prediction for one image with any number of labels.

    Attributes:
        image: The name of the image, as the user passed it.
        labels: The labels that reach their threshold, with their probabilities, in descending
            order; empty if none does.
        top: The most probable labels with their probabilities, in descending order.
        probabilities: The calibrated probability of each label in the model's order, (classes,).
        unknown: Whether the image is unlike all training images, so that the labels mean nothing;
            None if the model cannot tell.
        heat_map: The picture with the heat map of the most probable label; None if it was not
            requested.
    """

    image: str
    labels: tuple[tuple[str, float], ...]
    top: tuple[tuple[str, float], ...]
    probabilities: Probabilities = field(repr=False, compare=False)
    unknown: bool | None = None
    heat_map: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = {
            "image": self.image,
            "labels": _ranked(self.labels),
            "top": _ranked(self.top),
        }
        return values | _said(self.unknown, self.heat_map)

    @property
    def answer(self) -> dict[str, str | float | bool]:
        """The labels as cells of a table, by the name of the column."""
        labels = "|".join(label for label, _ in self.labels)
        return {"labels": labels} | _unknown_cell(self.unknown)


@dataclass(frozen=True)
class PredictedBox:
    """A predicted box.

    Attributes:
        label: The name of its class.
        probability: Its probability, 0 to 1.
        box: x1, y1, x2, y2 in pixels of the image as it is seen.
    """

    label: str
    probability: float
    box: tuple[float, float, float, float]

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {"label": self.label, "probability": self.probability, "box": list(self.box)}


@dataclass(frozen=True)
class BoxesPrediction:
    """The boxes that are predicted in one image.

    Attributes:
        image: The name of the image, as the user passed it.
        boxes: Those that reach the threshold of their class, the most probable first.
        size: Width and height of the image as it is seen, in pixels.
        detections: All detections, with those below the thresholds.
        probabilities: The highest probability of a box of each class in the model's order,
            (classes,).
        unknown: None, because a detector does not tell whether an image is unlike all others.
        picture: The file with a picture of the boxes, if it was asked for.
    """

    image: str
    boxes: tuple[PredictedBox, ...]
    size: tuple[int, int]
    detections: Detections = field(repr=False, compare=False)
    probabilities: Probabilities = field(repr=False, compare=False)
    unknown: None = None
    picture: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        boxes: list[JsonValue] = [box.to_json() for box in self.boxes]
        values: dict[str, JsonValue] = {"image": self.image, "boxes": boxes}
        return values | ({"picture": self.picture} if self.picture else {})

    @property
    def answer(self) -> dict[str, str | float | bool]:
        """The boxes as cells of a table, by the name of the column."""
        boxes = json.dumps([box.to_json() for box in self.boxes], ensure_ascii=False)
        return {"labels": "|".join(box.label for box in self.boxes), "boxes": boxes}


AnyTaskPrediction = Prediction | MultiPrediction
"""The prediction of labels for one image, by the task."""


def _said(unknown: bool | None, heat_map: str | None) -> dict[str, JsonValue]:
    """Return what is only said where it applies, as JSON values."""
    values: dict[str, JsonValue] = {"heat_map": heat_map} if heat_map else {}
    return values | ({"unknown": True} if unknown else {})


def _unknown_cell(unknown: bool | None) -> dict[str, str | float | bool]:
    """Return the column of a table that says so, if the model can tell."""
    return {} if unknown is None else {"unknown": unknown}


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
