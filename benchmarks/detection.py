"""Detectors: accuracy and time on a set with boxes, beside networks that are trained end to end.

    python -m benchmarks.detection accuracy DATA [SEEDS, such as 0,1,2]
    python -m benchmarks.detection baselines DATA SECONDS [SEED]
    python -m benchmarks.detection speed DATA
    python -m benchmarks.detection growth [SIZES, such as 100,200]

accuracy: `train` with the defaults, everything cold, for seeds 0 to 4. baselines: torchvision's
RetinaNet and SSDLite on the same backbone and weights, trained end to end for so many seconds, and
for four times as long; each is evaluated on the same test images by pycocotools. speed: an epoch
with stored maps and without, and prediction beside a classifier on the same backbone. growth: mAP
on 500 made-up scenes (see `scenes`), of detectors that learnt from 100 to 2,000 others. DATA is
such as https://github.com/datitran/raccoon_dataset, with its own split.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import headstart as hs
from benchmarks.machine import describe
from benchmarks.scenes import write_scenes
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.maps import StageMaps
from headstart.boxes import Detections
from headstart.data.images import ImageSet
from headstart.data.inputs import ImageInput
from headstart.detection.stored import LabelledImages
from headstart.detection.views import DetectionViews
from headstart.evaluation.boxes.coco_metrics import measure_coco
from headstart.features.batches import pixel_batches
from headstart.predictor.placed import decode_placed

SIZE, BATCH = 320, 8
SCENES = (100, 200, 500, 1000, 2000)


def accuracy(data: str, seeds: Sequence[int]) -> None:
    """Print mAP and time of `train` for each seed, with its own cold cache."""
    print("| seed | mAP50 | 95% | mAP50-95 | 95% | best epoch | maps, MB | images/s | seconds |")
    print("| --- " * 9 + "|")
    results = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            result = hs.train(
                data, seed=seed, out=Path(folder) / "run", cache=Path(folder), progress=False
            )
            seconds = time.perf_counter() - begin
        test, course = result.record.test, result.record.detection
        results.append((test.map50.value, test.map.value, seconds))
        print(
            f"| {seed} | {test.map50.value:.3f} | {_interval(test.map50.ci95)} | "
            f"{test.map.value:.3f} | {_interval(test.map.ci95)} | {course.best_epoch} of "
            f"{len(course.history)} | {course.store_bytes / 1e6:.0f} | "
            f"{course.images_per_second:.0f} | {seconds:.0f} |",
            flush=True,
        )
    mean = np.mean(results, axis=0)
    print(f"| mean | {mean[0]:.3f} | | {mean[1]:.3f} | | | | | {mean[2]:.0f} |")


def _interval(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""


class Maps(nn.Module):
    """The maps of the last three stages of a backbone, as torchvision's detectors take them."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.network = backbone.network
        with torch.no_grad():
            self.channels = [stage.shape[1] for stage in self(torch.zeros(1, 3, 64, 64)).values()]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps, the finest first."""
        stages = self.network.forward_intermediates(images, intermediates_only=True)[-3:]
        return {str(number): stage for number, stage in enumerate(stages)}


class Pyramid(nn.Module):
    """A feature pyramid on the maps."""

    def __init__(self, maps: Maps, width: int) -> None:
        super().__init__()
        self.maps, self.out_channels = maps, width
        self.pyramid = FeaturePyramidNetwork(
            maps.channels, width, extra_blocks=LastLevelP6P7(width, width)
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return five levels."""
        levels: dict[str, Tensor] = self.pyramid(self.maps(images))
        return levels


class Levels(nn.Module):
    """The maps and three smaller ones, as SSDLite has them."""

    def __init__(self, maps: Maps) -> None:
        super().__init__()
        self.maps = maps
        widths = [maps.channels[-1], 256, 256, 128]
        self.extra = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs // 2, 1, bias=False),
                nn.BatchNorm2d(outputs // 2),
                nn.ReLU6(inplace=True),
                nn.Conv2d(outputs // 2, outputs, 3, 2, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU6(inplace=True),
            )
            for inputs, outputs in pairwise(widths)
        )
        self.channels = [*maps.channels, *widths[1:]]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return six maps."""
        levels = list(self.maps(images).values())
        for layer in self.extra:
            levels.append(layer(levels[-1]))
        return {str(number): level for number, level in enumerate(levels)}


def retinanet(classes: int) -> nn.Module:
    """Return RetinaNet on EfficientNet-Lite0."""
    maps = Maps(_trainable())
    sizes = tuple(
        (side, round(side * 1.26), round(side * 1.59)) for side in (32, 64, 128, 256, 512)
    )
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    return RetinaNet(
        *(Pyramid(maps, 256), classes + 1),
        anchor_generator=anchors,
        min_size=SIZE,
        max_size=SIZE,
        **_normalised(),
    )


def ssdlite(classes: int) -> nn.Module:
    """Return SSDLite on EfficientNet-Lite0."""
    levels = Levels(Maps(_trainable()))
    anchors = DefaultBoxGenerator([[2, 3] for _ in levels.channels], min_ratio=0.2, max_ratio=0.95)
    head = SSDLiteHead(
        levels.channels, anchors.num_anchors_per_location(), classes + 1, nn.BatchNorm2d
    )
    return SSD(levels, anchors, (SIZE, SIZE), classes + 1, head=head, **_normalised())


def _trainable() -> Backbone:
    backbone = load_backbone("efficientnet-lite0", image_size=SIZE, fit="pad")
    return backbone.unfreeze("all")


def _normalised() -> dict[str, list[float]]:
    preprocess = load_backbone("efficientnet-lite0").preprocess
    return {"image_mean": list(preprocess.mean), "image_std": list(preprocess.std)}


def baselines(data: str, seconds: float, seed: int) -> None:
    """Print mAP of networks that are trained end to end."""
    images = hs.open_images(data, progress=False)
    train, test = (LabelledImages.of(part, images.classes) for part in (images.train, images.test))
    print("| network | seconds | epochs | mAP50 | mAP50-95 |")
    print("| --- " * 5 + "|")
    for name, build in (("RetinaNet", retinanet), ("SSDLite", ssdlite)):
        for limit in (seconds, 4 * seconds):
            torch.manual_seed(seed)
            network = build(len(images.classes))
            epochs = _train(network, train, limit, seed)
            result = measure_coco(
                test.boxes,
                _detect(network, images.test),
                test.sizes,
                images.classes,
                by_size=False,
            )
            print(
                f"| {name} | {limit:.0f} | {epochs:.1f} | {result.map50:.3f} | {result.map:.3f} |",
                flush=True,
            )


def _train(network: nn.Module, images: LabelledImages, seconds: float, seed: int) -> float:
    """Train with AdamW, a warm-up and a cosine by time, on new views in each epoch."""
    network.train()
    groups: list[dict[str, Any]] = [
        {"params": [p for n, p in network.named_parameters() if ".network." in n], "rate": 3e-4},
        {
            "params": [p for n, p in network.named_parameters() if ".network." not in n],
            "rate": 1e-3,
        },
    ]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.05)
    begin, done = time.perf_counter(), 0
    for number, (pixels, targets) in enumerate(_batches(images, seed)):
        share = (time.perf_counter() - begin) / seconds
        if share >= 1:
            break
        factor = min(1.0, (number + 1) / 30) * (1 + np.cos(np.pi * share)) / 2
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        losses = network(list(pixels), targets)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        done += len(pixels)
    return done / len(images)


def _batches(images: LabelledImages, seed: int) -> Iterator[tuple[Tensor, list[dict[str, Tensor]]]]:
    """Yield views of the same kind as the detector's, a new one each time, without end."""
    preprocess = load_backbone("efficientnet-lite0", image_size=SIZE, fit="pad").preprocess
    plan = DetectionViews(images.files, images.sizes, preprocess, 10**6, seed)
    hashed = [(sha256, path) for path, sha256 in images.files]
    with pixel_batches(hashed, 1, plan.decoded) as decoded:
        pixels = [image[0] for image in decoded]
    rng, epoch = np.random.default_rng(seed), 0
    while True:
        order = rng.permutation(len(images))
        for part in np.array_split(order, -(-len(images) // BATCH)):
            views, targets = [], []
            for image in part.tolist():
                boxes = images.boxes[image]
                corners, visible = plan.truth(image, epoch, boxes.corners)
                views.append(plan.view(pixels[image], image, epoch))
                targets.append(
                    {
                        "boxes": torch.from_numpy(corners[visible]),
                        "labels": torch.from_numpy(boxes.classes[visible] + 1),
                    }
                )
            yield torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255, targets
        epoch += 1


@torch.no_grad()
def _detect(network: nn.Module, images: ImageSet) -> list[Detections]:
    network.eval()
    preprocess = load_backbone("efficientnet-lite0", image_size=SIZE, fit="pad").preprocess
    found = []
    for path in images.paths:
        pixels, placement = decode_placed(ImageInput.of(path), preprocess)
        (output,) = network([torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255])
        order = output["scores"].argsort(descending=True)[:100]
        found.append(
            Detections(
                placement.to_image(output["boxes"][order].numpy()),
                output["labels"][order].numpy() - 1,
                output["scores"][order].double().numpy(),
            )
        )
    return found


def speed(data: str) -> None:
    """Print the time of an epoch with stored maps and without, and of predictions."""
    images = hs.open_images(data, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        result = hs.train(data, out=Path(folder) / "run", epochs=4, cache=folder, progress=False)
        course, detector = result.record.detection, result.model
        stored = min(epoch.seconds for epoch in course.history)
        count = len(images.train) - (course.held_out if course.chosen_on == "train" else 0)
        paths = images.all.paths
        plan = DetectionViews(
            tuple(images.train.files),
            LabelledImages.of(images.train, images.classes).sizes,
            detector.preprocess,
            course.views,
            0,
        )
        begin = time.perf_counter()
        with pixel_batches(
            [(sha256, path) for path, sha256 in images.train.files], 1, plan.decoded
        ) as decoded:
            views = [plan.view(pixels[0], number, 2) for number, pixels in enumerate(decoded)]
        list(detector.engine.run(np.stack(views[at : at + 8]) for at in range(0, len(views), 8)))
        recomputed = (time.perf_counter() - begin) * count / len(views)
        maps, begin = (
            StageMaps(load_backbone(image_size=SIZE, fit="pad")).eval(),
            time.perf_counter(),
        )
        with torch.inference_mode():
            for at in range(0, len(views), 16):
                maps(torch.from_numpy(np.stack(views[at : at + 16])))
        eager = (time.perf_counter() - begin) * count / len(views)
        print(f"- an epoch of {count} images: {stored:.2f} s with stored maps, that is,")
        print(f"  {count / stored:.0f} images/s; {stored + recomputed:.2f} s if OpenVINO computes")
        print(
            f"  them each time, {stored + eager:.2f} s if eager PyTorch does, from decoded images"
        )
        table = Path(folder) / "classes.csv"
        rows = [f"{path},{'even' if number % 2 else 'odd'}" for number, path in enumerate(paths)]
        table.write_text("path,label\n" + "\n".join(rows))
        classifier = hs.train(
            table,
            out=Path(folder) / "classifier",
            image_size=SIZE,
            fit="pad",
            cache=folder,
            head="linear",
            features="last",
            progress=False,
        ).model.predictor
        rates = [
            _rate(lambda model=model: model.predict(paths)) for model in (detector, classifier)
        ]
        print(f"- predictions of files: {len(paths) * rates[0]:.0f} images/s; a classifier on the ")
        other, ratio = len(paths) * rates[1], rates[0] / rates[1]
        print(f"  same backbone at {SIZE} px {other:.0f}; ratio {ratio:.2f}")


def growth(sizes: Sequence[int]) -> None:
    """Print mAP after training on the first scenes, by their number."""
    print("| scenes | boxes | mAP50 | mAP50-95 | 95% | epochs | maps, MB | peak memory, MB | s |")
    print("| --- " * 9 + "|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        test = write_scenes(root / "test", 500, part="t10k", seed=1)
        every = json.loads(write_scenes(root / "train", max(sizes)).read_text())
        for size in sizes:
            kept = {image["id"] for image in every["images"][:size]}
            boxes = [one for one in every["annotations"] if one["image_id"] in kept]
            some = {"images": every["images"][:size], "annotations": boxes}
            data = root / "train" / f"{size}.json"
            data.write_text(json.dumps(every | some))
            code = f"from benchmarks.detection import grow; grow({str(data)!r}, {str(test)!r})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            print(f"| {size:,} | {len(boxes):,} | {done.stdout.strip()} |", flush=True)


def grow(data: str, test: str) -> None:
    """Train on scenes in this process, evaluate on others, and print the cells of a row."""
    with tempfile.TemporaryDirectory() as folder:
        begin, options = time.perf_counter(), {"cache": folder, "progress": False}
        with _memory() as memory:
            result = hs.train(data, test=0, out=Path(folder) / "run", **options)
        seconds = time.perf_counter() - begin
        found = hs.evaluate(result.run, test, **options).evaluation
        course = result.record.detection
    megabytes = course.store_bytes / 1e6
    print(
        f"{found.map50.value:.3f} | {found.map.value:.3f} | {_interval(found.map.ci95)} | "
        f"{len(course.history)} | {megabytes:.0f} | {max(memory):.0f} | {seconds:.0f}"
    )


@contextmanager
def _memory() -> Iterator[list[float]]:
    """Measure the memory of this process in MB, again and again, without files that are mapped.

    The system keeps as much of the boundary store in memory as there is room for.
    """
    measured, done = [0.0], Event()

    def measure() -> None:
        while not done.wait(0.1):
            text = Path("/proc/self/status").read_text()
            measured.append(int(text.partition("RssAnon:")[2].split()[0]) / 1e3)

    thread = Thread(target=measure)
    thread.start()
    try:
        yield measured
    finally:
        done.set()
        thread.join()


def _rate(work: Callable[[], object]) -> float:
    """Return how often work is done in a second, the best of three."""
    work()
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1 / min(times)


def main(what: str, *arguments: str) -> None:
    """Run what the command line asks for."""
    print(describe())
    if what == "growth":
        growth([int(size) for size in arguments[0].split(",")] if arguments else SCENES)
        return
    data, *rest = arguments
    if what == "accuracy":
        accuracy(data, [int(seed) for seed in rest[0].split(",")] if rest else range(5))
    elif what == "baselines":
        baselines(data, float(rest[0]), int(rest[1]) if len(rest) > 1 else 0)
    else:
        speed(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
