"""How much of the network can be tuned in a given time: found by timing, not by guessing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.data.orientations import count_of
from headstart.engines.timing import images_per_second
from headstart.tuning.halves import cut
from headstart.tuning.job import Job
from headstart.tuning.network import SHARES, HeadedNetwork, untrained
from headstart.tuning.session import Session
from headstart.tuning.setting import Setting, candidates, fastest

# The rest is for fitting heads and checkpoints. A busy machine is met by the deadline.
_USABLE = 0.9
# What is kept is trained for the best epoch of the rounds, which comes about half way.
_FINAL = 0.5
# Judging runs forward only, over rows and over images at the end.
_FORWARD = 0.35
# Fewer epochs than these are not worth starting.
_FEWEST = 3
# Share of the time that timing may take.
_TIMING = 0.25
# Rounds that there should be time for, if the last stage leaves it: one fifth of some thousand
# images cannot tell a gain of a point from noise, and depth gained no more than a good rate.
_TELLING = 3


@dataclass(frozen=True)
class Workload:
    """How much there is to do, whatever is trained, in some number of rounds.

    Attributes:
        learnt: Images that pass forward and backward in an epoch of every round, and of the final
            training as far as one is expected.
        judged: Images that pass forward only, in an epoch of every round.
        judged_once: Images that pass forward only, before and after the epochs.
    """

    learnt: int
    judged: int
    judged_once: int


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
        """Give the seconds besides epochs."""
        return self.filling + _FORWARD * work.judged_once / self.setting.rate

    def epoch(self, work: Workload) -> float:
        """Give the seconds of an epoch, of all rounds."""
        return (work.learnt + _FORWARD * work.judged) / self.setting.rate

    def seconds(self, work: Workload, epochs: int) -> float:
        """Give what so many epochs would take in all."""
        return self.once(work) + epochs * self.epoch(work)


def plan_for(job: Job) -> Session | None:
    """Choose the deepest part that fits into the job's minutes, and the epochs, if any do.

    Planned with three rounds if any part leaves time for them, or else with two, or one.
    """
    task, deadline = job.task, job.deadline
    assert deadline is not None  # `TuneOptions.for_part` gives "auto" its minutes.
    telling = max(task.least, min(_TELLING, len(task.rounds)))
    works = [_workload(job, rounds) for rounds in range(telling, task.least - 1, -1)]
    found = paces(job, works[-1], enough=deadline - time.perf_counter())
    return deepest(found, works, deadline - time.perf_counter(), job.options.epochs, job.warn)


def _workload(job: Job, rounds: int) -> Workload:
    """Give what there is to do in the first so many rounds, and finally."""
    task, options = job.task, job.options
    sides = task.rounds[:rounds]
    orientations = count_of(job.extractor.backbone.preprocess.orientations)
    images, shares = len(task.labels), len(SHARES) if options.wise else 1
    learnt = sum(len(learn) for learn, _ in sides) + (round(_FINAL * images) if task.final else 0)
    judged = sum(len(judge) for _, judge in sides) * orientations
    refitted = images * (shares * len(sides) + task.final)
    started = 2 * images * (len(sides) + task.final)  # Two views, for the head to start from.
    judged_once = 2 * shares * judged + refitted * orientations + started
    return Workload(learnt, judged, judged_once)


def paces(job: Job, work: Workload, *, enough: float) -> list[Pace]:
    """Time steps from the top stage down; stop once a part takes longer than what is enough.

    Or once timing itself has taken a quarter of that.

    Args:
        job: Its backbone is left frozen.
        work: The least that there is to do.
        enough: Seconds.
    """
    extractor, until = job.extractor, time.perf_counter() + _TIMING * enough
    backbone = extractor.backbone
    columns = job.heads.layout.columns(job.heads.kinds[-1])
    head = untrained(columns.stop, job.heads.classes)
    ways = candidates(device=extractor.device, bf16=extractor.may_use_bf16)
    batch = min(job.options.batch_size, len(job.task.labels))
    filling = _views(job) / images_per_second(extractor.engine, backbone.preprocess.size)
    found: list[Pace] = []
    stages = len(stage_names(backbone.network))
    for count in range(1, stages):
        backbone.unfreeze(f"stages:{count}")
        halves = cut(
            StagePooling(backbone, reads=extractor.reads, orientations="one").eval(), stages - count
        )
        rows = torch.rand(batch, halves.row_width)
        labels = torch.zeros(batch, dtype=torch.int64)
        setting = fastest(HeadedNetwork(halves.above, head, columns), rows, labels, ways)
        found.append(Pace(f"stages:{count}", filling, setting))
        too_long = found[-1].seconds(work, job.options.epochs) > enough
        if too_long or time.perf_counter() > until:
            break
    backbone.freeze()
    return found


def _views(job: Job) -> int:
    """Give how many rows the boundary store is filled with, as the engine that is timed counts."""
    turned = count_of(job.extractor.backbone.preprocess.orientations) > 1  # It runs them at once.
    return len(job.task.files) * (1 if turned else job.options.views_kept)


def deepest(
    paces: Sequence[Pace],
    works: Sequence[Workload],
    seconds: float,
    epochs: int,
    say: Callable[[str], None],
) -> Session | None:
    """Give the deepest part that fits into the time, and its epochs; say what each would take.

    Where not even the last stage fits, it is trained for fewer epochs; without time for three of
    them, nothing is.

    Args:
        paces: Of the parts, the last stage's first.
        works: From what should be done to what has to be; the first that some part leaves time for
            counts, or else the last.
        seconds: That are left.
        epochs: Of each round.
        say: Told what each part would take.
    """
    usable = _USABLE * seconds
    plans = [
        (work, [one for one in paces if one.seconds(work, epochs) <= usable]) for work in works
    ]
    work, fitting = next((plan for plan in plans if plan[1]), plans[-1])
    listed = ", ".join(f"{one.part} {one.seconds(work, epochs) / 60:.1f}" for one in paces)
    say(f"Minutes that fine-tuning would take: {listed}.")
    if fitting:
        return Session(fitting[-1].part, epochs, fitting[-1].setting)
    last = paces[0]
    fewer = int((usable - last.once(work)) / last.epoch(work))
    if fewer < _FEWEST:
        return None
    say(f"That is too long for {epochs} epochs, so there will be {fewer}, of {last.part}.")
    return Session(last.part, fewer, last.setting)
