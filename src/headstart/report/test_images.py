"""What the report shows of single test images: pictures, a map, and the curve of the threshold."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.data_uri import data_uri


@dataclass(frozen=True)
class Shot:
    """A small picture of a test image, with its prediction.

    Attributes:
        image: The name of the image.
        thumbnail: The image as a small JPEG.
        truth: The number of its class.
        predicted: The number of the predicted class.
        probability: The probability of the predicted class.
    """

    image: str
    thumbnail: bytes
    truth: int
    predicted: int
    probability: float

    @property
    def source(self) -> str:
        """The picture as a `data:` URI."""
        return data_uri(self.thumbnail)


@dataclass(frozen=True)
class MapPoint:
    """A test image on the map of features.

    Attributes:
        x: Its position, in the units of the map.
        y: Its position, in the units of the map.
        truth: The number of its class.
        predicted: The number of the predicted class.
        shot: The number of its picture; None without one.
    """

    x: float
    y: float
    truth: int
    predicted: int
    shot: int | None


@dataclass(frozen=True)
class Level:
    """A threshold of two classes, and what it gives.

    Attributes:
        threshold: The positive class is predicted if its probability is at least this.
        true_positives: The number of images of the positive class that are predicted as it.
        false_positives: The number of images of the other class that are predicted as it.
    """

    threshold: float
    true_positives: int
    false_positives: int


@dataclass(frozen=True)
class ThresholdCurve:
    """What thresholds give on the test images of two classes.

    Attributes:
        positive: The name of the positive class.
        negative: The name of the other class.
        purpose: What the model's own threshold was chosen for, such as "sensitivity=0.95"; "" if
            the most probable class is predicted.
        positives: The number of images of the positive class.
        negatives: The number of images of the other class.
        levels: Thresholds in ascending order, at most about 200.
        own: The number of the level that is the model's own threshold.
    """

    positive: str
    negative: str
    purpose: str
    positives: int
    negatives: int
    levels: tuple[Level, ...]
    own: int


@dataclass(frozen=True)
class TestImages:
    """What the report shows of single test images.

    Attributes:
        shots: Small pictures: wrong predictions of every kind, and some that are right.
        points: The images on the map of features; empty without a map.
        curve: What thresholds give; None without images of exactly two classes.
    """

    __test__ = False  # Tells pytest that this is not a class of tests.

    shots: tuple[Shot, ...]
    points: tuple[MapPoint, ...] = ()
    curve: ThresholdCurve | None = None
