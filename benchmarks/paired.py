"""Coverage, false alarms and power of the comparison of two models, in simulations of 650 images.

python -m benchmarks.paired [SIMULATIONS]

Both models score images of two classes, with errors that are correlated as those of real models.
The second model is as good as the first, or two or four points of accuracy better. The true
differences are those of 400,000 images. Groups: 130 patients of five images, whose errors are
correlated.
"""

import sys
from collections import defaultdict

import numpy as np
from scipy.stats import norm

from benchmarks.machine import describe
from headstart.arrays import Probabilities, Rows, Targets
from headstart.evaluation.named_metrics import class_metrics
from headstart.evaluation.paired import compare_metrics
from headstart.evaluation.weighted_metrics import measure_once

IMAGES, EACH, MANY = 650, 5, 400_000
SHARE, SHARED = 0.4, 0.8
ACCURACY = 0.85


def simulate(
    gain: float, images: int, seed: int, *, grouped: bool
) -> tuple[Targets, list[Probabilities], Rows | None]:
    """Return labels, and the probabilities of both models."""
    rng = np.random.default_rng(seed)
    targets = (rng.random(images) < SHARE).astype(np.int64)
    groups = np.arange(images) // EACH if grouped else None
    common = rng.normal(size=images)
    if groups is not None:
        patient = rng.normal(size=groups.max() + 1)[groups]
        common = (common + patient) / np.sqrt(2)
    found = []
    for accuracy in (ACCURACY, ACCURACY + gain):
        own = rng.normal(size=images)
        noise = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
        score = norm.ppf(accuracy) * (2 * targets - 1) + noise
        chance = np.clip(norm.cdf(1.5 * score), 1e-6, 1 - 1e-6)
        found.append(np.stack([1 - chance, chance], axis=1))
    return targets, found, groups


def metrics_of(targets: Targets, found: list[Probabilities]) -> list[dict]:
    """Return the metrics of both models."""
    rows = np.arange(len(targets))
    return [
        class_metrics(one, targets, one.argmax(axis=1), -np.log(one[rows, targets]))
        for one in found
    ]


def main() -> None:
    """Print a line for each difference and metric."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"machine: {describe()}; {simulations:,} simulations of {IMAGES} images\n")
    print("| groups | true points | metric | true difference | coverage | p < 0.05 |")
    print("| --- " * 6 + "|")
    for grouped in (False, True):
        for gain in (0.0, 0.02, 0.04):
            targets, found, _ = simulate(gain, MANY, 10**6, grouped=grouped)
            one, other = metrics_of(targets, found)
            names = ("accuracy", "log_loss") if grouped else tuple(one)
            truth = {
                name: 0.0
                if gain == 0
                else (measure_once(other[name]) or 0) - (measure_once(one[name]) or 0)
                for name in names
            }
            covered, alarms = defaultdict[str, int](int), defaultdict[str, int](int)
            for seed in range(simulations):
                targets, found, groups = simulate(gain, IMAGES, seed, grouped=grouped)
                one, other = metrics_of(targets, found)
                first, second = ({name: each[name] for name in names} for each in (one, other))
                for difference in compare_metrics(first, second, groups):
                    assert difference.ci95 is not None
                    assert difference.p is not None
                    low, high = difference.ci95
                    covered[difference.metric] += low <= truth[difference.metric] <= high
                    alarms[difference.metric] += difference.p < 0.05
            for name in names:
                print(
                    f"| {'patients' if grouped else '-'} | {100 * gain:.0f} | {name} | "
                    f"{truth[name]:+.4f} | {covered[name] / simulations:.1%} | "
                    f"{alarms[name] / simulations:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
