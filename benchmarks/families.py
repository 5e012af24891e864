"""Learning rates of fine-tuning for networks of several families.

    python -m benchmarks.families pretrain FOLDER [NETWORK ...]
    python -m benchmarks.families tune FOLDER [draw=0,1] [images=300,2000]
        [part=stages:1,stages:2,all] [rate=2e-4,1e-3] [network=test_vit]
    python -m benchmarks.families table FOLDER

pretrain: teach a small network of each family five classes of Fashion-MNIST, each in four turns,
    and write its weights to FOLDER/NETWORK.safetensors, which `load_backbone` reads.
tune: fine-tune these networks on the other five classes with each rate, from a linear head, and add
    a line to FOLDER/cells.jsonl for each training; trainings that are in it are not repeated.
    Arguments narrow what is trained.
table: print the mean change of the test log loss and accuracy from the frozen model.

No weights of these families install with packages. Small networks that have seen 30,000 small
pictures are a weak substitute for weights of ImageNet, so test_efficientnet stands beside them:
its family was measured with real weights. Fashion-MNIST is Debian's `dataset-fashion-mnist`.
"""

import copy
import csv
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby, product
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

import headstart as hs
from benchmarks.fashion import CLASSES, read_fashion, write_fashion
from benchmarks.machine import describe
from headstart.data.images import ImageSet
from headstart.tasks.single import Single

NETWORKS = ("test_resnet", "test_convnext", "test_vit", "small_swin", "test_efficientnet")
PRETRAINED = ("T-shirt", "Trouser", "Pullover", "Sandal", "Bag")
TUNED = tuple(name for name in CLASSES if name not in PRETRAINED)
SIZE, TURNS, BATCH = 64, 4, 64
PRETRAINING_RATE, PRETRAINING_EPOCHS = 2e-3, {"test_vit": 6}  # Two for the others.
PARTS = ("stages:1", "stages:2", "all")
IMAGES = (300, 2000)
DRAWS, RATES = (0, 1), (2e-4, 1e-3, 2e-3, 5e-3)
EPOCHS, HELD_OUT, POOL, TEST = 10, 300, 10_000, 4000
TASK = Single()


@register_model
def small_swin(pretrained: bool = False, **options: object) -> SwinTransformer:
    """Build a Swin with 5 of Swin-T's 12 blocks and a third of its width, for 64 pixels."""
    assert not pretrained
    shape = {"img_size": SIZE, "window_size": 4, "embed_dim": 32}
    shape |= {"depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}
    network = timm.create_model("swin_tiny_patch4_window7_224", **(shape | options))
    assert isinstance(network, SwinTransformer)
    return network


class Key(NamedTuple):
    """What identifies a training.

    Attributes:
        network: timm's name.
        part: The part that is trained.
        images: Number of training images, without those held out.
        draw: Number of the draw.
        rate: Peak learning rate.
    """

    network: str
    part: str
    images: int
    draw: int
    rate: float


@dataclass(frozen=True)
class Cell:
    """A training and what it gave on the test part.

    Attributes:
        key: What identifies the training.
        frozen: Log loss and accuracy of the frozen model.
        tuned: Log loss and accuracy of the tuned model.
        epochs: Epochs that were run.
        seconds: Processor time of the training.
    """

    key: Key
    frozen: tuple[float, float]
    tuned: tuple[float, float]
    epochs: int
    seconds: float


def main() -> None:
    """Do what the arguments name."""
    mode, folder, *rest = sys.argv[1:]
    torch.set_num_threads(1)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    print(f"machine: {describe()}\n", flush=True)
    if mode == "pretrain":
        for name in rest or NETWORKS:
            if not _weights(root, name).exists():
                _pretrain(name, _weights(root, name))
    elif mode == "tune":
        _tune(root, _plan(rest))
    else:
        _print_tables(_read_cells(root))


def _weights(root: Path, name: str) -> Path:
    return root / f"{name}.safetensors"


def _pretrain(name: str, path: Path) -> None:
    """Train a network to tell the classes and turns of pictures apart, and write its weights."""
    torch.manual_seed(0)
    pixels, targets = _pretraining_images()
    backbone = hs.load_backbone(name, weights="random", image_size=SIZE).unfreeze("all").train()
    network = nn.Sequential(backbone, nn.Linear(backbone.width, len(PRETRAINED) * TURNS)).train()
    prepare = partial(_prepare, mean=backbone.preprocess.mean, std=backbone.preprocess.std)
    epochs = PRETRAINING_EPOCHS.get(name, 2)
    steps = epochs * len(pixels) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PRETRAINING_RATE, total_steps=steps)
    begin, right = time.process_time(), 0
    order = torch.cat([torch.randperm(len(pixels)) for _ in range(epochs)])
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH]
        images, turns = _turn(pixels[rows])
        truth = targets[rows] * TURNS + turns
        with torch.autocast("cpu", torch.bfloat16, enabled="vit" not in name):
            scores = network(prepare(images)).float()
        optimiser.zero_grad()
        nn.functional.cross_entropy(scores, truth, label_smoothing=0.05).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        right += int((scores.argmax(1) == truth).sum())
        if step % 100 == 99:
            seconds = time.process_time() - begin
            print(f"{name}: step {step + 1} of {steps}, {right / 6400:.3f}, {seconds:.0f} s")
            sys.stdout.flush()
            right = 0
    save_file(backbone.network.state_dict(), path)


def _pretraining_images() -> tuple[Tensor, Tensor]:
    """Return all training pictures of the classes to learn first, (images, 28, 28), and targets."""
    pixels, labels = read_fashion("train")
    classes = [CLASSES.index(name) for name in PRETRAINED]
    rows = np.flatnonzero(np.isin(labels, classes))
    targets = np.array([classes.index(label) for label in labels[rows]])
    return torch.from_numpy(pixels[rows]), torch.from_numpy(targets)


def _turn(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror a batch or not, shift it by up to two pixels, and turn each image."""
    images = images.flip(2) if torch.rand(()) < 0.5 else images
    down, right = torch.randint(-2, 3, (2,)).tolist()
    images, turns = images.roll((down, right), (1, 2)), torch.arange(len(images)) % TURNS
    turned = [images[turn::TURNS].rot90(turn, (1, 2)) for turn in range(TURNS)]
    out = torch.empty_like(images)
    for turn in range(TURNS):
        out[turn::TURNS] = turned[turn]
    return out, turns


def _prepare(images: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Resize and normalise images as the backbone expects them."""
    scaled = nn.functional.interpolate(images[:, None] / 255, size=SIZE, mode="bicubic")
    centre, width = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (mean, std))
    return (scaled.expand(-1, 3, -1, -1) - centre) / width


def _plan(arguments: Sequence[str]) -> list[Key]:
    """Return the trainings that the arguments name, all by default."""
    chosen = dict(argument.split("=") for argument in arguments)

    def values(name: str, default: Sequence[str]) -> Sequence[str]:
        return chosen[name].split(",") if name in chosen else default

    grid = product(
        map(int, values("draw", list(map(str, DRAWS)))),
        map(int, values("images", list(map(str, IMAGES)))),
        values("network", NETWORKS),
        values("part", PARTS),
        map(float, values("rate", list(map(str, RATES)))),
    )
    return [Key(network, part, images, draw, rate) for draw, images, network, part, rate in grid]


def _tune(root: Path, plan: Sequence[Key]) -> None:
    """Train all cells that are missing."""
    done = {cell.key for cell in _read_cells(root)}
    missing = [key for key in plan if key not in done]
    with tempfile.TemporaryDirectory() as folder:
        data = hs.open_images(_table(Path(folder)), cache=Path(folder) / "cache", progress=False)
        for (draw, images, name), keys in groupby(missing, attrgetter("draw", "images", "network")):
            train, held_out = _draw(data.train, draw, images)
            backbone = hs.load_backbone(name, weights=_weights(root, name), image_size=SIZE)
            with tempfile.TemporaryDirectory() as cache:
                sides = train, held_out, data.test
                for cell in _cells(backbone, sides, list(keys), Path(cache)):
                    print(json.dumps(asdict(cell)), flush=True)
                    with (root / "cells.jsonl").open("a") as file:
                        file.write(json.dumps(asdict(cell)) + "\n")


def _table(folder: Path) -> Path:
    """Write images of the other classes, and a table that lists them."""
    table = write_fashion(folder / "fashion", train=POOL, test=TEST)
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in TUNED]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def _draw(pool: ImageSet, draw: int, size: int) -> tuple[ImageSet, ImageSet]:
    """Return training and held-out images; two draws have no image in common."""
    half = len(pool) // 2
    rows = np.random.default_rng(0).permutation(len(pool))[draw * half : (draw + 1) * half]
    return pool.take(np.sort(rows[:size])), pool.take(np.sort(rows[-HELD_OUT:]))


def _cells(
    backbone: hs.Backbone,
    sides: tuple[ImageSet, ImageSet, ImageSet],
    keys: Sequence[Key],
    cache: Path,
) -> Iterator[Cell]:
    """Fit the frozen model, and yield each training from it on."""
    train, held_out, test = sides
    options = {"cache": cache, "deterministic": True}
    frozen = hs.Classifier(backbone, "linear", classes=train.classes, **options)
    frozen.fit(train, val=held_out, progress=False)
    before = _measure(frozen, test)
    for key in keys:
        begin, model = time.process_time(), copy.copy(frozen)
        report = model.fine_tune(
            train,
            val=held_out,
            unfreeze=key.part,
            keep="always",
            learning_rate=key.rate,
            epochs=EPOCHS,
            progress=False,
            warn=lambda text: None,
        )
        assert report
        after = _measure(model, test)
        yield Cell(key, before, after, len(report.epochs), time.process_time() - begin)


def _measure(model: hs.Classifier, test: ImageSet) -> tuple[float, float]:
    """Return log loss and accuracy."""
    probabilities = model.probabilities_of(test)
    right = probabilities.argmax(axis=1) == test.labels
    return float(TASK.losses(probabilities, test.labels).mean()), float(right.mean())


def _read_cells(root: Path) -> list[Cell]:
    path = root / "cells.jsonl"
    if not path.exists():
        return []
    lines = map(json.loads, path.open())
    cells = [Cell(**{**line, "key": Key(*line["key"])}) for line in lines]
    return list({cell.key: cell for cell in cells}.values())


def _print_tables(cells: Sequence[Cell]) -> None:
    """Print each draw and their mean: rows by network, images and part, a column for each rate."""
    rates = sorted({cell.key.rate for cell in cells})
    for draws in ((0,), (1,), DRAWS):
        print(f"draws {', '.join(map(str, draws))}\n")
        print(f"| network | images | part | frozen | {' | '.join(f'{r:.0e}' for r in rates)} |")
        print(f"{'| --- ' * (4 + len(rates))}|")
        rows = defaultdict[tuple[int, int, str], list[Cell]](list)
        for cell in cells:
            if cell.key.draw in draws:
                place = NETWORKS.index(cell.key.network), cell.key.images, cell.key.part
                rows[place].append(cell)
        for (network, images, part), row in sorted(rows.items()):
            loss, accuracy = np.mean([cell.frozen for cell in row], axis=0)
            values = [_change([cell for cell in row if cell.key.rate == rate]) for rate in rates]
            start = f"| {NETWORKS[network]} | {images} | {part} | {loss:.3f}, {accuracy:.3f} | "
            print(f"{start}{' | '.join(values)} |")
        print()


def _change(cells: Sequence[Cell]) -> str:
    """Return the mean change of log loss, and of accuracy in points."""
    if not cells:
        return ""
    changes = [np.subtract(cell.tuned, cell.frozen) for cell in cells]
    loss, accuracy = np.mean(changes, axis=0)
    return f"{loss:+.3f}, {100 * accuracy:+.1f}"


if __name__ == "__main__":
    main()
