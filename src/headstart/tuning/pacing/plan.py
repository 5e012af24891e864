"""How much of the network can be tuned in a given time, estimated by timing steps."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting
from headstart.watching import Note, Warn

# The rest is for fitting heads and checkpoints. If the machine is busy, the deadline applies.
_USABLE = 0.9
# Time of a forward pass as a share of a training step: held-out images only pass forward, as do
# all images before and after the epochs.
_FORWARD = 0.35
# With fewer epochs, training is not worth starting.
_MIN_EPOCHS = 3
# Share of the time that timing may take.
_TIMING = 0.25


@dataclass(frozen=True)
class Workload:
    """The amount of work in some number of rounds, whichever part is trained.

    Attributes:
        trained: Images that pass forward and backward in an epoch of every round and, if expected,
            of the final training.
        held_out: Images that only pass forward, in an epoch of every round.
        once: Images that only pass forward, before and after the epochs.
    """

    trained: int
    held_out: int
    once: int


@dataclass(frozen=True)
class Pace:
    """Training speed of a part.

    Attributes:
        part: "stages:N".
        fill_seconds: Seconds to fill the boundary store.
        setting: The fastest setting for a training step.
    """

    part: str
    fill_seconds: float
    setting: Setting

    def overhead_seconds(self, work: Workload) -> float:
        """Return the seconds before and after the epochs."""
        return self.fill_seconds + _FORWARD * work.once / self.setting.rate

    def epoch_seconds(self, work: Workload) -> float:
        """Return the seconds of an epoch, summed over all rounds."""
        return (work.trained + _FORWARD * work.held_out) / self.setting.rate

    def total_seconds(self, work: Workload, epochs: int) -> float:
        """Return the seconds of some number of epochs, with the overhead."""
        return self.overhead_seconds(work) + epochs * self.epoch_seconds(work)


@dataclass(frozen=True)
class Part:
    """A part of the backbone that could be trained.

    Attributes:
        name: "stages:N".
        network: The part with a head.
        row_width: Numbers per row of its input.
    """

    name: str
    network: nn.Module
    row_width: int


def measure_paces(
    parts: Iterable[Part],
    time_part: Callable[[Part], Setting],
    fill_seconds: float,
    *,
    work: Workload,
    epochs: int,
    time_left: float,
) -> list[Pace]:
    """Time deeper and deeper parts, until one would take longer than the remaining time.

    Stops earlier if the timing itself has taken a quarter of that time.

    Args:
        parts: The parts, starting with the last stage.
        time_part: Times steps of a part.
        fill_seconds: Seconds to fill the boundary store.
        work: The minimum workload.
        epochs: Number of epochs in each round.
        time_left: Remaining time, in seconds.
    """
    until = time.perf_counter() + _TIMING * time_left
    paces: list[Pace] = []
    for part in parts:
        paces.append(Pace(part.name, fill_seconds, time_part(part)))
        too_long = paces[-1].total_seconds(work, epochs) > time_left
        if too_long or time.perf_counter() > until:
            break
    return paces


def deepest_part(
    paces: Sequence[Pace],
    work: Workload,
    seconds: float,
    epochs: int,
    *,
    warn: Warn,
    note: Note,
) -> Session | None:
    """Return the deepest part that fits into the time, and its epochs.

    If not even the last stage fits, it is trained for fewer epochs. Without time for three epochs,
    nothing is trained.

    Args:
        paces: Speeds of the parts, starting with the last stage.
        work: The workload of the rounds and the final training.
        seconds: The time left.
        epochs: Number of epochs in each round.
        warn: Called if there is too little time.
        note: Called with the minutes that each part would take.
    """
    usable = _USABLE * seconds
    fitting = [pace for pace in paces if pace.total_seconds(work, epochs) <= usable]
    listed = ", ".join(f"{pace.part} {pace.total_seconds(work, epochs) / 60:.1f}" for pace in paces)
    note(f"Estimated minutes of fine-tuning: {listed}.")
    if fitting:
        return Session(fitting[-1].part, epochs, fitting[-1].setting)
    last = paces[0]
    fewer = int((usable - last.overhead_seconds(work)) / last.epoch_seconds(work))
    if fewer < _MIN_EPOCHS:
        missing = last.total_seconds(work, _MIN_EPOCHS) / _USABLE - seconds
        warn(
            f"There is no time for {_MIN_EPOCHS} epochs of {last.part}, so the backbone stays "
            f"frozen. This would take about {math.ceil(missing / 60)} more minutes: pass --minutes "
            "(minutes=) with a higher limit."
        )
        return None
    warn(f"There is no time for {epochs} epochs, so {last.part} is trained for {fewer}.")
    return Session(last.part, fewer, last.setting)
