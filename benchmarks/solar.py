"""Accuracy and AUROC of the frozen backbone on solar cells, mean of five fixed splits.

python -m benchmarks.solar [one|mirror|dihedral]

What is named are the orientations that each cell is read in.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from headstart import train
from headstart.commands.demo import write_solar_cells

SEEDS = range(5)


def main() -> None:
    """Train on each split with the defaults and print what was measured."""
    orientations = sys.argv[1] if len(sys.argv) > 1 else "one"
    print(f"machine: {describe()}; orientations: {orientations}\n")
    print("| seed | features | head | accuracy | 95 % interval | AUROC | ECE | head s | total s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for seed in SEEDS:
            table = write_solar_cells(root / "images", seed=seed)
            result = train(
                table, out=root / f"run-{seed}", cache=root, seed=seed, orientations=orientations
            )
            test, seconds = result.record.test, result.record.seconds
            low, high = test.accuracy_ci95
            rows.append([test.accuracy, test.auroc, test.ece])
            print(
                f"| {seed} | {result.record.features} | {result.record.head} "
                f"| {test.accuracy:.3f} | {low:.3f} … {high:.3f} | {test.auroc:.3f} "
                f"| {test.ece:.3f} | {seconds['head']:.1f} | {seconds['total']:.1f} |",
                flush=True,
            )
    accuracy, auroc, ece = np.mean(rows, axis=0)
    print(f"| mean | | | {accuracy:.4f} | | {auroc:.4f} | {ece:.4f} | | |")


if __name__ == "__main__":
    main()
