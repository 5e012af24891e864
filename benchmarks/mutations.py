"""What becomes of image files with random changes: 10,000 of each format, checked and decoded.

python -m benchmarks.mutations [COUNT] [FORMAT,...]

Each format runs in a process of its own, so that a crash or a hang is seen and its memory is known.
Peak MB is what the process needed beyond what it had before the first file. A file is checked as
in a scan, and decoded again as for training; the time is of the slower of the two, by the
processor's clock.
"""

import contextlib
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.data.mutations import SAMPLES, VOLUMES, mutate

from benchmarks.machine import describe
from headstart.data.checks import check_image
from headstart.data.decoding import decode
from headstart.data.medical.nifti import read_nifti
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits

FORMATS = SAMPLES | VOLUMES
GZIP = b"\x1f\x8b"
LONGEST = 3600
"""Seconds after which a format counts as hanging."""


@dataclass(frozen=True)
class Outcome:
    """What became of the files of a format."""

    decoded: int
    refused: int
    other: Counter[str]
    slowest: float
    peak: float


def steps_of(name: str, data: bytes, folder: Path) -> list[Callable[[], object]]:
    """Return what is done with a file: two steps for an image, one for a volume."""
    if name == "NIfTI":
        file = folder / ("x.nii.gz" if data[:2] == GZIP else "x.nii")
        file.write_bytes(data)
        return [lambda: slices_of(file)]
    return [
        lambda: check_image(data, path="x", limits=DecodeLimits()),
        lambda: decode(data, min_side=224),
    ]


def slices_of(file: Path) -> None:
    """Read all slices of a volume."""
    slices = read_nifti(file)
    for number in range(len(slices)):
        slices.levels(number)


def check_and_decode(name: str, data: bytes, folder: Path) -> tuple[bool, float]:
    """Check an image and decode it; return whether it is read, and the seconds of the slower."""
    slowest = 0.0
    for step in steps_of(name, data, folder):
        begin = time.process_time()
        try:
            step()
        except UnreadableImage:
            return False, max(slowest, time.process_time() - begin)
        slowest = max(slowest, time.process_time() - begin)
    return True, slowest


def peak() -> float:
    """Return the largest memory of the process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str, count: int) -> Outcome:
    """Change files of a format, and count what becomes of them."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes a line for each error.
    source, samples = random.Random(0), FORMATS[name]()
    counts, other, slowest = Counter[bool](), Counter[str](), 0.0
    folder = Path(tempfile.mkdtemp())
    for sample in samples:
        check_and_decode(name, sample, folder)
    before = peak()
    with quiet_libraries():
        for _ in range(count):
            data = mutate(source.choice(samples), source)
            try:
                read, seconds = check_and_decode(name, data, folder)
            except Exception as error:
                other[repr(error)[:80]] += 1
                continue
            counts[read] += 1
            slowest = max(slowest, seconds)
    return Outcome(counts[True], counts[False], other, slowest, peak() - before)


def main() -> None:
    """Print a line for each format."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"machine: {describe()}\n")
    print("| format | images | decoded | refused | other errors | slowest CPU s | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    names = sys.argv[2].split(",") if len(sys.argv) > 2 else list(FORMATS)
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            waiting = pool.apply_async(run, (name, count))
            try:
                found = waiting.get(LONGEST)
            except multiprocessing.TimeoutError:
                print(f"| {name} | {count:,} | crashed or hung | | | | |", flush=True)
                continue
        print(
            f"| {name} | {count:,} | {found.decoded:,} | {found.refused:,} | "
            f"{sum(found.other.values())} | {found.slowest:.2f} | {found.peak:.0f} |",
            flush=True,
        )
        for error, times in found.other.most_common(5):
            print(f"{times} times {error}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
