"""Time and memory of the search for near duplicates, and its groups beside those of all pairs.

python -m benchmarks.duplicates [million]

million: of a million images, most of them mixtures of two of 60,000 others; and that the groups of
50,000 are those of all pairs.

Thumbnails are of crops of solar cells, of smooth noise, of flat images, of flat images with a
little noise, and, one in five, of copies: JPEGs of quality 50 to 90, slightly brighter ones.
"""

import io
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import elpv_dataset
import numpy as np
from PIL import Image

from benchmarks.machine import describe
from headstart.arrays import Pairs, Rows, Thumbnail
from headstart.data.duplicates import component_labels, near_duplicates
from headstart.data.hashing import make_thumbnail

BITS, LEVELS, BRIGHTNESS, ROWS = 24, 0.6, 8.0, 4096
FEW_BITS, MORE_LEVELS = 6, 1.0


def cells() -> list[Image.Image]:
    """Return all solar cells."""
    folder = Path(elpv_dataset.__file__).parent
    return [Image.open(path).convert("L") for path in sorted(folder.rglob("*.png"))]


def image(kind: int, photos: list[Image.Image], numbers: np.random.Generator) -> Image.Image:
    """Make an image of one of four kinds."""
    if kind == 0:
        photo = photos[numbers.integers(len(photos))]
        side = int(numbers.integers(60, min(photo.size) + 1))
        left, top = (int(numbers.integers(full - side + 1)) for full in photo.size)
        return photo.crop((left, top, left + side, top + side))
    if kind == 1:
        small = np.clip(numbers.normal(numbers.integers(40, 216), 40, (8, 8)), 0, 255)
        return Image.fromarray(small.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
    level = int(numbers.integers(256))
    if kind == 2:
        return Image.new("L", (64, 64), level)
    noise = np.clip(numbers.normal(level, 3, (64, 64)), 0, 255)
    return Image.fromarray(noise.astype(np.uint8))


def copy(original: Image.Image, numbers: np.random.Generator) -> Image.Image:
    """Save an image as JPEG, and make it slightly brighter."""
    brighter = original.point([min(255, value + int(numbers.integers(4))) for value in range(256)])
    original = brighter if numbers.random() < 0.5 else original
    buffer = io.BytesIO()
    original.save(buffer, "JPEG", quality=int(numbers.integers(50, 91)))
    return Image.open(buffer).convert("L")


def thumbnails(count: int, photos: list[Image.Image], *, kinds: Sequence[float]) -> Thumbnail:
    """Make thumbnails of images of four kinds in some proportion, one in five of a copy."""
    numbers = np.random.default_rng(0)
    out: list[Thumbnail] = []
    while len(out) < count:
        made = image(int(numbers.choice(4, p=kinds)), photos, numbers)
        out.append(make_thumbnail(made))
        if numbers.random() < 0.25:
            out.append(make_thumbnail(copy(made, numbers)))
    return np.stack(out[:count])[numbers.permutation(count)]


def all_pairs(images: Thumbnail) -> Pairs:
    """Compare every pair, the first way that this was done: the reference."""
    signs = (images[:, :, 1:] > images[:, :, :-1]).reshape(len(images), -1).astype(np.float32)
    signs = signs * 2 - 1
    pairs = []
    for start in range(0, len(images), ROWS):
        found = np.argwhere(signs[start : start + ROWS] @ signs.T >= signs.shape[1] - 2 * BITS)
        found += (start, 0)
        found = found[found[:, 0] < found[:, 1]]
        for at in range(0, len(found), ROWS):
            some = found[at : at + ROWS]
            gap = images[some[:, 0]].astype(np.float32) - images[some[:, 1]]
            brightness = gap.mean(axis=(1, 2), keepdims=True)
            different = (signs[some[:, 0]] != signs[some[:, 1]]).sum(axis=1)
            limits = np.where(different <= FEW_BITS, MORE_LEVELS, LEVELS)
            close = np.abs(gap - brightness).mean(axis=(1, 2)) <= limits
            pairs.append(some[close & (np.abs(brightness[:, 0, 0]) <= BRIGHTNESS)])
    return np.concatenate(pairs)


def measured(search: Callable[[], Rows]) -> tuple[Rows, float, float]:
    """Run a search twice: return its result, its seconds, and the MB that arrays took at most."""
    begin = time.perf_counter()
    found = search()
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    search()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, seconds, peak / 1e6


def copies(groups: Rows) -> int:
    """Count the images that are copies of an earlier one."""
    return int((groups != np.arange(len(groups))).sum())


def near_copies(count: int) -> Thumbnail:
    """Make thumbnails that are all copies of each other, and all different."""
    noise = np.random.default_rng(0).integers(100, 102, (count, 16, 17), dtype=np.uint8)
    return noise + np.arange(0, 68, 4, dtype=np.uint8)


def row(images: Thumbnail, search: Callable[[Thumbnail], Rows]) -> str:
    """Measure a search and return its row of the table, without the name of the search."""
    found, seconds, memory = measured(lambda: search(images))
    return f"{copies(found):,} | {seconds:.1f} | {memory:.0f} |"


def main() -> None:
    """Print a line for each search."""
    photos = cells()
    mixed, crops, nearly_flat = (0.45, 0.4, 0.05, 0.1), (1, 0, 0, 0), (0, 0, 0, 1)
    print(f"machine: {describe()}\n")
    print("| images | what | search | copies | s | MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    images = thumbnails(10_000, photos, kinds=mixed)
    pairs = all_pairs(images)
    assert np.array_equal(near_duplicates(images), component_labels(len(images), pairs))
    every = row(images, lambda some: component_labels(len(some), all_pairs(some)))
    print(f"| 10,000 | mixed, {len(pairs):,} pairs | all pairs | {every}", flush=True)
    print(f"| 10,000 | mixed | headstart | {row(images, near_duplicates)}", flush=True)
    for name, kinds in (("mixed", mixed), ("solar cells", crops), ("nearly flat", nearly_flat)):
        images = thumbnails(100_000, photos, kinds=kinds)
        print(f"| 100,000 | {name} | headstart | {row(images, near_duplicates)}", flush=True)
    images = near_copies(100_000)
    print(f"| 100,000 | all copies | headstart | {row(images, near_duplicates)}", flush=True)


def million() -> None:
    """Print seconds and memory for a million images, and compare 50,000 with all pairs."""
    made = thumbnails(60_000, cells(), kinds=(0.4, 0.4, 0.1, 0.1))
    some = made[:50_000]
    equal = np.array_equal(near_duplicates(some), component_labels(len(some), all_pairs(some)))
    print(f"machine: {describe()}\n- 50,000: as all pairs: {equal}", flush=True)
    numbers, parts = np.random.default_rng(0), [made]
    while sum(map(len, parts)) < 1_000_000:
        share = numbers.uniform(0.3, 0.7, (len(made), 1, 1)).astype(np.float32)
        mixture = made * share + made[numbers.permutation(len(made))] * (1 - share)
        mixture += numbers.normal(0, 3, made.shape).astype(np.float32)
        parts.append(np.clip(mixture, 0, 255).astype(np.uint8))
    images = np.concatenate(parts)[:1_000_000]
    del parts
    begin = time.perf_counter()
    groups = near_duplicates(images)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"- 1,000,000: {copies(groups):,} copies in {seconds:.0f} s; in all {peak:,.0f} MB")


if __name__ == "__main__":
    million() if "million" in sys.argv else main()
