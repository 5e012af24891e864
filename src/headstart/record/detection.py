"""The course of the training of a detector."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class DetectionEpoch:
    """An epoch of the training of a detector.

    Attributes:
        epoch: Its number, from 1.
        train_loss: The mean loss of its steps.
        map: mAP50-95 on the held-out images, of the moving average of the weights; None without
            held-out images.
        map50: mAP50 on them.
        seconds: Duration of its steps.
    """

    epoch: int
    train_loss: float
    map: float | None
    map50: float | None
    seconds: float


@dataclass(frozen=True)
class DetectionTuning:
    """The fine-tuning of a detector: the last stages of the backbone with the head.

    Attributes:
        part: The stages, such as "stages:2".
        kept: Whether mAP50-95 on the held-out images rose, so that the tuned stages are used.
        history: The epochs.
        best_epoch: The best epoch on the held-out images.
        store_bytes: The size of the boundary store below the stages.
        images_per_second: The speed of training steps.
        refit: The epochs of a second training on all training images; empty without.
    """

    part: str
    kept: bool
    history: tuple[DetectionEpoch, ...]
    best_epoch: int
    store_bytes: int
    images_per_second: float | None
    refit: tuple[DetectionEpoch, ...] = ()

    @property
    def best_map(self) -> float | None:
        """mAP50-95 of the best epoch on the held-out images; None without any."""
        return _best(self.history)

    def without_times(self) -> "DetectionTuning":
        """See `DetectionCourse.without_times`."""
        history, refit = _untimed(self.history), _untimed(self.refit)
        return replace(self, history=history, refit=refit, images_per_second=None)


@dataclass(frozen=True)
class DetectionCourse:
    """The course of the training of a detector.

    Attributes:
        history: The epochs.
        best_epoch: The best epoch on the held-out images.
        held_out: The number of images on which the epoch and the thresholds were chosen.
        chosen_on: "val" for a validation part, or "train" for a part of the training images.
        views: The number of views of each image in the boundary store.
        store_bytes: The size of the boundary store.
        setting: How training steps were computed, such as "bf16, channels last, 2 threads".
        images_per_second: The speed of training steps.
        batch_size: Images per step.
        learning_rate: The peak rate.
        channels: Channels of the pyramid.
        refit: The epochs of a second training on all training images, which gave the weights of
            the detector; empty if those of the best epoch were kept.
        tuning: The fine-tuning of the last stages after that; None without.
    """

    history: tuple[DetectionEpoch, ...]
    best_epoch: int
    held_out: int
    chosen_on: str
    views: int
    store_bytes: int
    setting: str
    images_per_second: float | None
    batch_size: int
    learning_rate: float
    channels: int
    refit: tuple[DetectionEpoch, ...] = ()
    tuning: DetectionTuning | None = None

    @property
    def best_map(self) -> float | None:
        """mAP50-95 of the best epoch on the held-out images; None without any."""
        return _best(self.history)

    def without_times(self) -> "DetectionCourse":
        """Return the course without the values that differ between two deterministic runs."""
        history, refit = _untimed(self.history), _untimed(self.refit)
        tuning = self.tuning.without_times() if self.tuning else None
        return replace(self, history=history, refit=refit, tuning=tuning, images_per_second=None)


@dataclass(frozen=True)
class MissingBox:
    """A confident detection where nothing is labelled: a label is probably missing.

    Attributes:
        image: The name of the image.
        part: Its part: "train", "val" or "test".
        label: The class of the detection.
        probability: Its probability.
        box: x1, y1, x2, y2 in pixels of the image as it is seen.
    """

    image: str
    part: Literal["train", "val", "test"]
    label: str
    probability: float
    box: tuple[float, float, float, float]


def _best(history: tuple[DetectionEpoch, ...]) -> float | None:
    return max((epoch.map for epoch in history if epoch.map is not None), default=None)


def _untimed(history: tuple[DetectionEpoch, ...]) -> tuple[DetectionEpoch, ...]:
    return tuple(replace(epoch, seconds=0.0) for epoch in history)
