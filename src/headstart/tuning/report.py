"""What fine-tuning did, and whether it was worth its time."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from headstart.evaluation.comparison import Rival, accuracy_gain
from headstart.evaluation.metrics import Interval
from headstart.tuning.loop import Epoch
from headstart.tuning.tuner import Tuned


@dataclass(frozen=True)
class TuneReport:
    """The frozen and the tuned model on the same held-out images.

    Attributes:
        part: What was trained: "all", "stages:N" or "layers:N".
        kept: Whether the tuned model is the one that is used.
        images: How many were held out.
        probe_accuracy: Of the frozen backbone with its head.
        tuned_accuracy: Of the tuned one.
        gain_ci95: Interval of the difference.
        probe_log_loss: Calibrated.
        tuned_log_loss: Likewise.
        seconds: Of fine-tuning.
        steps_per_second: By each setting that was timed.
        bf16: Whether it trained in bf16.
        store_bytes: What the boundary store takes.
        stopped: Why it ended early, if it did.
        epochs: What each epoch did.
    """

    part: str
    kept: bool
    images: int
    probe_accuracy: float
    tuned_accuracy: float
    gain_ci95: Interval
    probe_log_loss: float
    tuned_log_loss: float
    seconds: float
    steps_per_second: dict[str, float]
    bf16: bool
    store_bytes: int
    stopped: str | None
    epochs: tuple[Epoch, ...]

    @classmethod
    def of(cls, part: str, tuned: Tuned, probe: Rival, new: Rival, kept: bool) -> Self:
        """Collect it."""
        return cls(
            part,
            kept,
            len(probe.right),
            probe.accuracy,
            new.accuracy,
            accuracy_gain(new, probe),
            probe.log_loss,
            new.log_loss,
            tuned.seconds,
            tuned.setting.steps_per_second,
            tuned.setting.bf16,
            tuned.store_bytes,
            tuned.trained.stopped,
            tuple(tuned.trained.history),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self) | {"gain_ci95": list(self.gain_ci95)}
