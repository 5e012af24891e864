"""How much of the network can be tuned in a given time: found by timing, not by guessing."""

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
from headstart.tuning.network import HeadedNetwork, Trainable, untrained
from headstart.tuning.setting import Setting, candidates, seconds_of_a_step

# What is kept back for fitting heads, checkpoints and a busy machine.
_USABLE = 0.7
# Judging runs forward only, over rows and over images at the end.
_FORWARD = 0.35


@dataclass(frozen=True)
class Workload:
    """How much there is to do, whatever is trained.

    Attributes:
        views: Rows that the boundary store has to be filled with.
        learnt: Images that pass forward and backward, epochs and rounds counted.
        judged: Images that pass forward only.
        batch_size: Images of a step.
    """

    views: int
    learnt: int
    judged: int
    batch_size: int


@dataclass(frozen=True)
class Cost:
    """What tuning a part would take.

    Attributes:
        part: "stages:N".
        seconds: In all.
    """

    part: str
    seconds: float


def part_for(job: Job) -> str | None:
    """Choose the deepest part that fits into the job's minutes, or None if no part does."""
    task, options = job.task, job.options
    columns = job.heads.layout.columns(job.heads.kinds[-1])
    learnt = sum(len(learn) for learn, _ in task.rounds) + (len(task.labels) if task.final else 0)
    judged = sum(len(judge) for _, judge in task.rounds)
    orientations = count_of(job.extractor.backbone.preprocess.orientations)
    judged *= orientations
    refitted = len(task.labels) * (len(task.rounds) + task.final)
    started = refitted * 2  # Views of each image, for the head to start from.
    work = Workload(
        # The engine that is timed runs all orientations of an image at once.
        views=len(task.files) * (1 if orientations > 1 else options.views_kept),
        learnt=learnt * options.epochs,
        judged=judged * (options.epochs + 2) + refitted * orientations + started,
        batch_size=min(options.batch_size, len(task.labels)),
    )
    found = costs(
        job.extractor,
        untrained(columns.stop, job.heads.classes),
        columns,
        work,
        candidates(device=job.extractor.device, bf16=job.extractor.may_use_bf16),
        enough=60 * (options.minutes or 0),
    )
    return deepest(found, options.minutes or 0, job.warn)


def costs(
    extractor: FeatureExtractor,
    head: Trainable,
    columns: slice,
    work: Workload,
    ways: Sequence[Setting],
    *,
    enough: float,
) -> list[Cost]:
    """Time steps from the top stage down; stop once a part takes longer than what is enough.

    Args:
        extractor: With the backbone, which is left frozen.
        head: Where the head starts.
        columns: Which features it reads.
        work: How much there is to do.
        ways: Settings to time steps by; the faster counts.
        enough: Seconds.
    """
    backbone = extractor.backbone
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
        image = min(seconds_of_a_step(network, rows, way) for way in ways) / work.batch_size
        seconds = filling + image * (work.learnt + _FORWARD * work.judged)
        found.append(Cost(f"stages:{count}", seconds))
        if seconds > enough:
            break
    backbone.freeze()
    return found


def deepest(costs: Sequence[Cost], minutes: float, say: Callable[[str], None]) -> str | None:
    """Give the deepest part that fits into the minutes, or None; say what each would take."""
    fitting = [cost for cost in costs if cost.seconds <= _USABLE * 60 * minutes]
    listed = ", ".join(f"{cost.part} {cost.seconds / 60:.1f}" for cost in costs)
    say(f"Minutes that fine-tuning would take: {listed}.")
    return fitting[-1].part if fitting else None
