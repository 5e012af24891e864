"""Whether tuning was worth it: the frozen and the tuned model on the same held-out images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from headstart.data.splits import Rows
from headstart.evaluation.comparison import Rival, accuracy_gain, beats, loss_gain, rival
from headstart.tuning.rounds import Round


@dataclass(frozen=True)
class Verdict:
    """What was decided.

    Attributes:
        name: Which head reads the tuned features: "tuned", the one trained along, or "refitted".
        kept: Whether the tuned model is the one to use.
        temperature: That calibrates it.
        probe: The frozen model; None where nothing was held out.
        tuned: The tuned one.
        first_probe_accuracy: Of the frozen model in the first round.
    """

    name: str
    kept: bool
    temperature: float
    probe: Rival | None = None
    tuned: Rival | None = None
    first_probe_accuracy: float | None = None

    @classmethod
    def of(cls, rounds: Sequence[Round], labels: Rows, *, always: bool) -> Self:
        """Decide by all images that some round held out.

        Args:
            rounds: With their scores.
            labels: Class numbers of all images.
            always: Keep the tuned model whatever it does.
        """
        judged = np.concatenate([one.judge for one in rounds])
        if not len(judged):
            return cls("tuned", True, 1.0)
        rivals = {
            name: rival(np.concatenate([one.scores[name] for one in rounds]), labels[judged])
            for name in ("probe", "tuned", "refitted")
            if all(name in one.scores for one in rounds)
        }
        probe = rivals.pop("probe")
        name = min(rivals, key=lambda name: rivals[name].log_loss)
        best = rivals[name]
        kept = always or beats(best, probe)
        first = float(probe.right[: len(rounds[0].judge)].mean())
        return cls(name, kept, best.temperature, probe, best, first)

    def numbers(self) -> dict[str, Any]:
        """Give the report's part about it."""
        names = ("accuracy", "log_loss")
        told: dict[str, Any] = {
            f"{who}_{name}": getattr(one, name) if one else None
            for who, one in (("probe", self.probe), ("tuned", self.tuned))
            for name in names
        }
        gain = accuracy_gain(self.tuned, self.probe) if self.tuned and self.probe else None
        images = len(self.probe.right) if self.probe else 0
        errors = loss_gain(self.tuned, self.probe) if self.tuned and self.probe else None
        return told | {"gain_ci95": gain, "loss_gain_errors": errors, "images": images}
