"""Coverage of intervals, levels of tests, and thresholds on new images, in simulations.

python -m benchmarks.intervals [all|images|groups|few|metrics|thresholds|slices] [SIMULATIONS]

Scores are binormal: normal with a spread of 1, shifted for positive images. In groups, a share of
the variance (the intra-class correlation) is common to all images of a patient.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from math import ceil, hypot, sqrt
from time import process_time

import numpy as np
from scipy.special import logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import headstart.evaluation.slices as slices_module
from benchmarks.machine import describe
from headstart.arrays import Flags, Numbers, Rows
from headstart.evaluation.bootstrap import _resample, bootstrap, number_groups
from headstart.evaluation.delong import _place, measure_auroc
from headstart.evaluation.diagnostic_accuracy import likelihood_ratio
from headstart.evaluation.operating_points import choose_threshold, parse_operating_point
from headstart.evaluation.slices import measure_slices
from headstart.evaluation.weighted_metrics import (
    AreaUnderRoc,
    AveragePrecision,
    Metric,
    Rate,
    f1,
)
from headstart.record import Interval

PATIENTS, PER_PATIENT, CORRELATION = 100, 5, 0.5
THRESHOLD = 1.0  # Of the scores, for accuracy, F1 and likelihood ratios.

Images = tuple[Numbers, Flags, Rows | None]
"""Scores, truth and groups."""


def main() -> None:
    """Print all tables."""
    name = sys.argv[1] if len(sys.argv) > 1 else "all"
    simulations = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    tables = {
        "images": lambda: print_independent(simulations),
        "groups": lambda: print_groups(simulations),
        "few": lambda: print_few_positives(simulations),
        "metrics": lambda: print_other_metrics(max(simulations // 2, 1)),
        "thresholds": lambda: print_operating_points(max(simulations // 5, 1)),
        "slices": lambda: print_slices(max(simulations // 2, 1)),
    }
    print(f"machine: {describe()}; simulations: {simulations:,}")
    start = process_time()
    for table in tables if name == "all" else (name,):
        tables[table]()
    print(f"\n{process_time() - start:.0f} s of one core")


def print_independent(simulations: int) -> None:
    """Print the coverage of an AUROC of 500 independent images."""
    print("\n**AUROC, 500 images, half of them positive**\n")
    print_header("AUROC", ("DeLong, logit", "DeLong, plain", "bootstrap", "bootstrap, percentile"))
    for area in (0.8, 0.9):
        covered = simulate(
            simulations,
            area,
            lambda draw, area=area: independent(draw, 500, 250, area),
            (delong, plain_delong, bootstrapped, percentile),
        )
        print_row(f"{area}", covered)


def print_groups(simulations: int) -> None:
    """Print the coverage of an AUROC of 100 patients with five images each."""
    print("\n**AUROC, 100 patients of 5 images, correlation 0.5**\n")
    methods = ("cluster bootstrap", "cluster bootstrap, percentile", "DeLong, without groups")
    print_header("AUROC, label", methods)
    for area in (0.8, 0.9):
        for label in ("patient", "image"):
            covered = simulate(
                simulations,
                area,
                lambda draw, area=area, label=label: grouped(draw, PATIENTS, area, label),
                (bootstrapped, percentile, delong),
            )
            print_row(f"{area}, of the {label}", covered)


def print_few_positives(simulations: int) -> None:
    """Print the coverage of DeLong's interval with few positive images."""
    print("\n**AUROC, few positive images or a high AUROC**\n")
    print_header(
        "images, positive, AUROC, spread of positive scores",
        ("used", "DeLong, logit", "DeLong, plain"),
    )
    for images, positives, area, spread in (
        (500, 25, 0.9, 1.0),
        (500, 25, 0.9, 2.0),
        (500, 10, 0.9, 1.0),
        (500, 10, 0.9, 2.0),
        (100, 10, 0.95, 1.0),
        (100, 10, 0.95, 0.5),
        (1000, 50, 0.97, 2.0),
        (1000, 100, 0.99, 1.0),
        (40, 20, 0.95, 1.0),
    ):
        covered = simulate(
            simulations,
            area,
            lambda draw, case=(images, positives, area, spread): independent(draw, *case),
            (delong, logit_delong, plain_delong),
        )
        print_row(f"{images}, {positives}, {area}, {spread:g}", covered)


def print_other_metrics(simulations: int) -> None:
    """Print the coverage of other metrics, by the methods that are used for them."""
    print("\n**Other metrics, half of the patients positive on average, AUROC 0.9**\n")
    metrics: dict[str, Callable[[Images], Metric]] = {
        "accuracy": lambda images: Rate(
            (images[0] >= THRESHOLD) == images[1], np.ones(len(images[0]), np.bool_)
        ),
        "sensitivity": lambda images: Rate(images[0] >= THRESHOLD, images[1]),
        "F1": lambda images: f1(images[0] >= THRESHOLD, images[1]),
        "average precision": lambda images: AveragePrecision(images[0], images[1]),
    }
    print_header("metric, patients", ("cluster bootstrap", "cluster bootstrap, percentile"))
    for name, build in metrics.items():
        large = grouped(np.random.default_rng(0), 200_000, 0.9, "patient")
        truth = float(build(large)(np.ones((1, len(large[0]))))[0])
        for patients in (PATIENTS, 30):
            covered = simulate(
                simulations,
                truth,
                lambda draw, patients=patients: grouped(draw, patients, 0.9, "patient"),
                (
                    lambda images, seed, build=build: bootstrapped(images, seed, build),
                    lambda images, seed, build=build: percentile(images, seed, build),
                ),
            )
            print_row(f"{name}, {patients}", covered)
    print_likelihood_ratios(simulations)


def print_likelihood_ratios(simulations: int) -> None:
    """Print the coverage of likelihood ratios."""
    shift = sqrt(2) * norm.ppf(0.9)
    truth = float(norm.sf(THRESHOLD - shift) / norm.sf(THRESHOLD))
    print("\n**Positive likelihood ratio**\n")
    print_header("images", ("log method", "log method, without groups"))
    for name, make in (
        ("500, 250 positive", lambda draw: independent(draw, 500, 250, 0.9)),
        ("100, 20 positive", lambda draw: independent(draw, 100, 20, 0.9)),
        ("100 patients of 5", lambda draw: grouped(draw, PATIENTS, 0.9, "patient")),
        ("30 patients of 5", lambda draw: grouped(draw, 30, 0.9, "patient")),
    ):
        print_row(name, simulate(simulations, truth, make, (ratio, ratio_without_groups)))


def print_operating_points(simulations: int) -> None:
    """Print what thresholds reach on new images, when chosen on folds of 1,000 images."""
    print(
        f"\n**Thresholds chosen on five folds of 1,000 images, on 20,000 new images, mean of "
        f"{simulations} sets ± spread**\n\n"
        "20 features; logistic regression; in the last row, trained with balanced classes.\n"
    )
    print(
        "| positive | sensitivity at 0.9 | by rank alone | specificity at 0.9 | PPV at 0.6 "
        "| cost, fn:10,fp:1 | lowest cost on folds | F1 | highest F1 on folds |\n"
        + "| --- " * 9
        + "|"
    )
    for share, balanced in ((0.5, False), (0.2, False), (0.05, False), (0.1, True)):
        results = np.array([operate(seed, share, balanced) for seed in range(simulations)])
        cells = [
            f"{mean:.3f} ± {spread:.3f}"
            for mean, spread in zip(results.mean(axis=0), results.std(axis=0), strict=True)
        ]
        print("|", f"{share:.0%}{', balanced' * balanced} |", " | ".join(cells), "|", flush=True)


def print_slices(simulations: int) -> None:
    """Print how often a slice is flagged that differs, and one that does not."""
    slices_module._PERMUTATIONS = 499
    print("\n**Share of slices with p < 0.05; 30% of 400 images, or of 80 patients of 5, in it**\n")
    print("| positive in the slice, elsewhere | images | patients | a worse slice, patients |")
    print("| --- | --- | --- | --- |")
    for inside, outside in ((0.3, 0.3), (0.1, 0.5)):
        shares = [
            np.mean([flag(seed, inside, outside, *case) for seed in range(simulations)])
            for case in ((False, 0.0), (True, 0.0), (True, 1.0))
        ]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {inside:.0%}, {outside:.0%} | {cells} |", flush=True)


def independent(
    draw: np.random.Generator, images: int, positives: int, area: float, spread: float = 1.0
) -> Images:
    """Draw independent images."""
    positive = np.arange(images) < positives
    scores = draw.normal(size=images)
    scores[positive] = spread * scores[positive] + hypot(1, spread) * norm.ppf(area)
    return scores, positive, None


def grouped(draw: np.random.Generator, patients: int, area: float, label: str) -> Images:
    """Draw patients with five images each; labels are of patients or of images."""
    groups = np.repeat(np.arange(patients), PER_PATIENT)
    positive = draw.random(len(groups)) < 0.5
    if label == "patient":
        positive = np.repeat(draw.random(patients) < 0.5, PER_PATIENT)
    common = np.repeat(draw.normal(size=patients), PER_PATIENT)
    own = draw.normal(size=len(groups))
    scores = sqrt(CORRELATION) * common + sqrt(1 - CORRELATION) * own
    return scores + sqrt(2) * norm.ppf(area) * positive, positive, groups


def simulate(
    simulations: int,
    truth: float,
    make: Callable[[np.random.Generator], Images],
    methods: Sequence[Callable[[Images, int], Interval]],
) -> list[tuple[float, float]]:
    """Return the share of intervals that contain the truth and their mean width, per method."""
    results = np.zeros((simulations, len(methods), 2))
    for seed in range(simulations):
        images = make(_source(seed))
        for number, method in enumerate(methods):
            low, high = method(images, seed)
            results[seed, number] = low <= truth <= high, high - low
    return [(float(covered), float(width)) for covered, width in results.mean(axis=0)]


def _source(seed: int) -> np.random.Generator:
    """Return a source of images, which must not be that of the resamples of the same seed."""
    return np.random.default_rng((1, seed))


def area_of(images: Images) -> Metric:
    """Return the AUROC as a metric."""
    return AreaUnderRoc(images[0], images[1])


def bootstrapped(
    images: Images, seed: int, build: Callable[[Images], Metric] = area_of
) -> Interval:
    """Return the bootstrap interval that is used."""
    return bootstrap(build(images), images[2], seed=seed).ci95 or (0.0, 0.0)


def percentile(images: Images, seed: int, build: Callable[[Images], Metric] = area_of) -> Interval:
    """Return the percentile interval of the same resamples."""
    metric = build(images)
    drawn = _resample(metric, *number_groups(images[2], metric.images), 2000, seed)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def delong(images: Images, _seed: int) -> Interval:
    """Return the interval that is used for independent images."""
    found = measure_auroc(images[0], images[1])
    assert found is not None
    return found.ci95


def plain_delong(images: Images, _seed: int) -> Interval:
    """Return DeLong's interval without a transformation."""
    value, error = _delong_error(images)
    return value - 1.96 * error, value + 1.96 * error


def logit_delong(images: Images, _seed: int) -> Interval:
    """Return DeLong's interval on the logit scale, with DeLong's variance in any case."""
    value, error = _delong_error(images)
    if not error:
        return value, value
    half = 1.96 * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(logit(value) + np.array([-half, half]))))
    return float(low), float(high)


def _delong_error(images: Images) -> tuple[float, float]:
    placements = _place(images[0], images[1])
    assert placements is not None
    return placements.value, sqrt(placements.variance())


def ratio(images: Images, _seed: int) -> Interval:
    """Return the interval of the positive likelihood ratio."""
    found = likelihood_ratio(images[0] >= THRESHOLD, images[1], images[2])
    return found.ci95 if found and found.ci95 else (0.0, 0.0)


def ratio_without_groups(images: Images, seed: int) -> Interval:
    """Return the interval that takes images for independent."""
    return ratio((*images[:2], None), seed)


def operate(seed: int, share: float, balanced: bool) -> list[float]:
    """Return what each threshold reaches on new images."""
    draw = np.random.default_rng(seed)
    (features, positive), (new, truth) = (_features(draw, count, share) for count in (1000, 20_000))
    model = LogisticRegression(C=0.1, class_weight="balanced" if balanced else None)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    held_out = cross_val_predict(model, features, positive, cv=folds, method="predict_proba")[:, 1]
    probabilities = model.fit(features, positive).predict_proba(new)[:, 1]

    def reached(threshold: float, what: str) -> float:
        return _reached(probabilities >= threshold, truth, what)

    def chosen(text: str) -> float:
        return choose_threshold(parse_operating_point(text), held_out, positive).threshold

    descending = -np.sort(-held_out[positive])
    rank = descending[ceil(0.9 * len(descending) - 1e-9) - 1]
    cuts = np.unique(held_out)
    cost, best = (
        cuts[np.argmin([sign * _reached(held_out >= cut, positive, what) for cut in cuts])]
        for sign, what in ((1, "cost"), (-1, "f1"))
    )
    return [
        reached(chosen("sensitivity=0.9"), "sensitivity"),
        reached(rank, "sensitivity"),
        reached(chosen("specificity=0.9"), "specificity"),
        reached(chosen("ppv=0.6"), "ppv"),
        reached(chosen("cost=fn:10,fp:1"), "cost"),
        reached(cost, "cost"),
        reached(chosen("f1"), "f1"),
        reached(best, "f1"),
    ]


def _features(draw: np.random.Generator, images: int, share: float) -> tuple[Numbers, Flags]:
    positive = draw.random(images) < share
    features = draw.normal(size=(images, 20))
    features[:, :4] += 0.75 * positive[:, np.newaxis]
    return features, positive


def _reached(predicted: Flags, positive: Flags, what: str) -> float:
    hits, alarms = (predicted & positive).sum(), (predicted & ~positive).sum()
    positives, count = positive.sum(), len(positive)
    return float(
        {
            "sensitivity": hits / positives,
            "specificity": 1 - alarms / (count - positives),
            "ppv": hits / max(hits + alarms, 1),
            "cost": (10 * (positives - hits) + alarms) / count,
            "f1": 2 * hits / (hits + alarms + positives),
        }[what]
    )


def flag(seed: int, inside: float, outside: float, with_groups: bool, worse: float) -> bool:
    """Return whether a slice has an AUROC that differs."""
    draw, repeat = _source(seed), PER_PATIENT if with_groups else 1
    count = 400 // repeat
    sliced = draw.random(count) < 0.3
    positive = np.repeat(draw.random(count) < np.where(sliced, inside, outside), repeat)
    common = np.repeat(draw.normal(size=count), repeat)
    sliced = np.repeat(sliced, repeat)
    scores = draw.normal(size=400) + with_groups * common + (1.8 - worse * sliced) * positive
    found = measure_slices(
        {"auroc": AreaUnderRoc(scores, positive)},
        {"site": [str(value) for value in sliced]},
        positive.astype(np.int64),
        np.repeat(np.arange(count), repeat) if with_groups else None,
        tested="auroc",
        seed=seed,
    )
    return found[0].p is not None and found[0].p < 0.05


def print_header(first: str, methods: Iterable[str]) -> None:
    """Print the head of a table of coverage."""
    methods = tuple(methods)
    print("|", " | ".join((first, *methods)), "|\n" + "| --- " * (len(methods) + 1) + "|")


def print_row(name: str, covered: Sequence[tuple[float, float]]) -> None:
    """Print coverage and mean width."""
    cells = (f"{share:.1%} ({width:.3f})" for share, width in covered)
    print("|", " | ".join((name, *cells)), "|", flush=True)


if __name__ == "__main__":
    main()
