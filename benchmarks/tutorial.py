"""The tutorial's recipe against `headstart train`: same weights, same split, same machine, one run.

    python -m benchmarks.tutorial [solar] [fashion]

The recipe: a frozen backbone without its top, run in every one of 10 epochs, Dense(256, relu),
Dropout(0.5), Dense(classes), Adam at 1e-3, batches of 32, eager float32 PyTorch, files decoded by
torch's DataLoader. Headstart: `headstart train` with its defaults as a separate process, start of
Python included, on an empty cache.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.csv
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.commands.demo import write_solar_cells

EPOCHS, BATCH, HIDDEN, DROPOUT, RATE = 10, 32, 256, 0.5, 1e-3


class Files(Dataset[tuple[torch.Tensor, int]]):
    """Image files, resized and normalised as the backbone wants them."""

    def __init__(self, rows: list[dict[str, str]], folder: Path, backbone: Backbone) -> None:
        self._rows, self._folder, self._backbone = rows, folder, backbone
        self.classes = sorted({row["label"] for row in rows})

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        row, preprocess = self._rows[number], self._backbone.preprocess
        with Image.open(self._folder / row["path"]) as image:
            pixels = preprocess.pixels(image.convert("RGB"))
        scaled = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
        mean = torch.tensor(preprocess.mean).view(3, 1, 1)
        std = torch.tensor(preprocess.std).view(3, 1, 1)
        return (scaled - mean) / std, self.classes.index(row["label"])


def run_tutorial(table: Path) -> dict[str, float]:
    """Train by the recipe; give seconds of training and of everything, and the test accuracy."""
    start = time.perf_counter()
    torch.manual_seed(0)
    backbone = load_backbone("efficientnet-lite0").freeze()
    rows = pyarrow.csv.read_csv(table).to_pylist()
    parts = {
        split: Files([row for row in rows if row["split"] == split], table.parent, backbone)
        for split in ("train", "test")
    }
    classes = len(parts["train"].classes)
    head = nn.Sequential(
        nn.Flatten(),
        nn.Linear(backbone.width, HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, classes),
    )
    optimiser = torch.optim.Adam(head.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        head.train()
        for images, labels in DataLoader(parts["train"], BATCH, shuffle=True, num_workers=1):
            with torch.no_grad():
                features = backbone(images)
            loss = nn.functional.cross_entropy(head(features), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    trained = time.perf_counter() - start
    right = 0
    with torch.no_grad():
        head.eval()
        for images, labels in DataLoader(parts["test"], BATCH, num_workers=1):
            right += int((head(backbone(images)).argmax(1) == labels).sum())
    total = time.perf_counter() - start
    return {"seconds": total, "train": trained, "accuracy": right / len(parts["test"])}


def run_headstart(table: Path, cache: Path) -> dict[str, Any]:
    """Run `headstart train`; give seconds of the whole process and what it printed."""
    command = [str(Path(sys.executable).with_name("headstart")), "train", str(table), "--json"]
    out = cache / f"run-{time.time_ns()}"
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--cache", str(cache), "--out", str(out)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return json.loads(done.stdout) | {"seconds": time.perf_counter() - start}


def main() -> None:
    """Compare on the data sets that the arguments name, both by default."""
    print(f"machine: {describe()}\n")
    writers = {"solar": write_solar_cells, "fashion": write_fashion}
    wanted = sys.argv[1:] or list(writers)
    print("| data | what | seconds | times faster | test accuracy | 95 % interval |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in wanted:
        with tempfile.TemporaryDirectory() as folder:
            table = writers[name](Path(folder) / "data")
            cold = run_headstart(table, Path(folder) / "cache")
            warm = run_headstart(table, Path(folder) / "cache")
            tutorial = run_tutorial(table)
        rows = [("headstart, cold store", cold), ("headstart, warm store", warm)]
        print(
            f"| {name} | tutorial recipe | {tutorial['seconds']:.1f} | 1 "
            f"| {tutorial['accuracy']:.4f} | |"
        )
        for what, result in rows:
            low, high = result["test"]["accuracy_ci95"]
            print(
                f"| {name} | {what} | {result['seconds']:.1f} "
                f"| {tutorial['seconds'] / result['seconds']:.1f} "
                f"| {result['test']['accuracy']:.4f} | {low:.3f} … {high:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
