"""Time to check and to decode uncompressed DICOM files, beside pydicom in two processes.

python -m benchmarks.dicom [FILES]

pydicom reads each file, and applies modality LUT and window as its documentation shows, and scales
the result to 8 bits. Headstart also hashes the file and makes the thumbnail that finds duplicates
(check), or resizes it to 224 pixels (decode). All read from the disk cache, in turns.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from tests.data.medical.files import dicom_of

from benchmarks.machine import describe
from headstart.data.checks import scan
from headstart.data.manifest import Entry
from headstart.data.preprocessing import Preprocess
from headstart.features.batches import pixel_batches
from headstart.files import file_sha256
from headstart.tasks.single import Single

SIDE, TURNS = 2048, 3
HASHES: dict[str, str] = {}


def by_pydicom(file: str) -> int:
    """Read a file as pydicom's documentation shows."""
    dataset = pydicom.dcmread(file)
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    top = 2**dataset.BitsStored - 1
    return int((shown / top * 255).astype(np.uint8)[0, 0])


def checked(files: list[str]) -> None:
    """Check files as `train` does."""
    scan([Entry(file, file, "a") for file in files], task=Single())


def decoded(files: list[str]) -> None:
    """Decode files as the extraction does."""
    with pixel_batches([(HASHES[file], file) for file in files], 16, Preprocess(224)) as batches:
        for _ in batches:
            pass


def seconds(run: Callable[[list[str]], object], files: list[str]) -> float:
    """Return the time of one run."""
    begin = time.perf_counter()
    run(files)
    return time.perf_counter() - begin


def main() -> None:
    """Print files per second."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"machine: {describe()}; {count} files of {SIDE} x {SIDE} pixels in 12 bits\n")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        files = []
        for number in range(count):
            pixels = rng.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
            file = Path(folder) / f"{number}.dcm"
            file.write_bytes(dicom_of(pixels, WindowCenter=2048, WindowWidth=3000))
            files.append(str(file))
            HASHES[str(file)] = file_sha256(file)
        ways: dict[str, Callable[[list[str]], object]] = {
            "pydicom, two processes": lambda part: list(pool.map(by_pydicom, part, chunksize=8)),
            "check": checked,
            "decode": decoded,
        }
        before = {name: seconds(run, files[: count // 4]) for name, run in ways.items()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        best = dict.fromkeys(ways, np.inf)
        for _ in range(TURNS):
            for name, run in ways.items():
                best[name] = min(best[name], seconds(run, files))
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    assert before
    print("| way | files/s | ratio |\n| --- | --- | --- |")
    first = best["pydicom, two processes"]
    for name, taken in best.items():
        print(f"| {name} | {count / taken:.0f} | {first / taken:.2f} |")
    print(f"\nPeak memory after a quarter of the files and after all: +{growth:.0f} MB")


if __name__ == "__main__":
    main()
