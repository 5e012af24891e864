"""The plan of `--tune auto`: the deepest part that fits into the time limit, and its epochs.

This module counts the images to process; `pacing.plan` measures speed and chooses the part.
"""

import time
from collections.abc import Iterator

import torch

from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.engines.timing import images_per_second
from headstart.tuning.boundary.cutting import cut
from headstart.tuning.job import Job
from headstart.tuning.pacing.plan import Part, Workload, deepest_part, measure_paces
from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.network import HeadedNetwork, zero_head
from headstart.tuning.unfreezing import Unfrozen
from headstart.tuning.workbench import time_step
from headstart.watching import name_step

# The final model is trained up to the best epoch of the rounds, which is usually about halfway.
_FINAL_SHARE = 0.5
# A third stage gained nothing more on the sets measured: docs/decisions/depth.md.
_MAX_STAGES = 2


def plan_for(job: Job, backbone: Unfrozen) -> Session | None:
    """Choose the deepest part that fits into the time limit, and its epochs; None if none fits.

    It has the minimum number of rounds, and two stages at most. Time that is left is used for
    more rounds, see `rounds.train_rounds`.
    """
    images, deadline = job.images, job.deadline
    assert deadline is not None  # `TuneOptions.with_minutes` sets a limit for "auto".
    work = _workload(job)
    extractor, epochs = job.extractor, job.options.epochs
    batch = min(job.options.batch_size, len(images))

    def time_part(part: Part) -> Setting:
        name_step(job.progress, f"timing {part.name}")
        return time_step(job, part.network, torch.rand(batch, part.row_width))

    time_left = deadline - time.perf_counter()
    name_step(job.progress, "timing the frozen network")
    rate = images_per_second(extractor.engine, extractor.backbone.preprocess.size)
    parts = _parts(job, backbone)
    fill_seconds = _views(job) / rate
    paces = measure_paces(
        parts, time_part, fill_seconds, work=work, epochs=epochs, time_left=time_left
    )
    time_left = deadline - time.perf_counter()
    return deepest_part(paces, work, time_left, epochs, warn=job.warn, note=job.note)


def _parts(job: Job, backbone: Unfrozen) -> Iterator[Part]:
    """Yield the parts from the last stage down, each unfrozen and with a head of zeros."""
    columns = job.heads.layout.columns(job.heads.kinds[-1])
    head = zero_head(job.head_width, job.heads.classes)
    stages = len(stage_names(backbone.network))
    for count in range(1, min(stages, _MAX_STAGES + 1)):
        backbone.unfreeze(f"stages:{count}")
        pooling = StagePooling(
            backbone.backbone, reads=job.extractor.reads, orientations="one"
        ).eval()
        halves = cut(pooling, stages - count)
        network = HeadedNetwork(halves.above, head, columns)
        yield Part(f"stages:{count}", network, halves.row_width)


def _workload(job: Job) -> Workload:
    """Count the images that pass through the network in the rounds and the final training."""
    images = job.images
    sides = images.rounds[: images.min_rounds]
    trained = sum(len(train) for train, _ in sides)
    trained += round(_FINAL_SHARE * len(images)) if images.final else 0
    held_out = sum(len(rows) for _, rows in sides) * job.orientations
    trainings = len(sides) + images.final
    # Two views to fit the initial head, and all orientations to refit it.
    heads = len(images) * trainings * (2 + job.orientations)
    return Workload(trained, held_out, 2 * held_out + heads)


def _views(job: Job) -> int:
    """Return the number of images that the engine processes to fill the boundary store."""
    averaged = job.orientations > 1  # The engine runs all orientations as one image.
    return len(job.images) * (1 if averaged else job.options.views_kept)
