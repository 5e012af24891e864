"""How long it takes until something happens: imports, help, a prediction, a training.

python -m benchmarks.startup [predict] [train] [--against SRC]

Each line is the median of several fresh processes. SRC is the `src` folder of another version that
takes turns with this one; it trains its own model and has a cache of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import Image

from benchmarks.machine import describe
from headstart.commands.demo import write_solar_cells
from headstart.data.sources import open_source

PROCESSES, PHOTOS, SIZE = 5, 2500, (512, 384)
SLOW = ("torch", "timm", "sklearn", "scipy", "lance", "pyarrow")

AGAIN = """
import sys, time
import headstart as hs
model = hs.load(sys.argv[1], cache=sys.argv[2])
model.predict(sys.argv[3])
seconds = []
for _ in range(20):
    begin = time.perf_counter()
    model.predict(sys.argv[3])
    seconds.append(time.perf_counter() - begin)
slow = [name for name in sys.argv[4:] if name in sys.modules]
print(sorted(seconds)[10], *slow)
"""


@dataclass(frozen=True)
class Version:
    """A version of Headstart.

    Attributes:
        name: In the table.
        source: Its `src` folder, or None for the installed one.
        folder: For its runs and its cache.
    """

    name: str
    source: str | None
    folder: Path

    def run(self, *arguments: str | Path) -> str:
        """Run Python in a fresh process, and return what it prints."""
        environment = os.environ | ({"PYTHONPATH": self.source} if self.source else {})
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def command(self, *arguments: str | Path) -> str:
        """Run `headstart` in a fresh process, and return what it prints."""
        return self.run("-c", "from headstart.cli import main; main()", *arguments)

    def seconds(self, *arguments: str | Path) -> float:
        """Time a command in a fresh process."""
        begin = time.perf_counter()
        self.command(*arguments)
        return time.perf_counter() - begin

    @property
    def cache(self) -> tuple[str, Path]:
        """The option that names its cache."""
        return "--cache", self.folder / "cache"


def versions(folder: Path, against: str | None) -> list[Version]:
    """Return this version, and the other one if there is one."""
    this = Version("this", None, folder / "this")
    return [this, Version("other", against, folder / "other")] if against else [this]


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["predict", "train"])
    parser.add_argument("--against")
    given = parser.parse_args()
    print(f"machine: {describe()}\n")
    with tempfile.TemporaryDirectory() as folder:
        compared = versions(Path(folder), given.against)
        cells = write_solar_cells(Path(folder) / "images")
        for name in given.what:
            {"predict": predict, "train": train}[name](compared, cells)


def predict(compared: list[Version], cells: Path) -> None:
    """Time imports, help, and predictions of a model whose network is converted."""
    image = next(cell.path for cell in open_source(cells, staging=cells.parent).entries)
    print("| version | what | seconds |")
    print("| --- | --- | --- |")
    for version in compared:
        options = ("--image-size", "224", "--head", "linear", *version.cache)
        version.command("train", cells, "--out", version.folder / "run", *options)
    for version in compared:
        for what, code in (("Python alone", "pass"), ("import headstart", "import headstart")):
            print(f"| {version.name} | {what} | {_seconds(version, code):.2f} |")
    for what, arguments in (
        ("headstart --help", ("--help",)),
        ("headstart predict, one image", ("predict", "RUN", image)),
    ):
        times: dict[str, list[float]] = {version.name: [] for version in compared}
        for _ in range(PROCESSES):
            for version in compared:
                run = version.folder / "run"
                given = [run if one == "RUN" else one for one in arguments]
                more = version.cache if "RUN" in arguments else ()
                times[version.name].append(version.seconds(*given, *more))
        for name, found in times.items():
            print(f"| {name} | {what} | {median(found):.2f} |")
    for version in compared:
        cache = version.folder / "cache"
        seconds, *slow = version.run(
            "-c", AGAIN, version.folder / "run", cache, image, *SLOW
        ).split()
        imported = ", ".join(slow) or "none"
        print(f"| {version.name} | a further image | {float(seconds):.3f} |")
        print(f"| {version.name} | imported of {', '.join(SLOW)} | {imported} |")


def train(compared: list[Version], cells: Path) -> None:
    """Time a training from the outside and by its own clock, with an empty cache and a full one."""
    photos = cells.parent / "photos"
    for label, cell, path in _numbered(cells):
        (photos / label).mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").resize(SIZE).save(photos / label / f"{cell}.jpg")
    print(f"\n{PHOTOS:,} JPEGs of {SIZE[0]} x {SIZE[1]} pixels, made from solar cells:\n")
    print("| version | cache | outside, s | its own clock, s | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for cache in ("empty", "full", "full"):
        for version in compared:
            out = ("--out", version.folder / "photos", "--overwrite")
            begin = time.perf_counter()
            printed = version.command("train", photos, "--json", *out, *version.cache)
            outside = time.perf_counter() - begin
            own = json.loads(printed)["seconds"]["total"]
            print(
                f"| {version.name} | {cache} | {outside:.1f} | {own:.1f} | {outside / own:.2f} |",
                flush=True,
            )


def _numbered(cells: Path) -> Iterator[tuple[str, int, str]]:
    entries = open_source(cells, staging=cells.parent).entries[:PHOTOS]
    for number, entry in enumerate(entries):
        assert entry.label
        yield entry.label, number, entry.path


def _seconds(version: Version, code: str) -> float:
    found = []
    for _ in range(PROCESSES):
        begin = time.perf_counter()
        version.run("-c", code)
        found.append(time.perf_counter() - begin)
    return median(found)


if __name__ == "__main__":
    main()
