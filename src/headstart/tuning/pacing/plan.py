"""How much of the network can be tuned in a given time: found by timing, not by guessing."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting
from headstart.watching import Warn

# The rest is for fitting heads and checkpoints. A busy machine is met by the deadline.
_USABLE = 0.9
# What is held out passes forward only, as do all images before and after the epochs.
_FORWARD = 0.35
# Fewer epochs than these are not worth starting.
_FEWEST = 3
# Share of the time that timing may take.
_TIMING = 0.25


@dataclass(frozen=True)
class Workload:
    """How much there is to do, whatever is trained, in some number of rounds.

    Attributes:
        trained: Images that pass forward and backward in an epoch of every round, and of the final
            training as far as one is expected.
        held_out: Images that pass forward only, in an epoch of every round.
        once: Images that pass forward only, before and after the epochs.
    """

    trained: int
    held_out: int
    once: int


@dataclass(frozen=True)
class Pace:
    """How fast a part is trained.

    Attributes:
        part: "stages:N".
        filling: Seconds until the boundary store is full.
        setting: How steps are taken.
    """

    part: str
    filling: float
    setting: Setting

    def once(self, work: Workload) -> float:
        """Return the seconds besides epochs."""
        return self.filling + _FORWARD * work.once / self.setting.rate

    def epoch(self, work: Workload) -> float:
        """Return the seconds of an epoch, of all rounds."""
        return (work.trained + _FORWARD * work.held_out) / self.setting.rate

    def seconds(self, work: Workload, epochs: int) -> float:
        """Return the seconds of so many epochs and everything besides."""
        return self.once(work) + epochs * self.epoch(work)


@dataclass(frozen=True)
class Part:
    """A part of the backbone that could be trained.

    Attributes:
        name: "stages:N".
        network: The part with a head.
        row_width: Numbers in a row of what it reads.
    """

    name: str
    network: nn.Module
    row_width: int


def paces(
    parts: Iterable[Part],
    timed: Callable[[Part], Setting],
    filling: float,
    *,
    work: Workload,
    epochs: int,
    enough: float,
) -> list[Pace]:
    """Time parts one after the other, until one would take longer than there is time.

    Or until timing itself has taken a quarter of that.

    Args:
        parts: The last stage first.
        timed: Times steps of a part.
        filling: Seconds until the boundary store is full.
        work: The least that there is to do.
        epochs: Of each round.
        enough: Seconds that there are.
    """
    until = time.perf_counter() + _TIMING * enough
    found: list[Pace] = []
    for part in parts:
        found.append(Pace(part.name, filling, timed(part)))
        too_long = found[-1].seconds(work, epochs) > enough
        if too_long or time.perf_counter() > until:
            break
    return found


def deepest(
    paces: Sequence[Pace], works: Sequence[Workload], seconds: float, epochs: int, warn: Warn
) -> Session | None:
    """Return the deepest part that fits into the time, and its epochs; report what each would take.

    Where not even the last stage fits, it is trained for fewer epochs; without time for three of
    them, nothing is.

    Args:
        paces: Of the parts, the last stage's first.
        works: From what should be done to what has to be; the first that some part leaves time for
            counts, or else the last.
        seconds: That are left.
        epochs: Of each round.
        warn: Called with the minutes that each part would take.
    """
    usable = _USABLE * seconds
    plans = [
        (work, [one for one in paces if one.seconds(work, epochs) <= usable]) for work in works
    ]
    work, fitting = next((plan for plan in plans if plan[1]), plans[-1])
    listed = ", ".join(f"{one.part} {one.seconds(work, epochs) / 60:.1f}" for one in paces)
    warn(f"Minutes that fine-tuning would take: {listed}.")
    if fitting:
        return Session(fitting[-1].part, epochs, fitting[-1].setting)
    last = paces[0]
    fewer = int((usable - last.once(work)) / last.epoch(work))
    if fewer < _FEWEST:
        return None
    warn(f"That is too long for {epochs} epochs, so there will be {fewer}, of {last.part}.")
    return Session(last.part, fewer, last.setting)
