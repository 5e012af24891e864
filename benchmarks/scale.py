"""A feature store of a million images, and a linear head that is streamed from it.

python -m benchmarks.scale FOLDER [ROWS]

The features are made up: ten classes, as wide as those of EfficientNet-Lite0, appended in the
batches of an extraction. FOLDER must be empty or missing and needs 11 GB for a million rows. Each
step runs in a process of its own, whose peak memory is printed.
"""

import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from headstart.arrays import Rows
from headstart.backbones.layout import FeatureLayout
from headstart.data.preprocessing import Preprocess
from headstart.features.extraction import COMMIT_EVERY, COMPACT_EVERY
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore, FeatureTable
from headstart.files import size_of
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import HeadFit
from headstart.heads.specs import LinearHead
from headstart.heads.streaming import Blocks
from headstart.tasks.single import Single

CLASSES, _FACTORS, _BLOCK = 10, 32, 128 * COMMIT_EVERY
_LAYERS = tuple(
    (f"stage{number}.{pool}", width)
    for number, width in enumerate((16, 24, 40, 112, 320), 1)
    for pool in ("mean", "max", "std")
)
BLOCKS = (("output", 1280), *_LAYERS, ("last.max", 1280), ("last.std", 1280))


def table_in(folder: Path) -> FeatureTable:
    """Return the table of the made-up network."""
    preprocess = Preprocess(size=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    fingerprint = Fingerprint("made-up", "none", BLOCKS, preprocess, "bf16")
    return FeatureStore(folder).table(fingerprint)


def keys(count: int, first: int = 0) -> list[str]:
    """Return the hashes of made-up images."""
    return [sha256(str(number).encode()).hexdigest() for number in range(first, first + count)]


def labels(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the class of each made-up image."""
    return np.random.default_rng(1).integers(0, CLASSES, count)


def features(count: int) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Yield blocks of features: noise, and factors that columns share and classes differ in."""
    width, drawn = sum(width for _, width in BLOCKS), np.random.default_rng(2)
    centres = 0.5 * drawn.standard_normal((CLASSES, _FACTORS), np.float32)
    factors = 0.3 * drawn.standard_normal((_FACTORS, width), np.float32)
    truth = labels(count)
    for begin in range(0, count, _BLOCK):
        of_block, generator = truth[begin : begin + _BLOCK], np.random.default_rng((3, begin))
        block = generator.standard_normal((len(of_block), width), np.float32)
        drawn_factors = generator.standard_normal((len(of_block), _FACTORS), np.float32)
        yield block + (drawn_factors + centres[of_block]) @ factors


def append(folder: Path, count: int) -> str:
    """Append all rows as an extraction does, and say how fast and how large."""
    table, seconds, done, commits = table_in(folder), 0.0, 0, 0
    for block in features(count):
        names = keys(len(block), done)
        begin = time.perf_counter()
        for first in range(0, len(block), COMMIT_EVERY):
            rows = slice(first, first + COMMIT_EVERY)
            table.append(names[rows], block[rows])
            commits += 1
            if commits % COMPACT_EVERY == 0:
                table.compact()
        seconds, done = seconds + time.perf_counter() - begin, done + len(block)
        if done % (8 * _BLOCK) == 0:
            print(f"  {done:,} rows, {done / seconds:,.0f} rows/s", flush=True)
    before, begin = size_of(folder), time.perf_counter()
    table.compact()
    return (
        f"append: {done / seconds:,.0f} rows/s ({seconds:.0f} s), {before / 1e9:.2f} GB; "
        f"compaction {time.perf_counter() - begin:.0f} s, {size_of(folder) / 1e9:.2f} GB after it"
    )


def look_up(folder: Path, count: int) -> str:
    """Read the rows of 1,000 random keys, with all of them in the cache of files, then none."""
    table, generator, names = table_in(folder), np.random.default_rng(4), keys(count)
    cold, warm = list[float](), list[float]()
    deque(table.blocks(names), maxlen=0)
    for seconds in [warm] * 15 + [cold] * 5:
        if seconds is cold:
            _forget(folder)
        chosen = [names[row] for row in generator.choice(count, 1000, replace=False)]
        begin = time.perf_counter()
        table.read(chosen)
        seconds.append(time.perf_counter() - begin)
    return (
        f"look-up of 1,000 keys: {1000 * statistics.median(warm):.0f} ms, at most "
        f"{1000 * max(warm):.0f}; from disk {1000 * statistics.median(cold):.0f} ms"
    )


def head(folder: Path, count: int) -> str:
    """Stream a linear head, between two reads of all features."""
    table, names, truth, task = table_in(folder), keys(count), labels(count), Single()
    layout = FeatureLayout(BLOCKS)
    choice = HeadChoice(LinearHead(), ("last",), layout, CLASSES, task)

    def read(rows: Rows, columns: slice = slice(None)) -> Blocks:
        for places, block in table.blocks([names[row] for row in rows], columns):
            yield rows[places], block

    def timed(step: Callable[[], object]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        begin = np.array([time.perf_counter(), time.process_time()])
        step()
        return np.array([time.perf_counter(), time.process_time()]) - begin

    fits: list[HeadFit] = []
    first = timed(partial(deque, read(np.arange(count)), maxlen=0))
    seconds = timed(lambda: fits.append(choice.fit_streamed(read, truth, names)))
    second = timed(partial(deque, read(np.arange(count)), maxlen=0))
    found, ratio = fits[0].candidates[0], 2 * seconds / (first + second)
    return (
        f"all features read: {first[0]:.0f} and {second[0]:.0f} s; head: {seconds[0]:.0f} s, "
        f"{ratio[0]:.1f} reads; in time of processors {first[1]:.0f}, {second[1]:.0f} and "
        f"{seconds[1]:.0f} s, {ratio[1]:.1f} reads; accuracy "
        f"{found.accuracy:.3f} and log loss {found.log_loss:.3f} on {found.images:,} held-out rows"
    )


def _forget(folder: Path) -> None:
    """Drop the files of a folder from the operating system's cache."""
    os.sync()
    for file in filter(Path.is_file, folder.rglob("*")):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _in_new_process(step: Callable[[Path, int], str], folder: Path, count: int) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        text, memory = pool.submit(_measured, step, folder, count).result()
    print(f"- {text}; peak memory {memory / 1e6:.2f} GB", flush=True)


def _measured(step: Callable[[Path, int], str], folder: Path, count: int) -> tuple[str, int]:
    text = step(folder, count)
    return text, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run all steps, and delete the table."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    print(f"machine: {describe()}\n\n{count:,} rows of {sum(w for _, w in BLOCKS):,} columns\n")
    try:
        for step in (append, look_up, head):
            _in_new_process(step, folder, count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
