"""Whether tuning was worth it: the frozen and the tuned model on the same held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from headstart.arrays import Scores, Targets
from headstart.evaluation.comparison import HeldOutResult, accuracy_gain, beats, loss_gain
from headstart.record import Interval
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
    probe: HeldOutResult | None = None
    best: HeldOutResult | None = None
    first_probe_accuracy: float | None = None

    @classmethod
    def of(
        cls, rounds: Sequence[Round], targets: Targets, task: Task, *, blend: bool, always: bool
    ) -> Self:
        """Decide by all images that some round held out.

        Args:
            rounds: That came to the end of an epoch. Without any there is nothing to keep.
            targets: Of all images.
            task: The kind of label.
            blend: Whether the two heads may be averaged.
            always: Keep the tuned model however it does.
        """
        if not rounds:
            return cls("", False, 1.0)
        held_out = np.concatenate([one.held_out for one in rounds])
        if not len(held_out):
            return cls(ALONG, True, 1.0)
        rivals = rivals_of(_scores(rounds), targets[held_out], task, blend=blend)
        temperatures = {name: one.temperature for name, one in rivals.items()}
        probe = rivals.pop(PROBE)
        name = min(rivals, key=lambda name: rivals[name].log_loss)
        best = rivals[name]
        kept = always or beats(best, probe)
        first = float(probe.correct[: len(rounds[0].held_out)].mean())
        return cls(name, kept, best.temperature, temperatures, probe, best, first)

    @property
    def why_not(self) -> str:
        """What the tuned model did instead of winning: "" where it is kept, or there is none."""
        if self.kept or self.loss_gain_errors is None:
            return ""
        if self.loss_gain_errors > 0:
            return "lowered log loss, but told fewer images right"
        return "did not lower log loss"

    @property
    def clear(self) -> bool:
        """Whether one model is so much better that holding out more images would change nothing.

        Stricter than the verdict: another round costs nothing but time.
        """
        return self.loss_gain_errors is not None and abs(self.loss_gain_errors) > _CLEAR

    @property
    def loss_gain_errors(self) -> float | None:
        """How much lower the tuned model's log loss is, in standard errors of the difference."""
        return loss_gain(self.best, self.probe) if self.best and self.probe else None

    @property
    def gain_ci95(self) -> Interval | None:
        """The 95 % interval of the difference in accuracy."""
        return accuracy_gain(self.best, self.probe) if self.best and self.probe else None

    @property
    def images(self) -> int:
        """How many images were held out in all."""
        return len(self.probe.correct) if self.probe else 0

    def reading(self, heads: Mapping[str, Reading]) -> Reading:
        """Return the head that was decided for, of those of one training."""
        if self.name == BLEND:
            return blended(heads[ALONG], heads[REFITTED], self.temperatures)
        return heads[self.name]


def _scores(rounds: Sequence[Round]) -> dict[str, Scores]:
    """Return the scores of all images held out, by each head that every round has."""
    return {
        name: np.concatenate([one.scores[name] for one in rounds])
        for name in (PROBE, ALONG, REFITTED)
        if all(name in one.scores for one in rounds)
    }
