"""What the server asks of a model, whatever its task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from pydantic import JsonValue

from headstart.answers import AnyTaskPrediction, BoxesPrediction, MultiPrediction, Prediction
from headstart.arrays import Features, Pixels
from headstart.boxes import Detections
from headstart.data.decoding import LoadedImage, MinSide
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import Engine
from headstart.evaluation.known_images import Neighbour
from headstart.galleries.answers import SearchResult
from headstart.options import AnswerOptions
from headstart.server.tensors import Tensor

AnyAnswer = AnyTaskPrediction | BoxesPrediction | SearchResult
"""The prediction for one image, by the task, or what a gallery finds."""

Found: TypeAlias = Features | Detections
"""What a network finds in an input: features of a whole image, or the boxes in a tile."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        options: What the model says about an image.
        nearest: The number of similar training images, or of enrolled images, to find.
        explain: Whether to draw a heat map.
    """

    options: AnswerOptions = field(default_factory=AnswerOptions)
    nearest: int = 0
    explain: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one image.

    Attributes:
        prediction: The prediction.
        features: The features, rounded as stored, (width,); empty for a detector.
        neighbours: Similar training images, nearest first, each with a small JPEG if the model
            keeps one.
    """

    prediction: AnyAnswer
    features: Features
    neighbours: tuple[tuple[Neighbour, bytes | None], ...] = ()


@dataclass(frozen=True, eq=False)
class Inputs:
    """An image as a network reads it: whole, or in tiles.

    Attributes:
        pixels: The pixels of each input, (size, size, 3). Those of tiles are cut out only when they
            are needed.
        placements: Where each input is in the image; None if that does not matter.
    """

    pixels: Iterable[Pixels]
    placements: Sequence[Placement | None]


@dataclass(frozen=True, eq=False)
class Computed:
    """An image that the network has seen.

    Attributes:
        name: The name of the image.
        placements: Where each input is in the image; None if that does not matter.
        found: What the network found in each input.
    """

    name: str
    placements: Sequence[Placement | None]
    found: Sequence[Found]


@dataclass(frozen=True)
class Abilities:
    """What a model can say about an image beyond its labels or boxes.

    Attributes:
        unknown: Whether the image is unlike all training images.
        sets: The set of labels that it may have.
        max_error: Nothing, where errors would be too frequent.
        nearest: Which training images are similar.
        pictures: What these look like.
        explain: Which parts of it support the label.
    """

    unknown: bool = False
    sets: bool = False
    max_error: bool = False
    nearest: bool = False
    pictures: bool = False
    explain: bool = False

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {**vars(self)}


@dataclass(frozen=True)
class About:
    """What a model is, for those who ask it.

    Attributes:
        task: The name of its task.
        classes: Its classes.
        backbone: The name of its backbone.
        precision: The precision in which the network is computed.
        image_size: The side of the input, in pixels.
        test: The main metric on the test images, in words; None without a test.
        operating_point: What its thresholds were chosen for; None without any.
        can: What it can say beyond labels or boxes.
    """

    task: str
    classes: tuple[str, ...]
    backbone: str
    precision: str
    image_size: int
    test: str | None
    operating_point: str | None
    can: Abilities

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {**vars(self), "classes": list(self.classes), "can": self.can.to_json()}


class Answerer(Protocol):
    """What answers with a network: a model of any task, or a gallery.

    Several threads may call it at a time.
    """

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of images."""
        ...

    @property
    def engine(self) -> Engine:
        """The engine, which says how many images and batches are computed at a time."""
        ...

    @property
    def needed(self) -> MinSide:
        """The scale at which photos are needed."""
        ...

    def read(self, loaded: LoadedImage) -> Inputs:
        """Return what the network reads of an image, which has been converted."""
        ...

    def infer(self, pixels: Pixels, placements: Sequence[Placement | None]) -> Sequence[Found]:
        """Return what the network finds in each input of a batch.

        Args:
            pixels: The inputs, (inputs, size, size, 3).
            placements: Where each of them is in its image.
        """
        ...

    def answers(self, images: Sequence[Computed], asked: Asked) -> list[Answer]:
        """Return the answers to images of which the same is asked, which has been checked."""
        ...


class ModelAnswerer(Answerer, Protocol):
    """A model of any task."""

    @property
    def about(self) -> About:
        """What the model is."""
        ...

    def check(self, asked: Asked) -> None:
        """Check that the model can do what is asked for.

        Raises:
            OptionError: It cannot.
        """
        ...

    def heat_map(self, image: bytes | Pixels, prediction: AnyAnswer) -> bytes:
        """Return a JPEG of an image with the heat map of its prediction drawn on it.

        Raises:
            UnreadableImage: It cannot be decoded.
            OptionError: The model has no heat maps.
        """
        ...

    def tensors(self, predictions: Sequence[AnyAnswer]) -> list[Tensor]:
        """Return predictions as the outputs of the Open Inference Protocol.

        The first dimension of each is that of the images, of which there may be none.
        """
        ...


def labels_of(prediction: AnyAnswer) -> AnyTaskPrediction:
    """Return a prediction as labels: without boxes, and without what a gallery finds."""
    if isinstance(prediction, SearchResult):
        return _nearest_label(prediction)
    if not isinstance(prediction, BoxesPrediction):
        return prediction
    labels = tuple((box.label, box.probability) for box in prediction.boxes)
    return MultiPrediction(prediction.image, labels, labels, prediction.probabilities)


def _nearest_label(found: SearchResult) -> Prediction:
    """Return the label of the nearest enrolled image; its probability may not be a number."""
    named = [
        (one.label, float("nan" if one.probability is None else one.probability))
        for one in found.labels
    ] or [("", float("nan"))]
    values = np.array([probability for _, probability in named])
    return Prediction(found.image, *named[0], tuple(named), values, found.unknown)
