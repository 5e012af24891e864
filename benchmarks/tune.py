"""What fine-tuning costs and what it gives.

    python -m benchmarks.tune [step] [epochs] [keras PYTHON] [whole] [auto [MINUTES]]
        [solar [dihedral]]

step: a training step of the whole network, ResNet50: eager float32 PyTorch against headstart's.
epochs: images per second of an epoch with the boundary store and without it, at every stage
    boundary of ResNet50 and EfficientNet-Lite0. Without: the whole network on ready arrays, the
    frozen part without gradients in PyTorch's best setting; once with headstart's gradients of
    depthwise convolutions above, and once with nothing but PyTorch.
keras: the same for Keras on TensorFlow, ResNet50 with the same part frozen; PYTHON has TensorFlow.
whole: accuracy and time of the frozen model, the tuned one and the tutorial's recipe.
auto: `--tune auto` against the better of frozen and tuned, 200-image samples too.
solar: five fixed splits of solar cells, frozen and tuned with defaults; or with what was chosen
    for cells that are read in all their turns.
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import StagePooling
from headstart.commands.demo import write_solar_cells
from headstart.engines.devices import make_engine
from headstart.engines.precision import has_bf16
from headstart.options import OrientationsOption
from headstart.tasks.single import Single
from headstart.tuning.boundary.cutting import cut
from headstart.tuning.boundary.rows import RowSource, StoredRows
from headstart.tuning.boundary.store import ViewStore
from headstart.tuning.boundary.views import ViewPlan
from headstart.tuning.pacing.timing import Setting, candidate_settings, fastest_setting
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.loop import Loop
from headstart.tuning.training.network import HeadedNetwork, zero_head
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.setup import Setup

ROUNDS, BATCH, CLASSES, IMAGES = 3, 32, 10, 96
SEEDS = range(5)
SOLAR_SIZE = 300
TUNED: dict[str, dict[str, Any]] = {"one": {}, "dihedral": {"epochs": 6, "learning_rate": 5e-4}}
"""For solar cells by how they are read; see docs/decisions/tuned-heads.md."""


def real(name: str) -> Backbone:
    """Load with real weights where they install with packages."""
    return load_backbone(name, weights="imagenet" if "lite" in name else "random")


class ReadyRows:
    """Pixels in memory, run through the frozen part in each epoch by PyTorch."""

    background, file = True, ""

    def __init__(self, pixels: torch.Tensor, below: nn.Module | None, setting: Setting) -> None:
        self._pixels, self._setting = pixels, setting
        self._below = below.eval() if below else None

    @torch.no_grad()
    def rows(self, images: Any, view: int) -> torch.Tensor:
        """See `RowSource.rows`."""
        pixels = self._pixels[torch.from_numpy(images)]
        if self._below is None:
            return pixels
        with self._setting.autocast():
            return self._below(pixels).float()


class PlainNetwork(HeadedNetwork):
    """Learns by nothing but PyTorch."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """See `HeadedNetwork.forward`."""
        with torch._C.DisableTorchFunction():
            return super().forward(rows)


def examples_of(source: RowSource, count: int) -> Examples:
    """Return so many images to learn from, of all classes."""
    images = np.arange(count)
    names = ["image"] * count
    return Examples(source, Single(), images % CLASSES, CLASSES, images, images[:0], names)


def seconds_of_an_epoch(
    network: HeadedNetwork, backbone: Backbone, source: RowSource, setting: Setting
) -> tuple[float, float]:
    """Train two epochs; return the seconds of the second, and the share of them not waited."""
    recipe = Recipe(epochs=2, batch_size=BATCH)
    examples = examples_of(source, IMAGES)
    trained = Loop(Setup(network, backbone.network, examples, recipe, setting)).run()
    return trained.history[1].seconds, trained.computing


def best_setting(network: HeadedNetwork, source: RowSource) -> Setting:
    """Time the ways to take a step, as fine-tuning does."""
    rows = source.rows(np.arange(BATCH), 0)
    ways = candidate_settings(device="cpu", bf16=has_bf16("cpu"))
    return fastest_setting(network, rows, truth(), Single(), ways)


def truth() -> torch.Tensor:
    """Return what the scores of a batch are compared with."""
    return Single().encode(np.arange(BATCH) % CLASSES, CLASSES)


def epochs(names: tuple[str, ...] = ("resnet50", "efficientnet-lite0")) -> None:
    """Print the rates at each stage boundary."""
    print(
        "| backbone | trained | row, kB | filling, images/s | with the store, images/s "
        "| without, images/s | with / without | PyTorch alone, images/s | with / PyTorch alone "
        "| computing |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        backbone = real(name)
        stages = len(stage_names(backbone.network))
        for count in range(1, stages):
            print(_epochs_at(name, count, stages - count), flush=True)


def _epochs_at(name: str, count: int, after: int) -> str:
    backbone = real(name)
    size = backbone.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    backbone.unfreeze(f"stages:{count}")
    halves = cut(StagePooling(backbone).eval(), after)
    layout = StagePooling(backbone).eval().layout()
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(
            halves.below.eval,
            size=size,
            device="cpu",
            precision="bf16" if has_bf16("cpu") else "float32",
            cache=Path(folder),
            key="below",
        )
        plan = ViewPlan(tuple((str(n), str(n)) for n in range(IMAGES)), "none", 1, 0)
        store = ViewStore(Path(folder), "bench", plan, halves.row_width, half=True)
        begin = time.perf_counter()
        fill(store, engine, pixels)
        filling = IMAGES / (time.perf_counter() - begin)
        stored = StoredRows(store)
        head, columns = zero_head(layout.width, CLASSES), slice(0, layout.width)
        ours, plain = (kind(halves.above, head, columns) for kind in (HeadedNetwork, PlainNetwork))
        quick, best = best_setting(ours, stored), best_setting(plain, stored)
        # Without: what is below runs in each step too, in the setting that is best for it.
        below = best_below(halves.below, pixels)
        ready = ReadyRows(torch.from_numpy(pixels), halves.below, below)
        ways = {
            "with": (ours, stored, quick),
            "without": (ours, ready, quick),
            "torch": (plain, ready, best),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        computing = 1.0
        for _ in range(ROUNDS):
            for way, (network, source, setting) in ways.items():
                taken, share = seconds_of_an_epoch(network, backbone, source, setting)
                seconds[way].append(taken)
                computing = min(computing, share) if way == "with" else computing
    rate = {way: IMAGES / median(values) for way, values in seconds.items()}
    return (
        f"| {name} | stages:{count} | {halves.row_width * 2 / 1000:.0f} | {filling:.0f} "
        f"| {rate['with']:.1f}, {quick.name} | {rate['without']:.1f}, below {below.name} "
        f"| {rate['with'] / rate['without']:.2f} | {rate['torch']:.1f}, {best.name} "
        f"| {rate['with'] / rate['torch']:.2f} | {computing:.1%} |"
    )


def fill(store: ViewStore, engine: Any, pixels: np.ndarray) -> None:
    """Put rows of ready arrays into a store."""
    done = 0
    batches = [pixels[at : at + 8] for at in range(0, len(pixels), 8)]
    for rows in engine.run(batches):
        store.put(np.arange(done, done + len(rows)), rows)
        done += len(rows)


def best_below(below: nn.Module, pixels: np.ndarray) -> Setting:
    """Find PyTorch's fastest setting for the frozen part."""
    batch = torch.from_numpy(pixels[:BATCH])
    ways = candidate_settings(device="cpu", bf16=has_bf16("cpu"))
    times = {}
    for way in ways:
        way.apply_layout(below)
        for _ in range(3):
            begin = time.perf_counter()
            with torch.no_grad(), way.autocast():
                below(batch)
            times[way.name] = time.perf_counter() - begin
    best = min(ways, key=lambda way: times[way.name])
    best.apply_layout(below)
    return best


def step() -> None:
    """Print images per second of a training step of the whole network."""
    print("| backbone | eager float32 torch, images/s | headstart | setting | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name in ("resnet50", "efficientnet-lite0"):
        plain, ours = real(name), real(name)
        size = plain.preprocess.size
        draw = np.random.default_rng(0)
        pixels = torch.from_numpy(draw.integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8))
        eager = _eager_step(plain, pixels)
        ours.unfreeze("all")
        pooling = StagePooling(ours, reads="last").eval()
        last = pooling.layout().columns("last")
        network = HeadedNetwork(pooling, zero_head(last.stop, CLASSES), last)
        source = ReadyRows(pixels, None, Setting())
        setting = best_setting(network, source)
        examples = examples_of(source, BATCH)
        loop = Loop(Setup(network, ours.network, examples, Recipe(epochs=99), setting))
        learn = partial(loop.step, np.arange(BATCH), source.rows(np.arange(BATCH), 0))
        ways: list[Callable[[], Any]] = [eager, learn]
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS + 1):
            for way, taken in zip(ways, times, strict=True):
                begin = time.perf_counter()
                way()
                taken.append(time.perf_counter() - begin)
        rates = [BATCH / median(taken[1:]) for taken in times]
        print(
            f"| {name} | {rates[0]:.1f} | {rates[1]:.1f} | {setting.name} "
            f"| {rates[1] / rates[0]:.2f} |",
            flush=True,
        )


def _eager_step(backbone: Backbone, pixels: torch.Tensor) -> Callable[[], None]:
    """Give a step as tutorials write it: float32, Adam, the last layer's output, a dense layer."""
    backbone.unfreeze("all")
    network = nn.Sequential(backbone, nn.Linear(backbone.width, CLASSES)).train()
    images = (pixels.permute(0, 3, 1, 2).float() / 255).contiguous()
    labels = torch.arange(len(pixels)) % CLASSES
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def run() -> None:
        loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return run


KERAS = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
images, epochs, first = int(sys.argv[1]), 3, sys.argv[2]
base = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg",
                                   input_shape=(224, 224, 3))
trained = first == "all"
for layer in base.layers:
    trained = trained or layer.name.startswith(first)
    layer.trainable = trained
model = keras.Sequential([base, keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
x = np.random.rand(images, 224, 224, 3).astype("float32")
y = np.arange(images) % 10
model.fit(x, y, batch_size=32, epochs=1, verbose=0)
begin = time.perf_counter()
model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
print(json.dumps({"rate": images * epochs / (time.perf_counter() - begin),
                  "versions": f"keras {keras.__version__}, tensorflow {tf.__version__}"}))
"""


def keras(python: str) -> None:
    """Print Keras's images per second with the same parts frozen."""
    print("| Keras, ResNet50, trained | images/s | versions |")
    print("| --- | --- | --- |")
    for part, first in (("stages:1", "conv5"), ("stages:2", "conv4"), ("all", "all")):
        done = subprocess.run(
            [python, "-c", KERAS, str(IMAGES), first], check=True, capture_output=True, text=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"| {part} | {found['rate']:.1f} | {found['versions']} |", flush=True)


def sample(table: Path, count: int, folder: Path) -> Path:
    """Write a table with so many training images of a table, drawn, and all test images."""
    rows = list(csv.DictReader(table.open()))
    draw = np.random.default_rng(0).permutation(len(rows))
    train = [rows[place] for place in draw if rows[place]["split"] == "train"][:count]
    kept = train + [row for row in rows if row["split"] == "test"]
    out = table.with_name(f"{folder.name}-{count}.csv")
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
    return out


def tables(folder: Path, *, samples: bool) -> Iterator[tuple[str, Path]]:
    """Write the data sets."""
    solar, fashion = write_solar_cells(folder / "solar"), write_fashion(folder / "fashion")
    if samples:
        yield "solar cells, 200", sample(solar, 200, folder)
        yield "Fashion-MNIST, 200", sample(fashion, 200, folder)
    yield "solar cells", solar
    yield "Fashion-MNIST, 5,000", fashion


def trained(table: Path, root: Path, **options: Any) -> dict[str, Any]:
    """Train and give the metrics."""
    out = root / f"run-{time.time_ns()}"
    return hs.train(table, out=out, cache=root / "cache", **options).metrics


def row(name: str, what: str, metrics: dict[str, Any]) -> str:
    """Give a line of a table."""
    test = metrics["test"]
    low, high = test["accuracy_ci95"]
    return (
        f"| {name} | {what} | {metrics['tuned'] or 'frozen'} | {test['accuracy']:.4f} "
        f"| {low:.3f} … {high:.3f} | {test['auroc']:.4f} | {metrics['seconds']['tune']:.0f} "
        f"| {metrics['seconds']['total']:.0f} |"
    )


def whole() -> None:
    """Print frozen, tuned and tutorial on both data sets."""
    _header()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, table in tables(root, samples=False):
            for what, options in (
                ("frozen", {}),
                ("tuned", {"tune": "stages:1"}),
                ("tutorial", {"recipe": "tutorial"}),
            ):
                print(row(name, what, trained(table, root, **options)), flush=True)


def auto(minutes: float = 5.0) -> None:
    """Print what `--tune auto` keeps beside frozen and tuned."""
    _header()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, table in tables(root, samples=True):
            print(row(name, "frozen", trained(table, root)), flush=True)
            found = trained(table, root, tune="auto", minutes=minutes)
            print(row(name, f"auto, {minutes:.0f} minutes{_held_out(found)}", found), flush=True)
            part = (found["tuning"] or {"part": "stages:1"})["part"]
            data = hs.open_images(table, cache=root / "cache")
            backbone = load_backbone(image_size=found["image_size"])
            model = hs.Classifier(backbone, classes=data.classes, cache=root / "cache")
            model.fit(data.train)
            begin = time.perf_counter()
            report = model.fine_tune(data.train, unfreeze=part, keep="always", minutes=minutes)
            test = model.evaluate(data.test)
            taken = len(report.epochs) if report else 0
            what = f"tuned, kept in any case, {taken} epochs | {part}"
            print(
                f"| {name} | {what} | {test.accuracy:.4f} | | "
                f"{test.auroc:.4f} | {time.perf_counter() - begin:.0f} | |",
                flush=True,
            )


def _held_out(metrics: dict[str, Any]) -> str:
    tuning = metrics["tuning"]
    if not tuning or tuning["loss_gain_errors"] is None:
        return ""
    return (
        f"; {len(tuning['epochs'])} epochs, held-out loss {tuning['probe_log_loss']:.4f} and "
        f"{tuning['tuned_log_loss']:.4f}, {tuning['loss_gain_errors']:+.1f} standard errors"
    )


def solar(orientations: OrientationsOption = "one", seeds: Sequence[int] = SEEDS) -> None:
    """Print the frozen and the tuned model on five splits.

    Held-out log loss is of training images that neither learnt from; epoch and head of the tuned
    model were chosen by it, which is a little kind to that. Accuracy is also given as Deitsch et
    al. do, who weigh a cell by how sure the experts were of its label.
    """
    print(
        "| seed | model | held-out loss | accuracy | weighted accuracy | AUROC | head | seconds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    options = TUNED[orientations]
    found: dict[str, list[list[float]]] = {"frozen": [], "tuned": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        for seed in seeds:
            data = hs.open_images(write_solar_cells(Path(folder), seed=seed), cache=cache)
            begin = time.perf_counter()
            model = _solar_model(data, cache, seed, orientations)
            measured = {"frozen": _solar_measured(model, data, begin)}
            begin = time.perf_counter()
            report = model.fine_tune(data.train, unfreeze="stages:1", keep="always", **options)
            assert report
            measured["tuned"] = _solar_measured(model, data, begin)
            losses = {"frozen": report.probe_log_loss, "tuned": report.tuned_log_loss}
            for name, (*values, head, seconds) in measured.items():
                numbers = [losses[name], *values]
                found[name].append(numbers)
                listed = " | ".join(f"{value:.4f}" for value in numbers)
                print(f"| {seed} | {name} | {listed} | {head} | {seconds:.0f} |", flush=True)
    for name, rows in found.items():
        listed = " | ".join(f"{value:.4f}" for value in np.mean(rows, axis=0))
        print(f"| mean | {name} | {listed} | | |")


def _solar_model(
    data: hs.Images, cache: Path, seed: int, orientations: OrientationsOption
) -> hs.Classifier:
    """Fit the frozen model, at the size that training takes."""
    backbone = load_backbone(image_size=SOLAR_SIZE, orientations=orientations)
    model = hs.Classifier(backbone, classes=data.classes, cache=cache, seed=seed)
    return model.fit(data.train)


def _solar_measured(model: hs.Classifier, data: hs.Images, begin: float) -> tuple[Any, ...]:
    """Give accuracy, weighted accuracy, AUROC, the head's kind and seconds since it was begun."""
    seconds = time.perf_counter() - begin
    told = model.probabilities_of(data.test)
    right = told.argmax(axis=1) == data.test.labels
    sure = _certainty(data.test)
    test = model.evaluate(data.test)
    weighted = float((sure * right).sum() / sure.sum())
    return test.accuracy, weighted, test.auroc, model.predictor.head.kind, seconds


def _certainty(test: hs.ImageSet) -> np.ndarray:
    """Give how sure the experts were of each cell's label: 1, or 2/3 where they were not."""
    listed = Path(test.paths[0]).parent.parent / "labels.csv"
    doubt = {Path(path).name: float(share) for path, share, _ in map(str.split, listed.open())}
    return np.array(
        [max(doubt[Path(path).name], 1 - doubt[Path(path).name]) for path in test.paths]
    )


def _header() -> None:
    print("| data | what | kept | accuracy | 95 % interval | AUROC | tuning s | total s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")


def main() -> None:
    """Run what the arguments name."""
    print(f"machine: {describe()}\n")
    given = sys.argv[1:] or ["step", "epochs", "whole", "auto", "solar"]
    known = {"step": step, "epochs": epochs, "whole": whole, "auto": auto, "solar": solar}
    for number, name in enumerate(given):
        if name == "keras":
            keras(given[number + 1])
        elif name == "auto" and given[number + 1 :] and given[number + 1].isdigit():
            auto(float(given[number + 1]))
        elif name == "solar" and given[number + 1 : number + 2] == ["dihedral"]:
            solar("dihedral")
        elif name in known:
            known[name]()
        print()


if __name__ == "__main__":
    main()
