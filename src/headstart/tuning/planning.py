"""What `--tune auto` trains: the deepest part that fits into the minutes, and for how many epochs.

How fast parts are, and which one that is, is `pacing.plan`'s; this counts the images.
"""

import time
from collections.abc import Iterator

import torch

from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.engines.timing import images_per_second
from headstart.tuning.boundary.cutting import cut
from headstart.tuning.job import Job
from headstart.tuning.pacing.plan import Part, Workload, deepest, paces
from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.network import HeadedNetwork, untrained
from headstart.tuning.unfreezing import Unfrozen
from headstart.tuning.workbench import time_step

# The model that is kept is trained for the best epoch of the rounds, which comes about half way.
_FINAL = 0.5
# Rounds that there should be time for, if the last stage leaves it: one fifth of some thousand
# images cannot tell a gain of a point from noise, and depth gained no more than a good rate.
_ROUNDS = 3


def plan_for(job: Job, backbone: Unfrozen) -> Session | None:
    """Choose the deepest part that fits into the job's minutes, and the epochs, if any do.

    Planned with three rounds if any part leaves time for them, or else with two, or one.
    """
    images, deadline = job.images, job.deadline
    assert deadline is not None  # `TuneOptions.with_minutes` gives "auto" its minutes.
    most = max(images.least, min(_ROUNDS, len(images.rounds)))
    works = [_workload(job, rounds) for rounds in range(most, images.least - 1, -1)]
    extractor, epochs = job.extractor, job.options.epochs
    batch = min(job.options.batch_size, len(images))

    def timed(part: Part) -> Setting:
        return time_step(job, part.network, torch.rand(batch, part.row_width))

    enough = deadline - time.perf_counter()
    rate = images_per_second(extractor.engine, extractor.backbone.preprocess.size)
    parts = _parts(job, backbone)
    found = paces(parts, timed, _views(job) / rate, work=works[-1], epochs=epochs, enough=enough)
    return deepest(found, works, deadline - time.perf_counter(), epochs, job.warn)


def _parts(job: Job, backbone: Unfrozen) -> Iterator[Part]:
    """Yield the parts from the last stage down, each with a head of zeros, while it can learn."""
    columns = job.heads.layout.columns(job.heads.kinds[-1])
    head = untrained(job.head_width, job.heads.classes)
    stages = len(stage_names(backbone.network))
    for count in range(1, stages):
        backbone.unfreeze(f"stages:{count}")
        pooling = StagePooling(
            backbone.backbone, reads=job.extractor.reads, orientations="one"
        ).eval()
        halves = cut(pooling, stages - count)
        network = HeadedNetwork(halves.above, head, columns)
        yield Part(f"stages:{count}", network, halves.row_width)


def _workload(job: Job, rounds: int) -> Workload:
    """Count what passes the network in the first so many rounds, and in the final training."""
    images = job.images
    sides = images.rounds[:rounds]
    trained = sum(len(train) for train, _ in sides)
    trained += round(_FINAL * len(images)) if images.final else 0
    held_out = sum(len(rows) for _, rows in sides) * job.orientations
    trainings = len(sides) + images.final
    # For the head to start from, two views; to be fitted again, all orientations.
    heads = len(images) * trainings * (2 + job.orientations)
    return Workload(trained, held_out, 2 * held_out + heads)


def _views(job: Job) -> int:
    """Return how many rows the boundary store has, in images of the engine that is timed."""
    turned = job.orientations > 1  # The engine runs all orientations for an image.
    return len(job.images) * (1 if turned else job.options.views_kept)
