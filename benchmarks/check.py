"""Time and memory of `headstart check` on clothes whose features are stored.

python -m benchmarks.check [IMAGES…]

Fashion-MNIST is Debian's package `dataset-fashion-mnist`. Each check runs in a process of its own,
the second of two, so that the network is converted and the features are in the store.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe

IMAGES = (2500, 10_000)


def main() -> None:
    """Print a row for each number of images."""
    if sys.argv[1:2] == ["run"]:
        record = hs.check(sys.argv[2], cache=sys.argv[3], progress=False)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps({"seconds": record.seconds, "megabytes": memory}))
        return
    print(f"machine: {describe()}\n\n| images | seconds | MB at most |\n| --- | --- | --- |")
    for images in map(int, sys.argv[1:]) if sys.argv[1:] else IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            table = write_fashion(Path(folder) / "data", train=images * 4 // 5, test=images // 5)
            for _ in range(2):
                found = _run(str(table), f"{folder}/cache")
        print(f"| {images:,} | {found['seconds']:.1f} | {found['megabytes']:,.0f} |", flush=True)


def _run(table: str, cache: str) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.check", "run", table, cache]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
