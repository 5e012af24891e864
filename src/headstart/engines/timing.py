"""How fast engines are on this machine."""

import time
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from headstart.arrays import Pixels
from headstart.engines.engine import Engine

_SECONDS, _BATCHES = 1.0, 4
# Fewer would leave a stream of the engine idle on two cores.
_FEWEST = 2


def images_per_second(engine: Engine, size: int, *, seconds: float = _SECONDS) -> float:
    """Run ready arrays of noise for a while, after a few batches to warm up.

    Args:
        engine: What to time.
        size: Side of the images, in pixels.
        seconds: How long; slow networks finish the batches that they have begun.
    """
    noise = _noise(engine.batch_size, size)
    for _ in engine.run([noise] * _BATCHES):
        pass
    return _rate(engine, noise, seconds, _BATCHES)


def rates_in_turns(
    engines: Sequence[tuple[Engine, int]],
    *,
    rounds: int,
    seconds: float,
    limit: float,
    images: int | None = None,
) -> list[float]:
    """Return the median images per second of each engine, timed in turns.

    A busy moment of the machine then hurts all of them and not one.

    Args:
        engines: Each with the side of its images, in pixels.
        rounds: How often each has its turn, after one to warm up.
        seconds: How long a turn is; slow networks run two batches.
        limit: After so many seconds in all no further round begins. If warming up alone took as
            long, its turns count, since a first run that slow is nearly all computing.
        images: Of a batch. Default: as many as each engine likes.
    """
    end = time.perf_counter() + limit
    found: list[list[float]] = []
    while len(found) <= rounds and (not found or time.perf_counter() < end):
        found.append(
            [
                _rate(engine, _noise(images or engine.batch_size, size), seconds, _FEWEST)
                for engine, size in engines
            ]
        )
    return [median(rates) for rates in zip(*(found[1:] or found), strict=True)]


def _rate(engine: Engine, batch: Pixels, seconds: float, fewest: int) -> float:
    start, done = time.perf_counter(), 0
    for features in engine.run(_for_a_while(batch, start + seconds, fewest)):
        done += len(features)
    return done / (time.perf_counter() - start)


def _noise(images: int, size: int) -> Pixels:
    shape = (images, size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _for_a_while(batch: Pixels, end: float, fewest: int) -> Iterator[Pixels]:
    for _ in range(fewest):
        yield batch
    while time.perf_counter() < end:
        yield batch
