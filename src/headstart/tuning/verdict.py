"""The verdict: comparison of the frozen and the tuned model on the same held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from headstart.arrays import Scores, Targets, Temperature
from headstart.evaluation.comparison import HeldOutResult, accuracy_gain, beats, loss_gain
from headstart.heads.stacking import Average
from headstart.record import Interval
from headstart.task import Task
from headstart.tuning.candidates import (
    BLEND,
    PROBE,
    REFITTED,
    TRAINED,
    blend_heads,
    measure_candidates,
)
from headstart.tuning.job import ClassifierHead
from headstart.tuning.rounds import Round

MIN_HELD_OUT = 200
"""With fewer held-out images, the user is warned that they decide.

With 200 training images, all of which were held out in turn, six of six kept models were at least
as accurate on other images; with 60, one was kept that was worse. See docs/decisions/rounds.md.
"""

# Difference between two models in standard errors that is conclusive.
_CONCLUSIVE = 2.0


@dataclass(frozen=True)
class Verdict:
    """Whether the tuned model is kept, and with which head.

    Attributes:
        name: The best head for the tuned network: "trained", "refitted" or their "blend"; "" if
            no epoch was completed.
        kept: Whether the tuned model is kept.
        temperature: Divisor of the scores that calibrates the tuned model.
        average: The average of the trained and the refitted head; None if it was not measured.
        probe: Result of the frozen model; None if nothing was held out.
        best: Result of the tuned model with its best head.
        first_probe_accuracy: Accuracy of the frozen model in the first round.
        objection: Why the better tuned model cannot be kept, as a predicate; "" if it can.
    """

    name: str
    kept: bool
    temperature: Temperature
    average: Average | None = None
    probe: HeldOutResult | None = None
    best: HeldOutResult | None = None
    first_probe_accuracy: float | None = None
    objection: str = ""

    @classmethod
    def of(
        cls, rounds: Sequence[Round], targets: Targets, task: Task, *, blend: bool, always: bool
    ) -> Self:
        """Decide by the held-out images of all rounds.

        Args:
            rounds: Rounds that completed an epoch. Without any, there is nothing to keep.
            targets: Labels of all images.
            task: The kind of label.
            blend: Whether two heads may be averaged.
            always: Keep the tuned model whatever its results.
        """
        if not rounds:
            return cls("", False, 1.0)
        held_out = np.concatenate([training.held_out for training in rounds])
        if not len(held_out):
            return cls(TRAINED, True, 1.0)
        candidates, average = measure_candidates(
            _scores(rounds), targets[held_out], task, blend=blend
        )
        probe = candidates.pop(PROBE)
        name = min(candidates, key=lambda name: candidates[name].log_loss)
        best = candidates[name]
        kept = always or beats(best, probe)
        first = float(probe.correct[: len(rounds[0].held_out)].mean())
        return cls(name, kept, best.temperature, average, probe, best, first)

    @property
    def why_not(self) -> str:
        """Why the tuned model is not kept; "" if it is, or if there is none."""
        if self.kept or self.loss_gain_errors is None:
            return ""
        if self.objection:
            return self.objection
        if self.loss_gain_errors > 0:
            return "lowered the log loss, but predicted fewer images correctly"
        return "did not lower the log loss"

    @property
    def doubts(self) -> str:
        """Why the verdict is uncertain, as sentences; "" with enough held-out images."""
        if not 0 < self.images < MIN_HELD_OUT:
            return ""
        return (
            f"Whether fine-tuning helps was decided on only {self.images} held-out images. With "
            f"fewer than {MIN_HELD_OUT}, the wrong model may be chosen: measure it on other images."
        )

    @property
    def conclusive(self) -> bool:
        """Whether more held-out images would be very unlikely to change the verdict.

        This is stricter than the verdict, because another round costs only time.
        """
        return self.loss_gain_errors is not None and abs(self.loss_gain_errors) > _CONCLUSIVE

    @property
    def loss_gain_errors(self) -> float | None:
        """The gain in log loss of the tuned model, in standard errors of the difference."""
        return loss_gain(self.best, self.probe) if self.best and self.probe else None

    @property
    def gain_ci95(self) -> Interval | None:
        """The 95% confidence interval of the difference in accuracy."""
        return accuracy_gain(self.best, self.probe) if self.best and self.probe else None

    @property
    def images(self) -> int:
        """The total number of held-out images."""
        return len(self.probe.correct) if self.probe else 0

    def without_final(self) -> Self:
        """Return the verdict if no model could be trained on all images: the frozen one stays."""
        objection = "was better on held-out images, but could not be trained on all images"
        return replace(self, kept=False, objection=objection)

    def choose(self, heads: Mapping[str, ClassifierHead]) -> ClassifierHead:
        """Return the chosen head from the heads of a training."""
        if self.name == BLEND and self.average:
            return blend_heads(heads[TRAINED], heads[REFITTED], self.average)
        return heads[self.name]


def _scores(rounds: Sequence[Round]) -> dict[str, Scores]:
    """Return the scores of all held-out images, by each head that all rounds have."""
    return {
        name: np.concatenate([training.scores[name] for training in rounds])
        for name in (PROBE, TRAINED, REFITTED)
        if all(name in training.scores for training in rounds)
    }
