"""Images in the order that the studio suggests, against a random order.

python -m benchmarks.suggestions [DRAWS] [LABELS]      such as 0-9 1000

From 20 random images, 20 more are labelled at a time, and the studio's probe is fitted anew. Its
accuracy is measured on the half of the images that is never labelled: the area under it over the
number of labels, and the labels until it has 97 % of what it has with all labels of the other half.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.stacking import Material, prepare, with_error
from headstart.arrays import Numbers, Rows
from headstart.errors import DataError
from headstart.heads.choice import HeadChoice
from headstart.heads.specs import LinearHead
from headstart.studio.suggestions import doubt, next_to_label, points_of
from headstart.tasks.loading import TASKS

_IMAGES = 5_000
_STEP = 20
_SHARE = 0.97


class _Pool:
    """Images of which some are labelled, and others measure what was learnt."""

    def __init__(self, material: Material, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(material.targets))[:_IMAGES]
        self.pool, self.test = np.array_split(order, 2)
        self._material, self._task = material, TASKS["single"]
        self._columns = material.layout.columns("last")
        choice = (LinearHead(), ("last",), material.layout, len(material.classes), self._task)
        self._choice = HeadChoice(*choice)

    def fit(self, rows: Rows) -> tuple[float, Numbers]:
        """Return the accuracy of a probe, and its probabilities of the whole pool."""
        material, groups = self._material, [str(row) for row in rows]
        fit = self._choice.fit(material.features[rows], material.targets[rows], groups)
        logits = fit.head.logits(material.features[:, self._columns])
        right = logits[self.test].argmax(axis=1) == material.targets[self.test]
        return float(right.mean()), self._task.probabilities(logits[self.pool], fit.temperature)

    def run(self, labels: int, *, suggested: bool, seed: int) -> list[float]:
        """Return the accuracy after each 20 labels."""
        generator = np.random.default_rng(seed)
        left = list(generator.permutation(len(self.pool)))
        chosen = [left.pop() for _ in range(_STEP)]
        found = []
        while len(chosen) <= labels:
            try:
                accuracy, probabilities = self.fit(self.pool[chosen])
            except DataError:  # Too few images of two classes.
                accuracy, probabilities = float("nan"), None
            found.append(accuracy)
            if suggested and probabilities is not None:
                rows = np.array(left)
                features = self._material.features[self.pool[rows]][:, self._columns]
                doubts = doubt(probabilities[rows], exclusive=True)
                new = rows[next_to_label(points_of(features), doubts, _STEP)].tolist()
                left = [row for row in left if row not in set(new)]
            else:
                new = [left.pop() for _ in range(_STEP)]
            chosen += new
        return found


def main() -> None:
    """Print a table for each set of images."""
    first, last = (sys.argv[1] if len(sys.argv) > 1 else "0-9").split("-")
    labels = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    draws = range(int(first), int(last) + 1)
    print(f"{describe()}; draws {first} to {last}, up to {labels:,} labels\n", flush=True)
    print("| images | area, random | area, suggested | difference | labels to 97 %: both |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("fashion", "solar"):
            material = prepare(name, Path(folder))
            areas, needed = [], []
            for seed in draws:
                pool = _Pool(material, seed)
                final = pool.fit(pool.pool)[0]
                curves = [pool.run(labels, suggested=way, seed=seed) for way in (False, True)]
                areas.append([np.nanmean(curve) for curve in curves])
                needed.append([_needed(curve, _SHARE * final) for curve in curves])
            both = np.array(areas)
            print(
                f"| {name} | {both[:, 0].mean():.4f} | {both[:, 1].mean():.4f} "
                f"| {with_error(both[:, 1] - both[:, 0], '.4f')} "
                f"| {np.mean(needed, axis=0)[0]:.0f}; {np.mean(needed, axis=0)[1]:.0f} |",
                flush=True,
            )


def _needed(curve: list[float], wanted: float) -> int:
    """Return how many labels have reached an accuracy; more than all if none have."""
    reached = [number for number, accuracy in enumerate(curve, start=1) if accuracy >= wanted]
    return _STEP * (reached[0] if reached else len(curve) + 1)


if __name__ == "__main__":
    main()
