"""5, 10, 25 and 50 images per class: `auto` and single heads against nearest means.

python -m benchmarks.few_images [DRAWS] [PICTURE]      such as 0-19 docs/pictures/few-images.svg

Differences are those from SimpleShot (Wang et al., 2019), nearest means of centred features of
length 1 of the last layer, on the same images, with the standard error of the mean over draws. All
other images of solar cells are the test part; of Fashion-MNIST, 5,000 images.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.machine import describe
from benchmarks.stacking import Material, prepare, with_error
from headstart.arrays import Rows, Targets
from headstart.heads.fitted import NearestModel, unit_rows
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.specs import AutoHead, KernelHead, LinearHead, NearestHead
from headstart.report.axes import LinearAxis, LogAxis

PER_CLASS = (5, 10, 25, 50)
PAIR = ("Pullover", "Coat")

Results = np.ndarray[tuple[int, int, int], np.dtype[np.float64]]
"""Accuracy, AUROC, log loss, ECE and seconds, by draw and head."""


@dataclass(frozen=True)
class SimpleShot:
    """Nearest means of centred features of length 1, of the last layer."""

    kind: ClassVar[str] = "SimpleShot"

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """See `Head.fit`."""
        columns = problem.features[:, problem.columns["last"]]
        scores = [
            _means(problem, train).logits(columns[held_out]) for train, held_out in problem.folds
        ]
        held_out = HeldOut(problem.held_out_rows(), np.concatenate(scores))
        return HeadFit(_means(problem, problem.fitted_rows), held_out, "last")


def _means(problem: Problem, rows: Rows) -> NearestModel:
    columns = problem.features[rows, problem.columns["last"]]
    mean = columns.mean(axis=0)
    centres = problem.truth()[rows].numpy().T @ unit_rows(columns - mean)
    return NearestModel(mean, np.ones_like(mean), unit_rows(centres))


HEADS = (SimpleShot(), NearestHead(), LinearHead(), KernelHead(), AutoHead())
COLOURS = ("#8a94a6", "#4a5568", "#c05621", "#2f855a", "#2b6cb0")


def main() -> None:
    """Print the tables, and draw the curves."""
    first, last = (sys.argv[1] if len(sys.argv) > 1 else "0-19").split("-")
    draws = range(int(first), int(last) + 1)
    print(f"machine: {describe()}; draws {first} to {last}\n", flush=True)
    curves = {}
    with tempfile.TemporaryDirectory() as folder:
        solar, fashion = (prepare(name, Path(folder)) for name in ("solar", "fashion"))
        for name, material in (
            ("Solar cells, 2 classes", solar),
            ("Pullovers and coats, 2 classes", _only(fashion, PAIR)),
            ("Fashion-MNIST, 10 classes", fashion),
        ):
            curves[name] = _print_table(name, material, draws)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(_picture(curves))


def _only(material: Material, names: Sequence[str]) -> Material:
    """Return the images of some of the classes of Fashion-MNIST."""
    numbers = sorted(material.classes.index(name) for name in names)
    rows = np.flatnonzero(np.isin(material.targets, numbers))
    return replace(
        material,
        classes=tuple(material.classes[number] for number in numbers),
        features=material.features[rows],
        targets=np.searchsorted(numbers, material.targets[rows]),
        groups=tuple(material.groups[row] for row in rows),
        train=int((rows < material.train).sum()),
    )


def _print_table(name: str, material: Material, draws: Sequence[int]) -> Results:
    """Print the results of one set, and return mean results by number of images and head."""
    print(f"{name}\n\n| per class | {' | '.join(head.kind for head in HEADS)} | {_AUTO} |")
    print("| --- " * (len(HEADS) + 4) + "|", flush=True)
    means = []
    for count in PER_CLASS:
        results = np.array([_draw(material, count, seed) for seed in draws])
        gains = results - results[:, :1]
        accuracy = [f"{results[:, 0, 0].mean():.1f}"]
        accuracy += [with_error(gains[:, number, 0], ".1f") for number in range(1, len(HEADS))]
        auto = [
            with_error(gains[:, -1, column], form)
            for column, form in ((1, ".1f"), (2, ".3f"), (3, ".3f"))
        ]
        print(f"| {count} | {' | '.join(accuracy + auto)} |", flush=True)
        means.append(results.mean(axis=0))
    print()
    return np.array(means)


_AUTO = "auto: AUROC | log loss | ECE"


def _draw(material: Material, count: int, seed: int) -> list[list[float]]:
    rows, test = material.draw(lambda targets: _first(targets, count), seed)
    return [material.measure(head, rows, test) for head in HEADS]


def _first(targets: Targets, count: int) -> Rows:
    """Return the first images of each class."""
    return np.concatenate([np.flatnonzero(targets == each)[:count] for each in np.unique(targets)])


_WIDTH, _HEIGHT, _PANEL = 150.0, 170.0, 250


def _picture(curves: dict[str, Results]) -> str:
    """Draw accuracy against images per class, a panel for each set."""
    panels = [
        f'<g transform="translate({50 + _PANEL * number} 40)">{_panel(name, means)}</g>'
        for number, (name, means) in enumerate(curves.items())
    ]
    width = _PANEL * len(panels) + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 270" width="{width}" '
        'height="270" font-family="system-ui, sans-serif" font-size="12" fill="#1a202c" role="img" '
        'aria-label="Accuracy against images per class">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(panels)}</svg>\n'
    )


def _panel(name: str, means: Results) -> str:
    accuracy, counts = LinearAxis.around(means[:, :, 0].flat, maximum=100), LogAxis(0.6, 1.8)
    parts = [f'<text x="0" y="-18" font-weight="600">{name}</text>']
    for level in accuracy.levels:
        y = _HEIGHT * (1 - accuracy.fraction(level))
        parts.append(f'<path d="M0 {y:.1f} h{_WIDTH}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>')
    columns = [_WIDTH * counts.fraction(count) for count in PER_CLASS]
    parts += [
        f'<text x="{x:.1f}" y="{_HEIGHT + 18}" text-anchor="middle">{count}</text>'
        for x, count in zip(columns, PER_CLASS, strict=True)
    ]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 38}" text-anchor="middle">{_TITLE}</text>')
    rows = _HEIGHT * (1 - np.array([[accuracy.fraction(v) for v in row[:, 0]] for row in means]))
    # Labels stay in the order of the last values, and do not overlap.
    labels = dict(zip(np.argsort(rows[-1]), _apart(np.sort(rows[-1])), strict=True))
    for number, (head, colour) in enumerate(zip(HEADS, COLOURS, strict=True)):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(columns, rows[:, number], strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = labels[number] + 4
        parts.append(f'<text x="{_WIDTH + 4}" y="{y:.1f}" fill="{colour}">{head.kind}</text>')
    return "\n".join(parts)


_TITLE = "images per class, accuracy in %"


def _apart(positions: Sequence[float]) -> list[float]:
    """Move sorted positions down until they are 13 units apart."""
    placed: list[float] = []
    for position in positions:
        placed.append(max(position, placed[-1] + 13) if placed else position)
    return placed


if __name__ == "__main__":
    main()
