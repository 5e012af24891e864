"""Measure the speed of engines on this machine."""

import time
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from headstart.arrays import Pixels
from headstart.engines.engine import Engine

_SECONDS, _BATCHES = 1.0, 4
# With fewer batches, a stream of the engine would be idle on two cores.
_MIN_BATCHES = 2


def images_per_second(engine: Engine, size: int, *, seconds: float = _SECONDS) -> float:
    """Measure the speed of an engine on noise, after a few warm-up batches.

    Args:
        engine: The engine to time.
        size: Side of the images, in pixels.
        seconds: Duration of the measurement. Slow networks finish the batches that were started.
    """
    noise = _noise(engine.batch_size, size)
    for _ in engine.run([noise] * _BATCHES):
        pass
    return _rate(engine, noise, seconds, _BATCHES)


def interleaved_rates(
    engines: Sequence[tuple[Engine, int]],
    *,
    rounds: int,
    seconds: float,
    limit: float,
    images: int | None = None,
) -> list[float]:
    """Return the median images per second of each engine, measured in alternation.

    If the machine is busy for a moment, all engines are affected alike.

    Args:
        engines: The engines, each with the side of its images in pixels.
        rounds: Number of measurements of each engine, after a warm-up round.
        seconds: Duration of a measurement. Slow networks run at least two batches.
        limit: Number of seconds after which no further round starts. If the warm-up round alone
            takes that long, its measurement is used, since warm-up costs are then negligible.
        images: Images per batch. Default: the engine's preferred batch size.
    """
    end = time.perf_counter() + limit
    measured: list[list[float]] = []
    while len(measured) <= rounds and (not measured or time.perf_counter() < end):
        measured.append(
            [
                _rate(engine, _noise(images or engine.batch_size, size), seconds, _MIN_BATCHES)
                for engine, size in engines
            ]
        )
    return [median(rates) for rates in zip(*(measured[1:] or measured), strict=True)]


def _rate(engine: Engine, batch: Pixels, seconds: float, min_batches: int) -> float:
    start, done = time.perf_counter(), 0
    for features in engine.run(_repeat_until(batch, start + seconds, min_batches)):
        done += len(features)
    return done / (time.perf_counter() - start)


def _noise(images: int, size: int) -> Pixels:
    shape = (images, size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _repeat_until(batch: Pixels, end: float, min_batches: int) -> Iterator[Pixels]:
    for _ in range(min_batches):
        yield batch
    while time.perf_counter() < end:
        yield batch
