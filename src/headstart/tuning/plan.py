"""How much of the network can be tuned in a given time: found by timing, not by guessing."""

import time
from collections.abc import Callable

import torch

from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.engines.timing import images_per_second
from headstart.features.extractor import FeatureExtractor
from headstart.heads.fitted import LinearModel
from headstart.options import TuneOptions
from headstart.tuning.halves import cut
from headstart.tuning.loop import HeadedNetwork

# Shares of the time: what is kept back for validation, checkpoints and a busy machine.
_USABLE = 0.7
_STEPS = 2


def deepest_part(
    extractor: FeatureExtractor,
    head: LinearModel,
    columns: slice,
    images: int,
    options: TuneOptions,
    say: Callable[[str], None],
) -> str | None:
    """Give the deepest "stages:N" whose training fits into the minutes, or None if none does.

    Args:
        extractor: With the backbone.
        head: Where the head starts.
        columns: Which features it reads.
        images: How many are learnt from.
        options: With `minutes`, `epochs`, `views` and `batch_size`.
        say: Told what each part would cost.
    """
    seconds = _USABLE * 60 * (options.minutes or 10.0)
    backbone = extractor.backbone
    size = backbone.preprocess.size
    views = 1 if options.augment == "none" else options.views
    filling = images * views / images_per_second(extractor.engine, size)
    deepest = None
    stages = len(stage_names(backbone.network))
    for count in range(1, stages):
        step = _seconds_of_a_step(extractor, head, columns, stages - count, options.batch_size)
        training = options.epochs * images / options.batch_size * step
        say(f"stages:{count} would take about {(filling + training) / 60:.1f} minutes.")
        if filling + training > seconds:
            break
        deepest = f"stages:{count}"
    backbone.freeze()
    return deepest


def _seconds_of_a_step(
    extractor: FeatureExtractor, head: LinearModel, columns: slice, after: int, batch: int
) -> float:
    """Time forward and backward above a boundary, on rows of noise."""
    backbone = extractor.backbone
    backbone.unfreeze(f"stages:{len(stage_names(backbone.network)) - after}")
    halves = cut(StagePooling(backbone).eval(), after)
    network = HeadedNetwork(halves.above, head, columns)
    network.eval()  # Statistics must not move.
    rows = torch.rand(batch, halves.row_width)
    times = []
    for _ in range(_STEPS + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=extractor.precision == "bf16"):
            network(rows).square().mean().backward()
        network.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
    return min(times[1:])
