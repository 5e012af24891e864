"""Whether tuning was worth it: the frozen and the tuned model on the same held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from headstart.data.splits import Rows
from headstart.evaluation.comparison import Rival, accuracy_gain, beats, loss_gain, rival
from headstart.heads.fitted import Array, BlendModel, SingleModel
from headstart.tuning.job import Reading
from headstart.tuning.rounds import Round

_BLEND = "blend"


@dataclass(frozen=True)
class Verdict:
    """What was decided.

    Attributes:
        name: Which head reads the tuned features: "tuned", the one trained along, "refitted", or
            the "blend" of both.
        kept: Whether the tuned model is the one to use.
        temperature: That calibrates it.
        temperatures: Of each head, by its name.
        probe: The frozen model; None where nothing was held out.
        tuned: The tuned one.
        first_probe_accuracy: Of the frozen model in the first round.
    """

    name: str
    kept: bool
    temperature: float
    temperatures: dict[str, float] = field(default_factory=dict)
    probe: Rival | None = None
    tuned: Rival | None = None
    first_probe_accuracy: float | None = None

    @classmethod
    def of(cls, rounds: Sequence[Round], labels: Rows, *, blend: bool, always: bool) -> Self:
        """Decide by all images that some round held out.

        Args:
            rounds: With their scores.
            labels: Class numbers of all images.
            blend: The two heads may be averaged.
            always: Keep the tuned model whatever it does.
        """
        judged = np.concatenate([one.judge for one in rounds])
        if not len(judged):
            return cls("tuned", True, 1.0)
        told, truth = _told(rounds), labels[judged]
        rivals = {name: rival(scores, truth) for name, scores in told.items()}
        temperatures = {name: one.temperature for name, one in rivals.items()}
        if blend and {"tuned", "refitted"} <= set(told):
            parts = [told[name] / temperatures[name] for name in ("tuned", "refitted")]
            rivals[_BLEND] = rival(np.mean(parts, axis=0), truth)
        probe = rivals.pop("probe")
        name = min(rivals, key=lambda name: rivals[name].log_loss)
        best = rivals[name]
        kept = always or beats(best, probe)
        first = float(probe.right[: len(rounds[0].judge)].mean())
        return cls(name, kept, best.temperature, temperatures, probe, best, first)

    def reading(self, heads: Mapping[str, Reading]) -> Reading:
        """Give the head that was decided for, of those that one training gave."""
        if self.name != _BLEND:
            return heads[self.name]
        first, second = heads["tuned"], heads["refitted"]
        assert isinstance(first.head, SingleModel) and isinstance(second.head, SingleModel)
        temperatures = self.temperatures["tuned"], self.temperatures["refitted"]
        blend = BlendModel(first.head, second.head, *temperatures)
        wider = first if len(first.head.mean) > len(second.head.mean) else second
        return Reading(blend, wider.features)

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


def _told(rounds: Sequence[Round]) -> dict[str, Array]:
    """Give the scores of all images held out, by each head that every round has."""
    return {
        name: np.concatenate([one.scores[name] for one in rounds])
        for name in ("probe", "tuned", "refitted")
        if all(name in one.scores for one in rounds)
    }
