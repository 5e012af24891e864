"""Every family of the catalogue: its parts, how exact the engines are, and how fast.

    python -m benchmarks.backbones [exact] [speed] [NAME…]

exact: load, drop the classifier, freeze, split at every stage; cosine of the engine to torch in
float32, the lowest over batches of 1, 7 and 32 at the usual image size and at another one where the
architecture allows it. Weights are random at full size; those of the Lite family are real.
speed: images per second of ready arrays, features of all stages, in turns: eager torch float32,
torch's best (bf16, channels last), a bare OpenVINO loop with the best hints, headstart's engine.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import openvino as ov
import skimage.data
import torch
from PIL import Image

from benchmarks.machine import describe
from headstart.backbones.backbone import Backbone, load_backbone, with_image_size
from headstart.backbones.catalogue import CATALOGUE
from headstart.backbones.pooling import StagePooling
from headstart.backbones.weights import weights_available
from headstart.engines.devices import make_engine
from headstart.engines.engine import Engine
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.engines.precision import has_bf16, try_precisions
from headstart.errors import HeadstartError

ROUNDS, SECONDS, BATCHES = 3, 1.5, (1, 7, 32)


def loaded(name: str, image_size: int | None = None) -> Backbone:
    """Load a family with real weights where they are here, else random ones."""
    architecture = next(entry.architecture for entry in CATALOGUE if entry.name == name)
    weights = "imagenet" if weights_available(architecture) else "random"
    return load_backbone(name, weights=weights, image_size=image_size)


def images(size: int, count: int) -> np.ndarray:
    """Give crops of real photos, the same for everybody: scikit-image's cat, coffee and others."""
    photos = [
        getattr(skimage.data, name)() for name in ("chelsea", "coffee", "astronaut", "rocket")
    ]
    draw, crops = np.random.default_rng(0), []
    for number in range(count):
        photo = Image.fromarray(photos[number % len(photos)])
        side = int(min(photo.size) * draw.uniform(0.5, 1))
        left = int(draw.integers(0, photo.width - side + 1))
        top = int(draw.integers(0, photo.height - side + 1))
        box = (left, top, left + side, top + side)
        crops.append(np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box=box)))
    return np.stack(crops)


def engine_of(backbone: Backbone, precision: str, cache: Path) -> Engine:
    """Build headstart's engine for the features of all stages."""
    return make_engine(
        StagePooling(backbone).eval,
        size=backbone.preprocess.size,
        device="cpu",
        precision=precision,
        cache=cache,
        key=f"{backbone.architecture}-{backbone.preprocess.size}-{backbone.weights_sha256()[:8]}",
    )


def lowest_cosines(backbone: Backbone, cache: Path) -> dict[str, float]:
    """Compare the engines with torch in float32 at several batch sizes."""
    pixels = images(backbone.preprocess.size, max(BATCHES))
    network = StagePooling(backbone).eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(part)).numpy() for part in np.array_split(pixels, 4)]
    expected = np.concatenate(parts)
    lowest = {}
    for precision in ("float32", "bf16"):
        engine = engine_of(backbone, precision, cache)
        cosines = []
        for count in BATCHES:
            (found,) = engine.run([pixels[:count]])
            truth = expected[:count]
            norms = np.linalg.norm(found, axis=1) * np.linalg.norm(truth, axis=1)
            cosines.append(float(((found * truth).sum(axis=1) / norms).min()))
        lowest[precision] = min(cosines)
    return lowest


@torch.no_grad()
def splits_exactly(backbone: Backbone) -> bool:
    """Cut after every stage and compare with the whole, bit for bit."""
    size = backbone.preprocess.size
    sample = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    whole = backbone(sample)
    stages = len(backbone.parts().stages)
    halves = (backbone.split(after) for after in range(1, stages + 1))
    return all(torch.equal(above(below(sample)), whole) for below, above in halves)


def exact(names: Iterable[str]) -> None:
    """Print what loads, splits, converts and agrees."""
    print(
        "| backbone | weights | stages | layers | splits exactly | sizes "
        "| float32 cosine | bf16 cosine |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        backbone = loaded(name)
        entry = next(one for one in CATALOGUE if one.name == name)
        assert backbone.width == entry.width
        sizes, cosines = [], {"float32": 1.0, "bf16": 1.0}
        other = backbone.preprocess.size + 64
        for size in (backbone.preprocess.size, other - other % 32):
            try:
                sized = loaded(name, size)
            except HeadstartError:
                continue
            sizes.append(str(size))
            with tempfile.TemporaryDirectory() as cache:
                for precision, found in lowest_cosines(sized, Path(cache)).items():
                    cosines[precision] = min(cosines[precision], found)
        parts = backbone.parts()
        print(
            f"| {name} | {backbone.origin} | {len(parts.stages)} | {len(parts.layers)} "
            f"| {'yes' if splits_exactly(backbone) else 'NO'} | {', '.join(sizes)} "
            f"| {cosines['float32']:.6f} | {cosines['bf16']:.6f} |",
            flush=True,
        )


def rate(run: Callable[[], int]) -> float:
    """Run for a while; give images per second."""
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        done += run()
    return done / (time.perf_counter() - start)


def bare(engine: OpenVinoEngine, batch: np.ndarray) -> Callable[[], int]:
    """Give OpenVINO's own loop: its AsyncInferQueue over the same network and hints."""
    queue = ov.AsyncInferQueue(engine.compiled)

    def run() -> int:
        for _ in range(4):
            queue.start_async({0: batch}, share_inputs=True)
        queue.wait_all()
        return 4 * len(batch)

    return run


def eager(backbone: Backbone, batch: np.ndarray, *, best: bool) -> Callable[[], int]:
    """Give torch's loop as it comes, channels first as everybody has them, or at its best."""
    network = StagePooling(backbone).eval()
    if best:
        network = StagePooling(with_image_size(backbone, backbone.preprocess.size)).eval()
    layout = torch.channels_last if best else torch.contiguous_format
    tensor = torch.from_numpy(batch)
    if not best:  # The same shape, but with the channels of a pixel apart in memory.
        tensor = tensor.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)

    def run() -> int:
        network.to(memory_format=layout)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=best):
            network(tensor)
        return len(batch)

    return run


def speed(names: Iterable[str]) -> None:
    """Print images per second of each way."""
    print(
        "| backbone | torch float32 | torch best | bare OpenVINO | headstart float32 | headstart "
        "| / torch float32 | / bare |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        backbone = loaded(name)
        size = backbone.preprocess.size
        with tempfile.TemporaryDirectory() as cache:
            build = partial(engine_of, backbone, cache=Path(cache))
            fast = build(try_precisions(build, size).precision if has_bf16("cpu") else "float32")
            plain = engine_of(backbone, "float32", Path(cache))
            batch = images(size, fast.batch_size)

            def ours(engine: Engine, batch: np.ndarray = batch) -> Callable[[], int]:
                return lambda: sum(map(len, engine.run([batch] * 4)))

            ways = [
                eager(backbone, batch, best=False),
                eager(backbone, batch, best=True),
                bare(fast, batch),
                ours(plain),
                ours(fast),
            ]
            for way in ways:
                way()
            rounds = [[rate(way) for way in ways] for _ in range(ROUNDS)]
        rates = [median(column) for column in zip(*rounds, strict=True)]
        columns = " | ".join(f"{value:.1f}" for value in rates)
        print(
            f"| {name} | {columns} | {rates[4] / rates[0]:.1f} | {rates[4] / rates[2]:.2f} |",
            flush=True,
        )


def main() -> None:
    """Run what the arguments name, everything by default."""
    given = sys.argv[1:]
    names = [entry.name for entry in CATALOGUE if entry.name in given]
    names = names or [entry.name for entry in CATALOGUE]
    print(f"machine: {describe()}\n")
    for wanted in [one for one in ("exact", "speed") if one in given] or ["exact", "speed"]:
        {"exact": exact, "speed": speed}[wanted](names)
        print()


if __name__ == "__main__":
    main()
