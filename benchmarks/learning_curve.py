"""Forecasts of learning curves: from half of the images, the accuracy with all of them.

python -m benchmarks.learning_curve [all|solar|fashion] [DRAWS]

A draw is a random half of the 2,624 solar cells, or of the first 5,000 images of Fashion-MNIST. The
truth is the accuracy on folds of all images, mean of two splits, of the same head: these folds
learn from twice as many images as those of a half, which is what is forecast. Half of the images of
the truth are those of the draw, so it deviates less than that of other images would.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.stacking import KINDS, TASK, Material, prepare
from headstart.arrays import Features, Rows, Targets
from headstart.evaluation.learning_curve import choice_for, folds_for, measure_learning_curve
from headstart.heads.choice import HeadChoice
from headstart.heads.specs import AutoHead
from headstart.record.learning_curve import LearningCurve

DRAWS = 20
FASHION = 5000
SPLITS = 2


@dataclass(frozen=True)
class Images:
    """The images of a benchmark: the head, and what it learns from."""

    choice: HeadChoice
    features: Features
    targets: Targets
    groups: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, material: Material, count: int | None) -> "Images":
        """Take the first images."""
        choice = HeadChoice(AutoHead(), KINDS, material.layout, len(material.classes), TASK)
        features, targets = material.features[:count], material.targets[:count]
        return cls(choice, features, targets, material.groups[:count], material.classes)

    def curve(self, rows: Rows, seed: int) -> LearningCurve:
        """Measure the learning curve of some of the images."""
        groups = [self.groups[row] for row in rows]
        return measure_learning_curve(
            *(self.choice, self.features[rows], self.targets[rows], groups, self.classes), seed=seed
        )

    def truth(self, half: int) -> float:
        """Return the accuracy on folds of all images, with the head and folds of a half."""
        choice = choice_for(self.choice, half)
        correct = [
            choice.task.correct(self._scores(choice, train, held_out), self.targets[held_out])
            for seed in range(SPLITS)
            for train, held_out in choice.task.folds(
                self.targets, self.groups, folds=folds_for(half), seed=1000 + seed
            )
        ]
        return float(np.concatenate(correct).mean())

    def _scores(
        self, choice: HeadChoice, train: Rows, held_out: Rows
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        groups = [self.groups[row] for row in train]
        fit = choice.fit(self.features[train], self.targets[train], groups)
        return fit.head.logits(self.features[held_out, choice.layout.columns(fit.features)])


def main() -> None:
    """Print the table."""
    names = sys.argv[1] if len(sys.argv) > 1 else "all"
    draws = int(sys.argv[2]) if len(sys.argv) > 2 else DRAWS
    print(f"machine: {describe()}; draws: {draws}\n")
    print(
        "| images | of the half | truth, all | inside 90 % interval | median width | mean error "
        "| root mean square | largest size inside | seconds per curve |"
    )
    print("| --- " * 9 + "|", flush=True)
    for name in ("solar", "fashion") if names == "all" else (names,):
        with tempfile.TemporaryDirectory() as folder:
            material = prepare(name, Path(folder))
        _print_row(name, Images.of(material, FASHION if name == "fashion" else None), draws)


def _print_row(name: str, images: Images, draws: int) -> None:
    total = len(images.targets)
    curves, start = [], time.perf_counter()
    for seed in range(draws):
        rows = np.random.default_rng(seed).permutation(total)[: total // 2]
        curves.append(images.curve(np.sort(rows), seed))
    seconds = (time.perf_counter() - start) / draws
    truth = images.truth(total // 2)
    forecasts = [curve.forecasts[0] for curve in curves]
    inside = sum(forecast.low <= truth <= forecast.high for forecast in forecasts)
    width = np.median([forecast.high - forecast.low for forecast in forecasts])
    errors = np.array([forecast.accuracy - truth for forecast in forecasts])
    held = sum(curve.checked is not None and curve.checked.inside for curve in curves)
    half = np.mean([curve.points[-1].accuracy for curve in curves])
    print(
        f"| {name}, {total // 2:,} of {total:,} | {half:.2%} | {truth:.2%} | {inside} of {draws} "
        f"| {100 * width:.2f} points | {100 * errors.mean():+.2f} points "
        f"| {100 * np.sqrt((errors**2).mean()):.2f} points | {held} of {draws} | {seconds:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
