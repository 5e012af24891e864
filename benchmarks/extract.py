"""Extraction: from files, against ready arrays, against eager PyTorch; and how it grows.

    python -m benchmarks.extract [speed] [growth] [half] [jpeg]

Images are the demo's 300 px PNGs, seen at 224 px. Figures are medians of several rounds, in which
the ways take turns, so that a slow moment of the machine meets all of them.
"""

import csv
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import describe
from headstart import open_images
from headstart.backbones.backbone import load_backbone
from headstart.backbones.pooling import StagePooling
from headstart.classifier import Classifier
from headstart.commands.demo import write_solar_cells
from headstart.data.decoding import decode_image
from headstart.features.batches import pixel_batches
from headstart.features.extraction import extract
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.features.store import FeatureStore

ROUNDS, IMAGES, EAGER = 5, 2048, 256


def solar_files(folder: Path) -> dict[str, str]:
    """Give path by sha256 of the demo's photos."""
    with write_solar_cells(folder).open() as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    return {hashlib.sha256(Path(path).read_bytes()).hexdigest(): path for path in paths}


def speed() -> None:
    """Compare images per second of the ways to get features."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = dict(list(solar_files(root).items())[:IMAGES])
        extractor = FeatureExtractor(load_backbone(image_size=224), cache=root)
        engine, preprocess = extractor.engine, extractor.backbone.preprocess
        network = StagePooling(extractor.backbone).eval()
        with pixel_batches(files.items(), engine.batch_size, preprocess) as batches:
            arrays = list(batches)
        eager_arrays = [torch.from_numpy(np.concatenate(arrays)[:EAGER])]

        def from_files() -> None:
            table = FeatureStore(root / f"store-{time.time_ns()}").table(extractor.fingerprint)
            extract(files, table, engine, preprocess)

        def from_arrays() -> None:
            for _ in engine.run(arrays):
                pass

        def decode_only() -> None:
            with pixel_batches(files.items(), engine.batch_size, preprocess) as batches:
                for _ in batches:
                    pass

        @torch.inference_mode()
        def eager() -> None:
            for images in eager_arrays[0].split(32):
                network(images)

        ways: dict[str, tuple[Callable[[], None], int]] = {
            "from files, into the store": (from_files, len(files)),
            "same engine, ready arrays": (from_arrays, len(files)),
            "decoding and resizing alone": (decode_only, len(files)),
            "eager PyTorch float32, ready arrays": (eager, EAGER),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, (way, count) in ways.items():
                start = time.perf_counter()
                way()
                rates[name].append(count / (time.perf_counter() - start))
    base = np.array(rates["same engine, ready arrays"])
    print("| way | images/s (median) | of the engine on ready arrays |")
    print("| --- | --- | --- |")
    for name, values in rates.items():
        print(f"| {name} | {np.median(values):.0f} | {np.median(np.array(values) / base):.3f} |")
    decode = np.array(rates["decoding and resizing alone"])
    bound = np.median((1 / base) / (1 / base + 1 / decode))
    print(f"\nBoth share all cores, so from files can reach at most {bound:.3f}.\n")


def growth() -> None:
    """Measure time and peak memory for 1,000 to 20,000 different images, each in a new process."""
    print("| images | seconds | images/s | peak memory, MB |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        sources = list(solar_files(Path(folder)).values())
        for number in range(20_000):
            with Image.open(sources[number % len(sources)]) as image:
                pixels = np.array(image)
            pixels[0, :8] = np.frombuffer(number.to_bytes(8, "big"), np.uint8)
            Image.fromarray(pixels).save(photos / f"{number:05d}.png", compress_level=1)
        for count in (1_000, 2_000, 5_000, 10_000, 20_000):
            command = [sys.executable, "-m", "benchmarks.extract", "child", str(photos), str(count)]
            print(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout,
                end="",
            )


def child(photos: str, count: str) -> None:
    """Extract some images and print a row of the table of growth."""
    paths = sorted(Path(photos).iterdir())[: int(count)]
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): str(path) for path in paths}
    with tempfile.TemporaryDirectory() as folder:
        extractor = FeatureExtractor(load_backbone(image_size=224), cache=Path(folder))
        table = FeatureStore(Path(folder) / "features").table(extractor.fingerprint)
        start = time.perf_counter()
        extract(files, table, extractor.engine, extractor.backbone.preprocess)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {len(files):,} | {seconds:.1f} | {len(files) / seconds:.0f} | {peak:.0f} |")


def half() -> None:
    """Count predictions that change when features are kept in half precision."""
    print("| precision of the network | test images | labels that change | largest change |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images = open_images(write_solar_cells(root), cache=root)
        for precision in ("bf16", "float32"):
            model = Classifier(
                load_backbone(image_size=224),
                classes=images.classes,
                precision=precision,
                cache=root / precision,
            )
            files = list(zip(images.all.paths, images.all.sha256s, strict=True))
            with pixel_batches(
                [(sha256, path) for path, sha256 in files], 8, model.backbone.preprocess
            ) as batches:
                exact = np.concatenate(list(model.extractor.engine.run(batches)))
            row = {sha256: number for number, sha256 in enumerate(images.all.sha256s)}
            train = exact[[row[sha256] for sha256 in images.train.sha256s]]
            test = exact[[row[sha256] for sha256 in images.test.sha256s]]
            told = []
            for kind in ("float32", "float16"):
                model.fit_features(images.train, as_stored(train, kind), kind)
                told.append(model.predictor.probabilities(as_stored(test, kind)))
            changed = int((told[0].argmax(1) != told[1].argmax(1)).sum())
            print(
                f"| {precision} | {len(test)} | {changed} | {np.abs(told[0] - told[1]).max():.4f} |"
            )
    print()


def jpeg() -> None:
    """Count predictions that change when large JPEGs are decoded at reduced scale."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images = open_images(write_solar_cells(root), cache=root)
        model = Classifier(load_backbone(image_size=224), classes=images.classes, cache=root)
        model.fit(images.train)
        print("| photo side | photos | labels that change | share | decode ms full → reduced |")
        print("| --- | --- | --- | --- | --- |")
        for side in (600, 1200, 2400):
            print(_jpeg_row(model, images.test.paths, side))
    print()


def _jpeg_row(model: Classifier, paths: list[str], side: int) -> str:
    files = [_large_jpeg(path, side) for path in paths]
    labels: dict[str, list[str]] = {}
    milliseconds: dict[str, float] = {}
    for way, min_side in (("full", None), ("reduced", 224)):
        start = time.perf_counter()
        images = [
            model.backbone.preprocess.pixels(decode_image(file, min_side=min_side))
            for file in files
        ]
        milliseconds[way] = 1000 * (time.perf_counter() - start) / len(files)
        labels[way] = [one.label for one in model.predict(map(Image.fromarray, images))]
    changed = sum(
        one != other for one, other in zip(labels["full"], labels["reduced"], strict=True)
    )
    return (
        f"| {side} | {len(paths)} | {changed} | {changed / len(paths):.2%} "
        f"| {milliseconds['full']:.1f} → {milliseconds['reduced']:.1f} |"
    )


def _large_jpeg(path: str, side: int) -> bytes:
    file = BytesIO()
    with Image.open(path) as image:
        large = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    large.save(file, "JPEG", quality=92)
    return file.getvalue()


def main() -> None:
    """Run the parts that the arguments name, all by default."""
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
        return
    parts = {"speed": speed, "growth": growth, "half": half, "jpeg": jpeg}
    print(f"machine: {describe()}\n")
    for name in sys.argv[1:] or list(parts):
        parts[name]()


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    main()
