"""How much of the network can be tuned in a given time: found by timing, not by guessing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.data.orientations import count_of
from headstart.engines.timing import images_per_second
from headstart.features.extractor import FeatureExtractor
from headstart.tuning.halves import cut
from headstart.tuning.job import Job
from headstart.tuning.network import SHARES, HeadedNetwork, Trainable, untrained
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


@dataclass(frozen=True)
class Workload:
    """How much there is to do, whatever is trained.

    Attributes:
        views: Rows that the boundary store has to be filled with.
        learnt: Images that pass forward and backward in an epoch of every round, and of the final
            training as far as one is expected.
        judged: Images that pass forward only, in an epoch of every round.
        judged_once: Images that pass forward only, before and after the epochs.
        batch_size: Images of a step.
    """

    views: int
    learnt: int
    judged: int
    judged_once: int
    batch_size: int


@dataclass(frozen=True)
class Cost:
    """What tuning a part would take.

    Attributes:
        part: "stages:N".
        once: Seconds besides epochs.
        epoch: Seconds of an epoch, of all rounds.
        setting: How steps are taken.
    """

    part: str
    once: float
    epoch: float
    setting: Setting

    def seconds(self, epochs: int) -> float:
        """Give what so many epochs would take in all."""
        return self.once + epochs * self.epoch


def plan_for(job: Job) -> Session | None:
    """Choose the deepest part, and the epochs, that fit into the job's minutes, if any do."""
    task, options, deadline = job.task, job.options, job.deadline
    assert deadline is not None  # `TuneOptions.for_part` gives "auto" its minutes.
    columns = job.heads.layout.columns(job.heads.kinds[-1])
    rounds = task.rounds[: task.least]
    learnt = sum(len(learn) for learn, _ in rounds)
    learnt += round(_FINAL * len(task.labels)) if task.final else 0
    judged = sum(len(judge) for _, judge in rounds)
    orientations = count_of(job.extractor.backbone.preprocess.orientations)
    judged *= orientations
    images, shares = len(task.labels), len(SHARES) if options.wise else 1
    refitted = images * (shares * len(rounds) + task.final)
    started = 2 * images * (len(rounds) + task.final)  # Two views, for the head to start from.
    work = Workload(
        # The engine that is timed runs all orientations of an image at once.
        views=len(task.files) * (1 if orientations > 1 else options.views_kept),
        learnt=learnt,
        judged=judged,
        judged_once=2 * shares * judged + refitted * orientations + started,
        batch_size=min(options.batch_size, len(task.labels)),
    )
    found = costs(
        job.extractor,
        untrained(columns.stop, job.heads.classes),
        columns,
        work,
        candidates(device=job.extractor.device, bf16=job.extractor.may_use_bf16),
        epochs=options.epochs,
        enough=deadline - time.perf_counter(),
    )
    return deepest(found, deadline - time.perf_counter(), options.epochs, job.warn)


def costs(
    extractor: FeatureExtractor,
    head: Trainable,
    columns: slice,
    work: Workload,
    ways: Sequence[Setting],
    *,
    epochs: int,
    enough: float,
) -> list[Cost]:
    """Time steps from the top stage down; stop once a part takes longer than what is enough.

    Or once timing itself has taken a quarter of that.

    Args:
        extractor: With the backbone, which is left frozen.
        head: Where the head starts.
        columns: Which features it reads.
        work: How much there is to do.
        ways: Settings to time steps by; the faster counts.
        epochs: How many there would be.
        enough: Seconds.
    """
    backbone, until = extractor.backbone, time.perf_counter() + _TIMING * enough
    filling = work.views / images_per_second(extractor.engine, backbone.preprocess.size)
    found: list[Cost] = []
    stages = len(stage_names(backbone.network))
    for count in range(1, stages):
        backbone.unfreeze(f"stages:{count}")
        halves = cut(
            StagePooling(backbone, reads=extractor.reads, orientations="one").eval(), stages - count
        )
        network = HeadedNetwork(halves.above, head, columns)
        rows = torch.rand(work.batch_size, halves.row_width)
        setting = fastest(network, rows, torch.zeros(len(rows), dtype=torch.int64), ways)
        once = filling + _FORWARD * work.judged_once / setting.rate
        epoch = (work.learnt + _FORWARD * work.judged) / setting.rate
        found.append(Cost(f"stages:{count}", once, epoch, setting))
        if found[-1].seconds(epochs) > enough or time.perf_counter() > until:
            break
    backbone.freeze()
    return found


def deepest(
    costs: Sequence[Cost], seconds: float, epochs: int, say: Callable[[str], None]
) -> Session | None:
    """Give the deepest part that fits into the time, and its epochs; say what each would take.

    Where not even the last stage fits, it is trained for fewer epochs; without time for three of
    them, nothing is.
    """
    usable = _USABLE * seconds
    listed = ", ".join(f"{cost.part} {cost.seconds(epochs) / 60:.1f}" for cost in costs)
    say(f"Minutes that fine-tuning would take: {listed}.")
    fitting = [cost for cost in costs if cost.seconds(epochs) <= usable]
    if fitting:
        return Session(fitting[-1].part, epochs, fitting[-1].setting)
    last = costs[0]
    fewer = int((usable - last.once) / last.epoch)
    if fewer < _FEWEST:
        return None
    say(f"That is too long for {epochs} epochs, so there will be {fewer}, of {last.part}.")
    return Session(last.part, fewer, last.setting)
