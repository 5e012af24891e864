"""Accuracy and AUROC of the frozen backbone on solar cells, mean of five fixed splits.

python -m benchmarks.solar [one|mirror|dihedral] [one|two] [SEEDS]

What is named are the orientations and the scales that each cell is read in, and the splits, 0-4 by
default.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from headstart import train
from headstart.commands.demo import write_solar_cells


def main() -> None:
    """Train on each split with the defaults and print what was measured."""
    orientations, scales, seeds = (*sys.argv[1:], *("one", "one", "0-4")[len(sys.argv) - 1 :])
    first, last = map(int, seeds.split("-"))
    print(f"machine: {describe()}; orientations: {orientations}; scales: {scales}\n")
    print(
        "| seed | features | head | accuracy | 95 % interval | AUROC | log loss | ECE | head s "
        "| total s |"
    )
    print("| --- " * 10 + "|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for seed in range(first, last + 1):
            table = write_solar_cells(root / "images", seed=seed)
            result = train(
                table,
                out=root / f"run-{seed}",
                cache=root,
                seed=seed,
                orientations=orientations,
                scales=scales,
            )
            test, seconds = result.record.test, result.record.seconds
            low, high = test.accuracy_ci95
            rows.append([test.accuracy, test.auroc, test.log_loss, test.ece])
            print(
                f"| {seed} | {result.record.features} | {result.record.head} "
                f"| {test.accuracy:.3f} | {low:.3f} … {high:.3f} | {test.auroc:.3f} "
                f"| {test.log_loss:.4f} | {test.ece:.3f} | {seconds['head']:.1f} "
                f"| {seconds['total']:.1f} |",
                flush=True,
            )
    accuracy, auroc, loss, ece = np.mean(rows, axis=0)
    print(f"| mean | | | {accuracy:.4f} | | {auroc:.4f} | {loss:.4f} | {ece:.4f} | | |")


if __name__ == "__main__":
    main()
