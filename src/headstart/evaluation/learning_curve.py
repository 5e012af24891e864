"""The learning curve: heads fitted on nested parts of the images, and the power law through them.

The error of n images is modelled as a + b n^-c, which describes most learning curves well (Viering
and Loog, 2022, "The shape of learning curves: a review") and is used to tell how many images a goal
needs (Mahmood et al., 2022, "How much more data do I need?"). A few measured points hardly
determine the exponent c, so no single one is chosen: exponents are weighted by how well they fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from headstart.arrays import Features, Numbers, Rows, Targets
from headstart.errors import DataError
from headstart.evaluation.power_law import EXPONENTS, Curves, Law
from headstart.heads.choice import HeadChoice
from headstart.record.learning_curve import (
    ClassGain,
    CurvePoint,
    Forecast,
    HeldBack,
    LearningCurve,
    Needed,
)
from headstart.watching import Progress

MIN_IMAGES = 60
MIN_GROUPS = 20

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)

_SIZES, _SPAN = 5, 16
# Below this number of images, in all or per class, there is little to learn and points are chance.
_LEAST, _LEAST_PER_CLASS = 16, 2
_LEAST_SPAN = 2.5

_REPEATED_IMAGES, _MOST_REPEATS = 600, 4
# Up to these numbers of images: five folds, the full head, and all folds of three.
_FIVE_FOLDS, _FULL_HEAD, _ALL_FOLDS = 1500, 2000, 6000

_RESAMPLES = 1000
# Standard deviation of a point from the curve, apart from the choice of the images held out: that
# of the images learnt from, and another shape. It is a share of a proportion's standard error with
# as many images as were learnt from, so that points of few images weigh less.
_DEVIATION = 0.3
_FACTORS = (2.0, 4.0)
_FURTHEST = 10.0
_TAILS = (0.05, 0.95)


@dataclass(frozen=True)
class Correctness:
    """Which held-out images heads predict that learnt from parts of the others.

    Attributes:
        learnt: The number of images learnt from, mean over folds, increasing, shape (sizes,).
        shares: The share of repeats in which an image is predicted correctly, (sizes, images).
        rows: The row of each image.
    """

    learnt: Numbers
    shares: Numbers
    rows: Rows


def measure_learning_curve(
    choice: HeadChoice,
    features: Features,
    targets: Targets,
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> LearningCurve:
    """Measure accuracy on parts of the images, and forecast it for more of them.

    See `measure_correctness` and `fit_learning_curve`.

    Args:
        choice: The unfitted head.
        features: Shape (images, width).
        targets: The label of each image, as the task encodes it.
        groups: Group of each image, which is never divided.
        classes: Names of the classes.
        seed: Seed of the folds, the parts and the bootstrap.
        progress: Called with the number of heads fitted, and the total.
    """
    if reason := _why_not(choice, targets, groups):
        return LearningCurve(reason=reason)
    try:
        found = measure_correctness(choice, features, targets, groups, seed=seed, progress=progress)
    except DataError:
        return LearningCurve(
            reason="The groups of images are too large to learn from parts of them, so accuracy "
            "cannot be forecast."
        )
    exclusive = choice.task.activation == "softmax"
    return fit_learning_curve(
        found, groups, classes, targets=targets if exclusive else None, seed=seed
    )


def _why_not(choice: HeadChoice, targets: Targets, groups: Sequence[str]) -> str:
    """Return why no learning curve can be measured, as a sentence; "" if one can."""
    images, grouped = len(targets), len(set(groups))
    if images < MIN_IMAGES:
        least = f"{MIN_IMAGES} are needed"
        return f"{images} images are too few to say how accuracy would grow; {least}."
    if grouped < MIN_GROUPS:
        return f"{grouped} groups of images are too few to say how accuracy would grow."
    strata = choice.task.strata(targets)
    pairs = {(int(stratum), group) for stratum, group in zip(strata, groups, strict=True)}
    _, counts = np.unique([stratum for stratum, _ in pairs], return_counts=True)
    if (counts > 1).sum() < min(len(counts), 2):
        return "Fewer than two classes have images in two groups, so accuracy cannot be forecast."
    learnt = images * (1 - 1 / folds_for(images))
    if learnt < _LEAST_SPAN * _least(choice):
        of = f"{images:,} images of {choice.classes:,} classes"
        return f"{of} are too few to say how accuracy would grow."
    return ""


def folds_for(images: int) -> int:
    """Return the number of folds of a learning curve."""
    return 5 if images <= _FIVE_FOLDS else 3


def choice_for(choice: HeadChoice, images: int) -> HeadChoice:
    """Return the choice whose learning curve is measured: of many images, that of a linear head."""
    return choice if images <= _FULL_HEAD else choice.with_linear_head()


def _least(choice: HeadChoice) -> int:
    return max(_LEAST, _LEAST_PER_CLASS * choice.classes)


def measure_correctness(
    choice: HeadChoice,
    features: Features,
    targets: Targets,
    groups: Sequence[str],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Correctness:
    """Fit heads on nested parts of the training images of each fold, and predict the others.

    The parts are stratified and keep groups whole. There are five, from a sixteenth of the images
    to all of them, or from as many as are worth learning from. The effort is limited: there are
    five folds of up to 1,500 images and three of more, and the head is linear above 2,000 images.
    Above 6,000, one fold is held out. Folds of few images are repeated.

    Raises:
        DataError: A part has no class with two images of different groups.
    """
    choice = choice_for(choice, len(targets))
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    rounds = list(_rounds(choice, targets, groups, seed))
    hits, learnt = np.zeros((_SIZES, len(targets))), np.zeros(_SIZES)
    tested = np.zeros(len(targets))
    for number, (train, held_out, order) in enumerate(rounds):
        tested[held_out] += 1
        strata = choice.task.strata(targets[train])
        for size, part in enumerate(_nested_parts(strata, numbers[train], _least(choice), order)):
            rows = train[part]
            fit = choice.fit(features[rows], targets[rows], [groups[row] for row in rows])
            scores = fit.head.logits(features[held_out, choice.layout.columns(fit.features)])
            hits[size, held_out] += choice.task.correct(scores, targets[held_out])
            learnt[size] += len(rows) / len(rounds)
            if progress:
                progress(number * _SIZES + size + 1, len(rounds) * _SIZES)
    known = np.flatnonzero(tested)
    return Correctness(learnt, hits[:, known] / tested[known], known)


def _rounds(
    choice: HeadChoice, targets: Targets, groups: Sequence[str], seed: int
) -> Iterator[tuple[Rows, Rows, int]]:
    """Yield training rows, held-out rows, and a seed of the order of the training images."""
    images = len(targets)
    for repeat in range(int(np.clip(_REPEATED_IMAGES // images, 1, _MOST_REPEATS))):
        folds = choice.task.folds(targets, groups, folds=folds_for(images), seed=seed + repeat)
        for train, held_out in folds if images <= _ALL_FOLDS else folds[:1]:
            yield train, held_out, seed + repeat


def _nested_parts(strata: Rows, groups: Rows, least: int, seed: int) -> Iterator[Rows]:
    """Yield the rows of nested, stratified parts, smallest first, the last of which is everything.

    Groups of a stratum are evenly spaced in a common order, in which each part is a beginning.
    """
    draw = np.random.default_rng(seed)
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    position = np.empty(len(first))
    for stratum in np.unique(strata):
        those = draw.permutation(np.flatnonzero(strata[first] == stratum))
        position[those] = (np.arange(len(those)) + draw.uniform()) / max(len(those), 1)
    order = np.argsort(position, kind="stable")
    counted = np.bincount(members)[order].cumsum()
    rank = np.argsort(order)[members]
    smallest = min(max(len(strata) / _SPAN, least), len(strata))
    for size in np.geomspace(smallest, len(strata), _SIZES):
        last = int(np.abs(counted - size).argmin())
        yield np.flatnonzero(rank <= last)


def fit_learning_curve(
    found: Correctness,
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    targets: Targets | None,
    seed: int = 0,
) -> LearningCurve:
    """Fit a power law to the measured points, and forecast accuracy with more images.

    The bootstrap resamples the held-out images, or their groups, with the predictions of all heads,
    so that points stay paired. In each resample, points deviate from the curve by chance and an
    exponent is drawn by how well it fits, so that the 90% intervals allow for the shape of the
    curve, which is not known. They are not narrower than Wilson's for as many images.

    Args:
        found: The predictions.
        groups: Group of each image.
        classes: Names of the classes.
        targets: The class of each image; None if images have several labels.
        seed: Seed of the bootstrap.
    """
    units = _Units.of(found, groups)
    draw = np.random.default_rng(seed)
    errors, drawn = units.errors(draw)
    deviations = _deviations(errors, found.learnt)
    law = Law(found.learnt, np.cov(drawn.T) + np.diag(deviations**2), float(found.learnt[-1]))
    drawn = drawn + deviations * draw.normal(size=drawn.shape)
    curves = law.draw(drawn, draw)
    forecasts = tuple(_forecast(law, errors, curves, units.count, factor) for factor in _FACTORS)
    return LearningCurve(
        points=_points(found.learnt, errors, drawn),
        fit=law.best(errors),
        forecasts=forecasts,
        needed=_needed(float(1 - errors[-1]), curves),
        gains=() if targets is None else _gains(law, errors, found, targets[found.rows], classes),
        checked=_check(law, errors, drawn, draw),
    )


def _deviations(errors: Numbers, learnt: Numbers) -> Numbers:
    """Return the standard deviation of each point from the curve, (sizes,); above 0."""
    smoothed = (errors * learnt + 1) / (learnt + 2)
    return np.asarray(_DEVIATION * np.sqrt(smoothed * (1 - smoothed) / learnt))


@dataclass(frozen=True)
class _Units:
    """What the bootstrap resamples: the images of each group together. Equal units are counted.

    Attributes:
        count: The number of units.
        share: The share of each kind of unit, shape (kinds,).
        images: The number of images of each, shape (kinds,).
        correct: The number of those predicted correctly, shape (sizes, kinds).
    """

    count: int
    share: Numbers
    images: Numbers
    correct: Numbers

    @classmethod
    def of(cls, found: Correctness, groups: Sequence[str]) -> "_Units":
        """Add up the images of each group."""
        names = np.asarray(groups)[found.rows]
        _, members, images = np.unique(names, return_inverse=True, return_counts=True)
        correct = [np.bincount(members, shares) for shares in found.shares]
        kinds, counts = np.unique(np.array([images, *correct]), axis=1, return_counts=True)
        return cls(len(images), counts / len(images), kinds[0], kinds[1:])

    def errors(self, draw: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Return the error at each size, (sizes,), and that of resamples, (resamples, sizes)."""
        drawn = draw.multinomial(self.count, self.share, _RESAMPLES)
        counts = np.concatenate([self.share[np.newaxis], drawn])
        errors = 1 - counts @ self.correct.T / (counts @ self.images)[:, np.newaxis]
        return errors[0], errors[1:]


def _points(learnt: Numbers, errors: Numbers, drawn: Numbers) -> tuple[CurvePoint, ...]:
    highs, lows = 1 - np.quantile(drawn, _TAILS, axis=0)
    return tuple(
        CurvePoint(round(images), float(1 - error), float(max(low, 0)), float(min(high, 1)))
        for images, error, low, high in zip(learnt, errors, lows, highs, strict=True)
    )


def _forecast(law: Law, errors: Numbers, curves: Curves, units: int, factor: float) -> Forecast:
    accuracy = min(max(1 - law.mean_error(errors, factor), 0.0), 1.0)
    high, low = 1 - np.quantile(curves.errors(factor), _TAILS)
    chance = binomtest(round(accuracy * units), units).proportion_ci(0.9, "wilson")
    return Forecast(
        factor,
        round(factor * law.most),
        accuracy,
        float(max(min(low, chance.low, accuracy), 0.0)),
        float(min(max(high, chance.high, accuracy), 1.0)),
    )


def _needed(accuracy: float, curves: Curves) -> Needed | None:
    """Return how many times as many images the next level needs, in 90% of the curves."""
    level = next((level for level in LEVELS if level > accuracy), None)
    if level is None:
        return None
    room = 1 - level - curves.floor
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factors = np.where(room > 0, (curves.scale / room) ** (1 / curves.exponent), np.inf)
    low, high = np.sort(np.maximum(factors, 1))[(np.array(_TAILS) * len(factors)).astype(int)]
    return Needed(level, *(float(each) if each <= _FURTHEST else None for each in (low, high)))


def _gains(
    law: Law, errors: Numbers, found: Correctness, targets: Targets, classes: Sequence[str]
) -> tuple[ClassGain, ...]:
    """Return the gain of each class with twice as many images, with the exponents of all images."""
    probability = law.fit(errors[np.newaxis])[2][0]
    present = [number for number in range(len(classes)) if (targets == number).any()]
    by_class = np.array([found.shares[:, targets == number].mean(axis=1) for number in present])
    _, scale, _ = law.fit(1 - by_class)
    gain = np.minimum((scale * (1 - 2.0**-EXPONENTS)) @ probability, 1 - by_class[:, -1])
    images = np.bincount(targets, minlength=len(classes))[present] * gain
    share = images / max(images.sum(), np.finfo(float).tiny)
    return tuple(
        ClassGain(
            classes[present[each]],
            float(by_class[each, -1]),
            float(by_class[each, -1] + gain[each]),
            float(share[each]),
        )
        for each in np.argsort(-share, kind="stable")
    )


def _check(law: Law, errors: Numbers, drawn: Numbers, draw: np.random.Generator) -> HeldBack:
    """Forecast the last point from the others, on the same images."""
    smaller = replace(law, learnt=law.learnt[:-1], covariance=law.covariance[:-1, :-1])
    missed = smaller.draw(drawn[:, :-1], draw).errors(1.0) - drawn[:, -1]
    truth = float(1 - errors[-1])
    high, low = truth - np.quantile(missed, _TAILS)
    forecast = 1 - smaller.mean_error(errors[:-1], 1.0)
    return HeldBack(round(law.most), forecast, float(low), float(high), truth)
