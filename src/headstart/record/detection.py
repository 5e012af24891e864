"""The course of the training of a detector."""

from dataclasses import dataclass, replace


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

    def without_times(self) -> "DetectionCourse":
        """Return the course without the values that differ between two deterministic runs."""
        history, refit = (
            tuple(replace(epoch, seconds=0.0) for epoch in epochs)
            for epochs in (self.history, self.refit)
        )
        return replace(self, history=history, refit=refit, images_per_second=None)
