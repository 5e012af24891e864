"""How fast an engine is on this machine."""

import time
from collections.abc import Iterator

import numpy as np

from headstart.engines.engine import Engine, Pixels

_SECONDS, _BATCHES = 1.0, 4


def images_per_second(engine: Engine, size: int, *, seconds: float = _SECONDS) -> float:
    """Run ready arrays of noise for a while, after a few batches to warm up.

    Args:
        engine: What to time.
        size: Side of the images, in pixels.
        seconds: How long; slow networks finish the batches that they have begun.
    """
    noise = np.random.default_rng(0).integers(
        0, 256, (engine.batch_size, size, size, 3), dtype=np.uint8
    )
    for _ in engine.run([noise] * _BATCHES):
        pass
    start, done = time.perf_counter(), 0
    for features in engine.run(_for_a_while(noise, start + seconds)):
        done += len(features)
    return done / (time.perf_counter() - start)


def _for_a_while(batch: Pixels, end: float) -> Iterator[Pixels]:
    for _ in range(_BATCHES):
        yield batch
    while time.perf_counter() < end:
        yield batch
