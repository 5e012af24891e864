"""What fine-tuning did, and whether it was worth its time."""

from dataclasses import asdict, dataclass
from typing import Any

from headstart.record import Interval
from headstart.tuning.events import EpochEvent, finite


@dataclass(frozen=True)
class TuneReport:
    """The frozen and the tuned model on the same held-out images.

    Attributes:
        part: What was trained: "all", "stages:N" or "layers:N".
        kept: Whether the tuned model is the one that is used.
        why_not: What it did on the held-out images instead of being better, as a verb and what
            follows; "" where it is kept, or nothing was trained.
        rounds: How many times a part of the training images was held out, to judge by it.
        images: How many were held out in all.
        probe_accuracy: Of the frozen backbone with its head; None where nothing was held out.
        tuned_accuracy: Of the tuned one; None also where no epoch was finished.
        gain_ci95: Interval of the difference.
        probe_log_loss: Calibrated.
        tuned_log_loss: Likewise.
        loss_gain_errors: How much lower that is, in standard errors of the paired difference.
            Above 0, and with an accuracy that is no lower, the tuned model is kept; below 2, that
            may be chance.
        first_probe_accuracy: Of the frozen model in the first round, whose epochs are listed.
        seconds: Of fine-tuning.
        learning_rate: The highest.
        setting: How steps were taken, with the images per second of each way that was timed.
        computing: Share of the time in which nobody waited for rows, 0 to 1.
        store_bytes: What the boundary store takes.
        alpha: Share of the tuned weights where they were interpolated with those of the start.
        head: Which head reads the tuned features; "" where there are none.
        final: Whether the kept model learnt from the held-out images too, after the decision.
        stopped: Why it ended early, if it did.
        epochs: What each epoch of the first round did.
    """

    part: str
    kept: bool
    why_not: str
    rounds: int
    images: int
    probe_accuracy: float | None
    tuned_accuracy: float | None
    gain_ci95: Interval | None
    probe_log_loss: float | None
    tuned_log_loss: float | None
    loss_gain_errors: float | None
    first_probe_accuracy: float | None
    seconds: float
    learning_rate: float
    setting: dict[str, Any]
    computing: float
    store_bytes: int
    alpha: float | None
    head: str
    final: bool
    stopped: str | None
    epochs: tuple[EpochEvent, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        gain = list(self.gain_ci95) if self.gain_ci95 else None
        return asdict(self) | {
            "gain_ci95": gain,
            "epochs": [finite(asdict(epoch)) for epoch in self.epochs],
        }
