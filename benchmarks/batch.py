"""Predict many files: kill it again and again and continue, and measure memory.

    python -m benchmarks.batch [kills] [memory] [IMAGES] [KILLS]

Images are the demo's photos of solar cells as JPEG, each with other pixels in a corner; every
500th file is damaged. kills: `predict --out` is killed with SIGKILL at random moments, 10 by
default, and started again; the output must have each of the 20,000 images once and the values of an
undisturbed run, to the bit. memory: the peak of a process for all images, and for a tenth of them.
"""

import csv
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

import headstart as hs
from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells

# The peak is that of the process itself: what `wait4` says includes the parent before the start.
PROGRAM = """
import sys
from pathlib import Path
from headstart.cli import main
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""
IMAGES, KILLS, DAMAGED = 20_000, 10, 500


def write_images(table: Path, folder: Path, count: int) -> Path:
    """Write so many different JPEGs."""
    folder.mkdir()
    with table.open() as file:
        sources = [row["path"] for row in csv.DictReader(file)]
    for number in range(count):
        path = folder / f"{number:06d}.jpg"
        if number % DAMAGED == DAMAGED - 1:
            path.write_bytes(b"\xff\xd8\xff damaged")
            continue
        with Image.open(sources[number % len(sources)]) as image:
            pixels = np.array(image.convert("L").resize((150, 150)))
        digits = [number >> place & 1 for place in range(16)]
        pixels[:8, :128] = np.repeat(np.array(digits, np.uint8) * 255, 8)
        Image.fromarray(pixels).save(path, quality=90)
    return folder


def command(run: Path, cache: Path, images: Path, out: Path) -> list[str]:
    """Return the command that predicts."""
    program = [sys.executable, "-c", PROGRAM, "predict", str(run), str(images)]
    return [*program, "--out", str(out), "--cache", str(cache)]


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in MB."""
    begin = time.perf_counter()
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, int(done.stdout.split()[-1]) / 1024


def kill_and_continue(run: Path, cache: Path, images: Path, kills: int) -> None:
    """Kill predictions at random moments until they are finished, and compare the output."""
    draw = random.Random(0)
    calm, out = images.with_name("calm.parquet"), images.with_name("p.parquet")
    first = sorted(images.iterdir())[0]
    begin, _ = measured(command(run, cache, first, images.with_name("first.csv")))
    whole, _ = measured(command(run, cache, images, calm))
    print("| kill | after s | was running | images kept |")
    print("| --- | --- | --- | --- |")
    for number in range(1, kills + 1):
        after = begin + draw.uniform(0, 1.5) * (whole - begin) / kills
        process = subprocess.Popen(
            command(run, cache, images, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(after)
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        parts = out.with_name(f"{out.name}.partial").glob("part-*.parquet")
        kept = sum(pq.read_metadata(part).num_rows for part in parts)
        print(f"| {number} | {after:.1f} | {running} | {kept:,} |", flush=True)
    rest, _ = measured(command(run, cache, images, out))
    table, expected = pq.read_table(out), pq.read_table(calm)
    times = Counter(table["image"].to_pylist())
    once = sum(times[str(path)] == 1 for path in images.iterdir())
    print(
        f"\nUndisturbed: {whole:.0f} s. The last run after {kills} kills: {rest:.0f} s. "
        f"{once:,} of {len(list(images.iterdir())):,} images are in the output once, in "
        f"{table.num_rows:,} rows, {table.num_rows - table['error'].null_count:,} of them with a "
        f"reason; same rows and values: {table.equals(expected)}; same bytes: "
        f"{out.read_bytes() == calm.read_bytes()}; nothing is left over: "
        f"{not out.with_name(f'{out.name}.partial').exists()}.\n"
    )


def grow(run: Path, cache: Path, images: Path) -> None:
    """Measure peak memory for a tenth of the images, and for all."""
    paths = sorted(images.iterdir())
    print("| input | output | images | seconds | images/s | peak memory, MB | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind, suffix in (("folder", ".parquet"), ("table", ".csv"), ("folder", ".json")):
        smaller = 0.0
        for count in (len(paths) // 10, len(paths)):
            given = linked(paths[:count]) if kind == "folder" else listed(paths[:count])
            out = images.with_name(f"grown-{kind}-{count}{suffix}")
            seconds, peak = measured(command(run, cache, given, out))
            ratio = f"{peak / smaller:.3f}" if smaller else ""
            smaller = smaller or peak
            figures = f"{count:,} | {seconds:.1f} | {count / seconds:.0f} | {peak:.0f} | {ratio}"
            print(f"| {kind} | {suffix} | {figures} |", flush=True)
    print()


def linked(paths: list[Path]) -> Path:
    """Return a folder with links to files."""
    folder = paths[0].parent.with_name(f"linked-{len(paths)}")
    if not folder.exists():
        folder.mkdir()
        for path in paths:
            (folder / path.name).hardlink_to(path)
    return folder


def listed(paths: list[Path]) -> Path:
    """Return a table that lists files."""
    table = paths[0].parent.with_name(f"listed-{len(paths)}.csv")
    lines = [f"{path.parent.name}/{path.name}" for path in paths]
    table.write_text("\n".join(["path", *lines]) + "\n")
    return table


def main() -> None:
    """Do what is asked for; both by default."""
    asked = [one for one in sys.argv[1:] if not one.isdigit()] or ["kills", "memory"]
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    count, kills, *_ = [*numbers, *(IMAGES, KILLS)[len(numbers) :]]
    print(f"machine: {describe()}\n")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = write_solar_cells(root / "solar")
        run, cache = root / "run", root / "cache"
        hs.train(table, out=run, cache=cache, head="linear", progress=False)
        images = write_images(table, root / "images", count)
        if "kills" in asked:
            kill_and_continue(run, cache, images, kills)
        if "memory" in asked:
            grow(run, cache, images)


if __name__ == "__main__":
    main()
