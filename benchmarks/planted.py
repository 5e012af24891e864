"""Planted faults in the demo's solar cells, and which of them `headstart check` finds.

python -m benchmarks.planted [DRAWS]

Each draw takes 1,000 cells of probability 0 or 1, four fifths for training, and plants: 20 exact
and 20 near copies across the split, 20 flipped labels, 10 corrupt files, 15 blurred pictures
(standard deviation 4 pixels), and one class saved as JPEG, the other as PNG; then all but the last.
"""

import random
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import elpv_dataset
from PIL import Image, ImageEnhance, ImageFilter

import headstart as hs
from benchmarks.machine import describe
from headstart.record.data_check import DataCheck

CELLS, TRAIN = 1000, 800
EXACT, NEAR, FLIPPED, CORRUPT, BLURRED = 20, 20, 20, 10, 15
CLASSES = ("functional", "defective")


@dataclass(frozen=True)
class Planted:
    """The names of the faulty images, by kind."""

    exact: list[str]
    near: list[str]
    flipped: list[str]
    corrupt: list[str]
    blurred: list[str]


def main() -> None:
    """Print what is found in each draw."""
    draws = int(sys.argv[1]) if sys.argv[1:] else 5
    print(f"machine: {describe()}", flush=True)
    for suffixes in ((".png", ".jpg"), (".png", ".png")):
        print(f"\nsaved as {' and '.join(suffixes)}\n\n{_HEADER}", flush=True)
        for draw in range(draws):
            with tempfile.TemporaryDirectory() as folder:
                cells = Path(folder) / "cells"
                planted = plant(cells, random.Random(draw), suffixes)
                _print_row(draw, planted, hs.check(cells, cache=f"{folder}/cache", progress=False))


_HEADER = """| draw | exact | near | other pairs | corrupt | blurred | others called blurred \
| flipped in the top 40 | suspects | format: AUROC | seconds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def plant(root: Path, draw: random.Random, suffixes: tuple[str, str]) -> Planted:
    """Write the data with its faults."""
    folder = Path(elpv_dataset.__file__).parent / "data"
    rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines()]
    certain = [(name, int(float(value))) for name, value, _ in rows if float(value) in (0, 1)]
    cells = draw.sample(certain, CELLS)
    order = draw.sample(range(CELLS), FLIPPED + BLURRED + CORRUPT)
    flipped, blurred = order[:FLIPPED], order[FLIPPED : FLIPPED + BLURRED]
    corrupt = order[FLIPPED + BLURRED :]
    names = {}
    for number, (name, defective) in enumerate(cells):
        label = defective ^ (number in flipped)
        picture: Image.Image = Image.open(folder / name)
        if number in blurred:
            picture = picture.filter(ImageFilter.GaussianBlur(4))
        part = "train" if number < TRAIN else "test"
        names[number] = f"{part}/{CLASSES[label]}/cell{number:04}{suffixes[label]}"
        (root / names[number]).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / names[number], quality=95)
        if number in corrupt:
            path = root / names[number]
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2] if number % 2 else b"\0" * 100)
    whole = [number for number in range(TRAIN) if number not in order]
    exact = draw.sample(whole, EXACT)
    near = draw.sample([number for number in whole if number not in exact], NEAR)
    for number in exact:
        source = root / names[number]
        target = root / "test" / source.parent.name / f"copy_{source.name}"
        shutil.copyfile(source, target)
    for number in near:
        _save_near(root, root / names[number], draw)
    return Planted(
        [names[one] for one in exact],
        [names[one] for one in near],
        [names[one] for one in flipped],
        [names[one] for one in corrupt],
        [names[one] for one in blurred],
    )


def _save_near(root: Path, source: Path, draw: random.Random) -> None:
    """Save a picture in the test part: re-encoded, half as large, or slightly brighter."""
    target = root / "test" / source.parent.name / f"near_{source.stem}"
    with Image.open(source) as picture:
        picture.load()
        way = draw.choice(("encoded", "smaller", "brighter"))
        if way == "smaller":
            picture = picture.resize((150, 150))
        if way == "brighter":
            picture = ImageEnhance.Brightness(picture).enhance(1.02)
        suffix = source.suffix
        picture.save(f"{target}{suffix}", quality=75)


def _print_row(draw: int, planted: Planted, record: DataCheck) -> None:
    leaks = [set(names) for names in record.leaks]

    def spanning(names: list[str]) -> int:
        return sum(any(name in group and len(group) > 1 for group in leaks) for name in names)

    pairs = {frozenset(one.names) for one in record.duplicates}
    known = {*planted.exact, *planted.near}
    others = sum(not (known & group) for group in pairs)
    rejected = {one.image for one in record.rejected}
    odd = {name for one in record.oddities if one.kind == "blurred" for name in one.images}
    suspects = [one.image for one in record.label_errors]
    formats = [one for one in record.shortcuts if one.trait == "the file format"]
    print(
        f"| {draw} | {spanning(planted.exact)} of {EXACT} | {spanning(planted.near)} of {NEAR} "
        f"| {others} | {len(rejected & set(planted.corrupt))} of {CORRUPT} "
        f"| {len(odd & set(planted.blurred))} of {BLURRED} | {len(odd - set(planted.blurred))} "
        f"| {len(set(suspects[:40]) & set(planted.flipped))} of {FLIPPED} | {len(suspects)} "
        f"| {f'{formats[0].classes[0].auroc:.3f}' if formats else 'not found'} "
        f"| {record.seconds:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
