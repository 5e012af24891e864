"""Kill a training at random moments of extraction; the next one must end with the same predictions.

python -m benchmarks.kills [KILLS]
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells

HEADSTART = str(Path(sys.executable).with_name("headstart"))


def command(table: Path, cache: Path, out: Path) -> list[str]:
    """Give the training's command line."""
    options = ["--json", "--cache", str(cache), "--out", str(out), "--head", "linear"]
    return [HEADSTART, "train", str(table), *options]


def train(table: Path, cache: Path, out: Path) -> float:
    """Run a training to its end; give its seconds."""
    start = time.perf_counter()
    subprocess.run(command(table, cache, out), check=True, capture_output=True)
    return time.perf_counter() - start


def killed(table: Path, cache: Path, out: Path, after: float) -> bool:
    """Start a training and kill it; tell whether it was still running."""
    process = subprocess.Popen(
        command(table, cache, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def predictions(run: Path, images: Path) -> str:
    """Give every probability that a run's model tells for a folder."""
    done = subprocess.run(
        [HEADSTART, "predict", str(run), str(images), "--json"], check=True, capture_output=True
    )
    return json.dumps(json.loads(done.stdout))


def main() -> None:
    """Kill as often as asked, 20 times by default."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    draw = random.Random(0)
    print(f"machine: {describe()}\n")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = write_solar_cells(root / "data")
        photos = root / "photos"
        photos.mkdir()
        with table.open() as file:
            for line in list(file)[1:101]:
                source = Path(line.split(",")[0])
                (photos / source.name).symlink_to(source)
        whole = train(table, root / "calm", root / "run-calm")
        expected = predictions(root / "run-calm", photos)
        same = 0
        print("| kill | after s | was running | features kept | next run s | same predictions |")
        print("| --- | --- | --- | --- | --- | --- |")
        for number in range(1, kills + 1):
            cache, out = root / f"cache-{number}", root / f"run-{number}"
            after = draw.uniform(0.3, 0.85) * whole
            running = killed(table, cache, out, after)
            stored = kept(cache)
            seconds = train(table, cache, out.with_name(f"{out.name}-next"))
            identical = predictions(out.with_name(f"{out.name}-next"), photos) == expected
            same += identical
            print(
                f"| {number} | {after:.1f} | {running} | {stored} | {seconds:.1f} | {identical} |",
                flush=True,
            )
    print(f"\n{same} of {kills} runs after a kill told exactly what the undisturbed run tells.")


def kept(cache: Path) -> int:
    """Count the images that have features in a cache."""
    done = subprocess.run(
        [HEADSTART, "cache", "info", "--json", "--cache", str(cache)],
        check=True,
        capture_output=True,
    )
    return sum(table["images"] for table in json.loads(done.stdout)["tables"])


if __name__ == "__main__":
    main()
