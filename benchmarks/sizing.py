"""What grows with the number of images, measured so that it can be computed for more.

    python -m benchmarks.sizing records|fragments|parts|rows

records: memory of the command per image, and bytes of the manifest, for made-up lists.
fragments: time and bytes of a commit to a feature table that has more and more fragments.
parts: parts of 256 images per second that Ray hands to workers which do nothing.
rows: bytes that the features of an image take in the store, for each family of backbones.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import describe
from headstart.arrays import Thumbnail
from headstart.backbones.backbone import load_backbone
from headstart.data.checks import Checked, scan
from headstart.data.manifest import Entry, FileInfo
from headstart.data.preprocessing import Preprocess
from headstart.features.extractor import FeatureExtractor
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore, FeatureTable
from headstart.files import size_of
from headstart.options import DecodeLimits
from headstart.tasks.single import Single

BACKBONES = (
    *("efficientnet-lite0", "mobilenet-v3-large", "resnet50", "vit-s16", "vit-b16"),
    *("convnext-tiny", "convnext-base", "swin-tiny"),
)
_WIDTH = 16


def entries(count: int) -> list[Entry]:
    """Return made-up images in 100 classes."""
    names = (f"class-{number % 100:03d}/{number:09d}.jpg" for number in range(count))
    return [Entry(name, f"/data/photos/{name}", name[:9]) for name in names]


def thumbnails(count: int) -> Thumbnail:
    """Return thumbnails of noise, no two of which are near duplicates."""
    return np.random.default_rng(0).integers(0, 256, (count, 16, 17), dtype=np.uint8)


def checked(listed: Sequence[Entry], _: DecodeLimits) -> Iterator[Checked]:
    """Yield what checking made-up images finds."""
    for number, thumbnail in enumerate(thumbnails(len(listed))):
        digest = sha256(str(number).encode()).hexdigest()
        info = FileInfo(digest, digest, width=1024, height=768, mode="RGB", has_more=False)
        yield info, thumbnail.copy()


def peak() -> float:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def listed(count: int) -> tuple[float, float]:
    """Return bytes of memory that a list of images takes, and zero for its file."""
    before = peak()
    kept = entries(count)
    return (peak() - before) * bool(kept), 0.0


def scanned(count: int) -> tuple[float, float]:
    """Return bytes of memory that the check of files takes, and those of its manifest on disk."""
    before = peak()
    found = scan(entries(count), task=Single(), check=checked)
    taken = peak() - before
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.parquet"
        pq.write_table(found.manifest, file)
        return taken, float(file.stat().st_size)


def records() -> None:
    """Print bytes per image, from the difference between two numbers of images."""
    few, many = 10_000, 30_000
    for name, measure in (("list of images", listed), ("check, with the list", scanned)):
        (memory, file), (more_memory, more_file) = (alone(measure, n) for n in (few, many))
        per = (more_memory - memory) / (many - few), (more_file - file) / (many - few)
        print(f"- {name}: {per[0]:,.0f} bytes of memory per image, manifest {per[1]:,.0f} bytes")


def alone(measure: Callable[[int], tuple[float, float]], count: int) -> tuple[float, float]:
    """Measure in a process of its own, as its peak of memory never falls."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, count).result()


def fragments() -> None:
    """Commit fragments of one row, and time a further commit at each number of them."""
    blocks = (("output", _WIDTH),)
    print("| fragments | commit, ms | opening, ms | list of fragments, kB |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        preprocess = Preprocess(size=224, mean=(0.5,) * 3, std=(0.5,) * 3)
        print_ = Fingerprint("made-up", "none", blocks, preprocess, "bf16")
        table = FeatureStore(Path(folder)).table(print_)
        table.create()
        done = 0
        for count in (10, 100, 1_000, 10_000):
            table.commit([_fragment(table, number) for number in range(done, count)])
            done = count + 5
            commits = [_timed(_commit_one(table, count + extra)) for extra in range(5)]
            opens = [_timed(table.known) for _ in range(5)]
            newest = max(Path(str(table.path)).glob("_versions/*.manifest"), key=_written)
            print(
                f"| {count:,} | {1e3 * min(commits):.1f} | {1e3 * min(opens):.1f} | "
                f"{newest.stat().st_size / 1e3:,.0f} |"
            )
        lists = size_of(Path(str(table.path)) / "_versions")
        print(f"\nAll lists together: {lists / 1e6:.1f} MB.")
        begin = time.perf_counter()
        table.compact()
        print(f"Merging them: {time.perf_counter() - begin:.1f} s.")


def _fragment(table: FeatureTable, number: int) -> str:
    key = sha256(str(number).encode()).hexdigest()
    (fragment,) = table.write_fragments([key], np.zeros((1, _WIDTH), np.float32))
    return fragment


def _commit_one(table: FeatureTable, number: int) -> Callable[[], object]:
    written = _fragment(table, number)
    return lambda: table.commit([written])


def _timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _written(file: Path) -> float:
    return file.stat().st_mtime


def parts() -> None:
    """Map a step that does nothing over the parts of a million images."""
    # Slow, and only for this.
    from headstart.cluster.joining import joined
    from headstart.cluster.mapping import divided
    from headstart.watching import SilentWatcher

    with joined("local", SilentWatcher()) as cluster:
        assert cluster
        for count in (128_000, 256_000):
            before, begin = peak(), time.perf_counter()
            first = done = 0.0
            for result in cluster.map(lambda: len, divided(entries(count))):
                first = first or time.perf_counter()
                done += result
            end = time.perf_counter()
            print(
                f"- {done / 256:,.0f} parts: first after {first - begin:.1f} s, then "
                f"{done / 256 / (end - first):,.0f} parts/s; the command's memory "
                f"+{(peak() - before) / count:,.0f} bytes per image"
            )


def rows() -> None:
    """Print the width of the features of all stages, and what the store writes for an image."""
    print("| backbone | image size | numbers per image | bytes in half precision |")
    print("| --- | --- | --- | --- |")
    for name in BACKBONES:
        weights = "imagenet" if name == "efficientnet-lite0" else "random"
        backbone = load_backbone(name, weights=weights)
        width = FeatureExtractor(backbone, cache=Path()).layout.width
        size = backbone.preprocess.size
        print(f"| {name} | {size} | {width:,} | {2 * width + 72:,} |", flush=True)


_MODES = {f.__name__: f for f in (records, fragments, parts, rows)}

if __name__ == "__main__":
    print(describe())
    _MODES[sys.argv[1]]()
