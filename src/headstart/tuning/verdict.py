"""Whether tuning was worth it: the frozen and the tuned model on the same held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from headstart.arrays import Floats, Rows
from headstart.evaluation.comparison import Rival, accuracy_gain, beats, loss_gain
from headstart.task import Task
from headstart.tuning.job import Reading
from headstart.tuning.rivals import ALONG, BLEND, PROBE, REFITTED, blended, rivals_of
from headstart.tuning.rounds import Round

# Standard errors between two models.
_CLEAR = 2.0


@dataclass(frozen=True)
class Verdict:
    """What was decided.

    Attributes:
        name: Which head reads the tuned features: "along", "refitted" or their "blend"; "" where
            nothing was trained to the end of an epoch.
        kept: Whether the tuned model is the one to use.
        temperature: That calibrates it.
        temperatures: Of each head, by its name.
        probe: The frozen model; None where nothing was held out.
        best: The tuned one, with the head that suits it best.
        first_probe_accuracy: Of the frozen model in the first round.
    """

    name: str
    kept: bool
    temperature: float
    temperatures: dict[str, float] = field(default_factory=dict)
    probe: Rival | None = None
    best: Rival | None = None
    first_probe_accuracy: float | None = None

    @classmethod
    def of(
        cls, rounds: Sequence[Round], labels: Rows, task: Task, *, blend: bool, always: bool
    ) -> Self:
        """Decide by all images that some round held out.

        Args:
            rounds: That came to the end of an epoch. Without any there is nothing to keep.
            labels: Class numbers of all images.
            task: The kind of label.
            blend: The two heads may be averaged.
            always: Keep the tuned model whatever it does.
        """
        if not rounds:
            return cls("", False, 1.0)
        judged = np.concatenate([one.judge for one in rounds])
        if not len(judged):
            return cls(ALONG, True, 1.0)
        rivals = rivals_of(_scores(rounds), labels[judged], task, blend=blend)
        temperatures = {name: one.temperature for name, one in rivals.items()}
        probe = rivals.pop(PROBE)
        name = min(rivals, key=lambda name: rivals[name].log_loss)
        best = rivals[name]
        kept = always or beats(best, probe)
        first = float(probe.right[: len(rounds[0].judge)].mean())
        return cls(name, kept, best.temperature, temperatures, probe, best, first)

    @property
    def why_not(self) -> str:
        """Give what the tuned model did wrong: "" where it is kept, or nothing was trained."""
        if self.kept or self.best is None or self.probe is None:
            return ""
        if loss_gain(self.best, self.probe) > 0:
            return "lowered log loss, but told fewer images right"
        return "did not lower log loss"

    @property
    def clear(self) -> bool:
        """Whether one model is so much better that holding out more images would change nothing.

        Stricter than the verdict: another round costs nothing but time.
        """
        if self.best is None or self.probe is None:
            return False
        return abs(loss_gain(self.best, self.probe)) > _CLEAR

    def reading(self, heads: Mapping[str, Reading]) -> Reading:
        """Give the head that was decided for, of those that one training gave."""
        if self.name == BLEND:
            return blended(heads[ALONG], heads[REFITTED], self.temperatures)
        return heads[self.name]

    def numbers(self) -> dict[str, Any]:
        """Give the report's part about it."""
        names = ("accuracy", "log_loss")
        told: dict[str, Any] = {
            f"{who}_{name}": getattr(one, name) if one else None
            for who, one in (("probe", self.probe), ("tuned", self.best))
            for name in names
        }
        gain = accuracy_gain(self.best, self.probe) if self.best and self.probe else None
        images = len(self.probe.right) if self.probe else 0
        errors = loss_gain(self.best, self.probe) if self.best and self.probe else None
        return told | {"gain_ci95": gain, "loss_gain_errors": errors, "images": images}


def _scores(rounds: Sequence[Round]) -> dict[str, Floats]:
    """Give the scores of all images held out, by each head that every round has."""
    return {
        name: np.concatenate([one.scores[name] for one in rounds])
        for name in (PROBE, ALONG, REFITTED)
        if all(name in one.scores for one in rounds)
    }
