"""How images of 1:3 become square: solar cells of which the middle third is left, three splits.

python -m benchmarks.fit [SEEDS]
"""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import describe
from headstart import train
from headstart.commands.demo import write_solar_cells

FITS = ("squash", "pad", "crop", "auto")


def strips(root: Path, seed: int) -> Path:
    """Write the table of the cells cut to their middle third, which are written once."""
    folder = root / "strips"
    folder.mkdir(exist_ok=True)
    with write_solar_cells(root / "cells", seed=seed).open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        cell = Path(row["path"])
        strip = folder / cell.name
        if not strip.exists():
            image = Image.open(cell)
            third = image.height // 3
            image.crop((0, third, image.width, 2 * third)).save(strip)
        row["path"] = str(strip)
    table = root / f"strips-{seed}.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return table


def main() -> None:
    """Train on each split with each fit."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"machine: {describe()}\n")
    print("| seed | fit | accuracy | log loss | AUROC | total s |")
    print("| --- " * 6 + "|")
    found: dict[str, list[tuple[float, float]]] = {fit: [] for fit in FITS}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for seed in range(seeds):
            table = strips(root, seed)
            for fit in FITS:
                run = train(
                    table, out=root / f"{seed}-{fit}", cache=root / "cache", fit=fit, seed=seed
                )
                test = run.record.test
                assert test is not None
                found[fit].append((test.accuracy, test.log_loss))
                print(
                    f"| {seed} | {fit} | {test.accuracy:.4f} | {test.log_loss:.4f} "
                    f"| {test.auroc:.4f} | {run.seconds['total']:.1f} |",
                    flush=True,
                )
    print("\n| fit | accuracy | log loss | log loss minus best fixed |\n| --- | --- | --- | --- |")
    means = {fit: np.mean(values, axis=0) for fit, values in found.items()}
    best = min(FITS[:-1], key=lambda fit: means[fit][1])
    for fit, (accuracy, loss) in means.items():
        differences = np.array(found[fit])[:, 1] - np.array(found[best])[:, 1]
        error = differences.std(ddof=1) / len(differences) ** 0.5
        print(f"| {fit} | {accuracy:.4f} | {loss:.4f} | {differences.mean():+.4f} ± {error:.4f} |")


if __name__ == "__main__":
    main()
