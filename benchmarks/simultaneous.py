"""Whether two trainings that start at the same time with an empty, shared cache are both right.

python -m benchmarks.simultaneous [PAIRS]

Each pair trains on the same zip, tar, Parquet file or folder of 120 solar cells. Both trainings
must use all cells and write the same bundle, to the bit.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells
from headstart.data.sources import open_source

CELLS = 120
HEADSTART = (sys.executable, "-c", "from headstart.cli import main; main()")
OPTIONS = ("--deterministic", "--image-size", "96", "--head", "linear", "--json")


def main() -> None:
    """Start the pairs, one after the other, and count what they agree on."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"machine: {describe()}\n")
    print("| data | pairs | both complete | same counts | same bundle | s |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in make_data(Path(folder)).items():
            begin = time.perf_counter()
            results = [start_pair(Path(folder, f"{name}-{pair}"), data) for pair in range(pairs)]
            complete, counts, bundles = map(sum, zip(*results, strict=True))
            seconds = time.perf_counter() - begin
            row = (name, pairs, complete, counts, bundles, f"{seconds:.0f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def make_data(folder: Path) -> dict[str, Path]:
    """Write the same cells as a folder, a zip, a tar and a Parquet file of embedded images."""
    root = folder / "cells"
    entries = open_source(write_solar_cells(folder), staging=folder).entries[:CELLS]
    rows = []
    for number, entry in enumerate(entries):
        content = Path(entry.path).read_bytes()
        target = root / str(entry.label) / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        rows.append({"image": {"bytes": content, "path": target.name}, "label": entry.label})
    with zipfile.ZipFile(folder / "cells.zip", "w") as archive:
        for file in root.rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    with tarfile.open(folder / "cells.tar", "w") as tar:
        tar.add(root, "cells")
    pq.write_table(pa.Table.from_pylist(rows), folder / "cells.parquet")
    return {
        "zip": folder / "cells.zip",
        "tar": folder / "cells.tar",
        "Parquet": folder / "cells.parquet",
        "folder": root,
    }


def start_pair(folder: Path, data: Path) -> tuple[bool, bool, bool]:
    """Start two trainings; return whether both complete, with equal counts and equal bundles."""
    runs = [folder / "first", folder / "second"]
    cache = ("--cache", str(folder / "cache"))
    started = [
        subprocess.Popen(
            [*HEADSTART, "train", str(data), "--out", str(run), *cache, *OPTIONS],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for run in runs
    ]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        return False, False, False
    counts = [json.loads(text)["images"] for text in printed]
    same = counts[0] == counts[1] and sum(counts[0].values()) == CELLS
    return True, same, bundle(runs[0]) == bundle(runs[1])


def bundle(run: Path) -> dict[str, bytes]:
    """Return the content of every file of a run's bundle."""
    return {file.name: file.read_bytes() for file in (run / "bundle").iterdir()}


if __name__ == "__main__":
    main()
