"""How far unlabelled images are from the training images of a model."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from headstart.record.estimates import Interval
from headstart.record.values import Rejection

ALARM = 0.05
"""A p-value below which images differ from the training images by more than chance."""


@dataclass(frozen=True)
class StrangeImage:
    """An image that is unlike the training images.

    Attributes:
        image: Its name.
        distance: How far it is from the nearest training images, as a share of the distance at
            which an image is unknown.
    """

    image: str
    distance: float


@dataclass(frozen=True)
class MovedTrait:
    """A statistic of the pictures that differs from that of the training images.

    Attributes:
        name: Its name, such as "brightness".
        training: Its median over training images.
        new: Its median over the new images.
        p: The p-value of no difference, by the Mann-Whitney test with Holm's correction.
    """

    name: str
    training: float
    new: float
    p: float


@dataclass(frozen=True)
class ShiftRecord:
    """How far unlabelled images are from the training images.

    Attributes:
        model: The path of the run or the bundle.
        images: The number of images that were read.
        seen: The number of these that the model was trained on, as far as it keeps their hashes.
        auroc: How well a classifier tells the images from the training images, 0.5 is chance; None
            if there are too few images, or the model was trained on many of them.
        p: The p-value of no difference; None likewise.
        unknown: The share of images that the model calls unknown.
        unknown_ci95: Wilson interval of that.
        false_alarms: The share of images like the training images that it calls unknown.
        estimated_accuracy: The accuracy on these images, estimated by their confidence; None for
            boxes, with several labels per image or an operating point, with too few images, or if
            most of them are unknown.
        ci95: Its 95% interval.
        held_out_accuracy: The accuracy on held-out training images, to compare with; None likewise.
        unlike: The images most unlike the training images, most unlike first.
        traits: Statistics of the pictures that moved by more than chance.
        label_first: The images whose labels would teach the model most, in this order.
        rejected: Images that cannot be read, with the reasons.
        warnings: What to know about the results, in sentences.
    """

    model: str
    images: int
    seen: int
    auroc: float | None
    p: float | None
    unknown: float
    unknown_ci95: Interval
    false_alarms: float
    estimated_accuracy: float | None
    ci95: Interval | None
    held_out_accuracy: float | None
    unlike: tuple[StrangeImage, ...]
    traits: tuple[MovedTrait, ...]
    label_first: tuple[str, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The results in words."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        if self.p is not None and self.auroc is not None:
            same = self.p >= ALARM
            yield (
                f"These {self.images:,} images {_COMPARED[same]} the training images "
                f"(p = {self.p:.3f}; a classifier tells them apart with AUROC {self.auroc:.2f}, "
                "where 0.5 is chance)."
            )
        low, high = self.unknown_ci95
        yield (
            f"Unknown: {self.unknown:.1%} of the images (95% interval {low:.1%} to {high:.1%}); of "
            f"images like the training images, it would be about {self.false_alarms:.0%}."
        )
        if self.p is not None and self.p < ALARM and low <= self.false_alarms:
            yield (
                "Both are true: the first compares all images with all training images, and small "
                "differences in many of them are enough. An unknown image is far from every "
                "training image by itself."
            )
        if self.estimated_accuracy is not None and self.ci95:
            low, high = self.ci95
            yield (
                f"Estimated accuracy on them: {self.estimated_accuracy:.1%} (95% interval "
                f"{low:.1%} to {high:.1%}); on held-out training images it is "
                f"{self.held_out_accuracy:.1%}. This is a guess from the model's confidence: "
                "label some of them to be sure."
            )

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {
            "model": self.model,
            "images": self.images,
            "seen": self.seen,
            "auroc": self.auroc,
            "p": self.p,
            "unknown": self.unknown,
            "unknown_ci95": list(self.unknown_ci95),
            "estimated_accuracy": self.estimated_accuracy,
            "ci95": list(self.ci95) if self.ci95 else None,
            "held_out_accuracy": self.held_out_accuracy,
            "unlike": [dict(vars(one)) for one in self.unlike],
            "traits": [dict(vars(one)) for one in self.traits],
            "label_first": list(self.label_first),
            "rejected": [dict(vars(one)) for one in self.rejected],
            "warnings": list(self.warnings),
        }


_COMPARED = {True: "cannot be distinguished from", False: "differ from"}
