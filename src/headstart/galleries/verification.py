"""Do two images show the same item? How often that is answered correctly, in the protocol of LFW.

The pairs are in folds. On each fold, distances are compared with the threshold that is right most
often on the other folds (Huang et al., 2007), which also decide which features are compared. The
accuracy is the mean over the folds, with its standard error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue
from scipy.stats import t
from sklearn.model_selection import GroupKFold, StratifiedKFold

from headstart.arrays import Features, Flags, Floats, Numbers, Rows
from headstart.backbones.layout import FeatureLayout
from headstart.data.pairs import Pairs
from headstart.evaluation.delong import measure_auroc
from headstart.evaluation.intervals import wilson
from headstart.galleries.embedding import Embedding
from headstart.record import Interval

FOLDS = 10
FALSE_ACCEPTS = (1e-2, 1e-3, 1e-4)
"""Shares of pairs of different items that are accepted, at which the accepted ones are counted."""

_RESAMPLES = 500
_CURVE = 200


@dataclass(frozen=True)
class Rate:
    """A share with its 95% Wilson interval.

    Attributes:
        value: 0 to 1.
        ci95: Its interval.
        pairs: The number of pairs that it is a share of.
    """

    value: float
    ci95: Interval
    pairs: int

    @classmethod
    def of(cls, wanted: Flags) -> Rate | None:
        """Return the share of pairs that are wanted; None without any."""
        count = len(wanted)
        found = int(wanted.sum())
        return cls(found / count, wilson(found, count), count) if count else None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {"value": self.value, "ci95": list(self.ci95), "pairs": self.pairs}


@dataclass(frozen=True)
class PairSlice:
    """The errors on pairs with a value of a column.

    Attributes:
        column: The column.
        value: The value.
        false_accepts: The share of pairs of different items that are taken for the same; None
            without any.
        false_rejects: The share of pairs of the same item that are taken for different ones.
    """

    column: str
    value: str
    false_accepts: Rate | None
    false_rejects: Rate | None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        rates = {"false_accepts": self.false_accepts, "false_rejects": self.false_rejects}
        return {"column": self.column, "value": self.value} | {
            name: rate.to_json() if rate else None for name, rate in rates.items()
        }


@dataclass(frozen=True)
class Verification:
    """How often pairs are told apart.

    Attributes:
        pairs: The number of pairs.
        same: The number of those that show the same item.
        not_comparable: The number of pairs with an image that cannot be compared, as it cannot be
            read or has no face. They count as wrong, and are never accepted.
        accuracies: The accuracy of each fold, 0 to 1.
        features: The features that were compared, for most folds.
        threshold: The mean over the folds of the distance up to which pairs are accepted.
        auroc: The probability that a pair of the same item is nearer than one of different items.
        auroc_ci95: Its interval (DeLong); pairs that share an image are not independent, so that
            it is somewhat too narrow.
        eer: The error rate at which as many pairs of the same item are rejected as of different
            ones are accepted.
        eer_ci95: Its bootstrap interval, over pairs.
        tar_at_far: The share of pairs of the same item that are accepted, by the share of pairs of
            different items that are; only where there are enough of the latter.
        curve: Points of the ROC curve, (false accepts, true accepts).
        slices: Errors by the values of columns.
        folds_given: Whether the table has folds.
    """

    pairs: int
    same: int
    not_comparable: int
    accuracies: tuple[float, ...]
    features: str
    threshold: float
    auroc: float
    auroc_ci95: Interval
    eer: float
    eer_ci95: Interval
    tar_at_far: tuple[tuple[float, Rate], ...]
    curve: tuple[tuple[float, float], ...]
    slices: tuple[PairSlice, ...]
    folds_given: bool

    @property
    def accuracy(self) -> float:
        """The mean of the accuracies of the folds."""
        return float(np.mean(self.accuracies))

    @property
    def accuracy_se(self) -> float:
        """The standard error of the accuracy."""
        return float(np.std(self.accuracies, ddof=1) / len(self.accuracies) ** 0.5)

    @property
    def accuracy_ci95(self) -> Interval:
        """The interval of the accuracy by Student's distribution, within 0 and 1."""
        half = float(t.ppf(0.975, len(self.accuracies) - 1)) * self.accuracy_se
        return max(0.0, self.accuracy - half), min(1.0, self.accuracy + half)

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        tar: dict[str, JsonValue] = {f"{far:g}": one.to_json() for far, one in self.tar_at_far}
        return {
            "accuracy": self.accuracy,
            "accuracy_se": self.accuracy_se,
            "accuracy_ci95": list(self.accuracy_ci95),
            "auroc": self.auroc,
            "auroc_ci95": list(self.auroc_ci95),
            "eer": self.eer,
            "eer_ci95": list(self.eer_ci95),
            "tar_at_far": tar,
            "threshold": self.threshold,
            "features": self.features,
            "pairs": self.pairs,
            "same": self.same,
            "not_comparable": self.not_comparable,
            "folds": list(self.accuracies),
            "folds_given": self.folds_given,
            "slices": [one.to_json() for one in self.slices],
            "roc": [list(point) for point in self.curve],
        }


def verify_pairs(
    pairs: Pairs,
    features: Features,
    layout: FeatureLayout,
    usable: Flags,
    fixed: Embedding | None = None,
) -> Verification:
    """Find out how often distances tell whether two images show the same item.

    Args:
        pairs: The pairs.
        features: Features of their images, (images, layout.width); of those that cannot be
            compared, anything.
        layout: The meaning of the columns.
        usable: Which images can be compared, (images,).
        fixed: What turns features into embeddings. By default they are centred by the mean of the
            other folds, which also decide between features of the last layer and of all stages.
    """
    folds = pairs.folds if pairs.folds is not None else made_folds(pairs)
    known = usable[pairs.first] & usable[pairs.second]
    # How much nearer than the threshold each pair is: comparable from fold to fold.
    margins, right = np.full(len(pairs), -np.inf), np.zeros(len(pairs), bool)
    thresholds, kinds, accuracies = [], [], []
    for fold in range(folds.max() + 1):
        others, tested = (folds != fold) & known, folds == fold
        kind, distances = _learn(pairs, features, layout, others, fixed)
        threshold = best_threshold(distances[others], pairs.same[others])
        compared = tested & known
        margins[compared] = threshold - distances[compared]
        right[compared] = (margins[compared] >= 0) == pairs.same[compared]
        accuracies.append(float(right[tested].mean()))
        thresholds.append(threshold)
        kinds.append(kind)
    area = measure_auroc(np.maximum(margins, -1e9), pairs.same)
    return Verification(
        pairs=len(pairs),
        same=int(pairs.same.sum()),
        not_comparable=int((~known).sum()),
        accuracies=tuple(accuracies),
        features=max(set(kinds), key=kinds.count),
        threshold=float(np.mean(thresholds)),
        auroc=area.value if area else float("nan"),
        auroc_ci95=area.ci95 if area else (0.0, 1.0),
        eer=equal_error_rate(margins, pairs.same),
        eer_ci95=_eer_interval(margins, pairs.same),
        tar_at_far=tuple(_accepted(margins, pairs.same)),
        curve=_curve(margins, pairs.same),
        slices=tuple(_sliced(pairs, margins >= 0)),
        folds_given=pairs.folds is not None,
    )


def made_folds(pairs: Pairs) -> Rows:
    """Return a fold of each pair; pairs that share images are in one, if there are enough."""
    group = np.arange(len(pairs.images))

    def root(image: int) -> int:
        while group[image] != image:
            group[image] = group[group[image]]
            image = int(group[image])
        return image

    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        group[root(first)] = root(second)
    groups = np.array([root(image) for image in pairs.first.tolist()])
    count = min(FOLDS, int(pairs.same.sum()), int((~pairs.same).sum()))
    if len(np.unique(groups)) >= FOLDS:
        apart = GroupKFold(FOLDS, shuffle=True, random_state=0).split(groups, groups=groups)
        folds = _numbers(apart, len(pairs))
        if all(len(np.unique(pairs.same[folds != fold])) == 2 for fold in range(FOLDS)):
            return folds
    mixed = StratifiedKFold(max(2, count), shuffle=True, random_state=0)
    return _numbers(mixed.split(groups, pairs.same), len(pairs))


def _numbers(split: Iterable[tuple[Rows, Rows]], pairs: int) -> Rows:
    folds = np.zeros(pairs, np.int64)
    for number, (_, rows) in enumerate(split):
        folds[rows] = number
    return folds


def best_threshold(distances: Numbers, same: Flags) -> float:
    """Return the distance up to which pairs are accepted that is right most often.

    It is in the middle between two distances; of several that are as good, the middle one.
    """
    order = np.argsort(distances, kind="stable")
    values, right = distances[order], np.where(same[order], 1, -1)
    gains = np.concatenate([[0], np.cumsum(right)])
    # Between equal distances there is no threshold.
    possible = np.concatenate([[True], values[1:] > values[:-1], [True]])
    best = np.flatnonzero(possible & (gains == gains[possible].max()))
    place = int(best[(len(best) - 1) // 2])
    below = values[place - 1] if place else values[0] - 1e-6
    above = values[place] if place < len(values) else values[-1] + 1e-6
    return float((below + above) / 2)


def equal_error_rate(scores: Numbers, same: Flags) -> float:
    """Return the rate at which false accepts and false rejects are equal, 0 to 1.

    Args:
        scores: Higher for pairs that are more likely the same, (pairs,).
        same: Which pairs show the same item.
    """
    accepts, rejects = _error_rates(scores, same)
    # Between the two points where the order of both rates changes, both are linear.
    place = int(np.flatnonzero(accepts >= rejects)[0])
    if place == 0:
        return float(max(accepts[0], rejects[0]))
    before, after = (rejects - accepts)[place - 1], (accepts - rejects)[place]
    share = before / (before + after) if before + after > 0 else 0.0
    return float(accepts[place - 1] + share * (accepts[place] - accepts[place - 1]))


def _error_rates(scores: Numbers, same: Flags) -> tuple[Numbers, Numbers]:
    """Return the false accepts and the false rejects at each threshold, from the strictest."""
    order = np.argsort(-scores, kind="stable")
    values, sorted_same = scores[order], same[order]
    last = np.concatenate([values[1:] != values[:-1], [True]])
    accepted = np.cumsum(~sorted_same)[last] / max(1, int((~same).sum()))
    rejected = 1 - np.cumsum(sorted_same)[last] / max(1, int(same.sum()))
    return np.concatenate([[0.0], accepted]), np.concatenate([[1.0], rejected])


def _learn(
    pairs: Pairs, features: Features, layout: FeatureLayout, others: Flags, fixed: Embedding | None
) -> tuple[str, Numbers]:
    """Return which features tell the other folds' pairs apart best, and the distances by them."""
    if fixed is not None:
        return fixed.features, _distances(fixed.of_features(features), pairs)
    seen = np.unique(np.concatenate([pairs.first[others], pairs.second[others]]))
    best: tuple[float, str, Numbers] | None = None
    for kind in (name for name in layout.kinds if name != "flatten"):
        embedding = Embedding.of(features[seen], layout, kind, "centred")
        distances = _distances(embedding.of_features(features), pairs)
        area = measure_auroc(-distances[others], pairs.same[others])
        value = area.value if area else 0.0
        if best is None or value > best[0]:
            best = value, kind, distances
    assert best is not None  # Every layout has features of the last layer.
    return best[1], best[2]


def _distances(points: Floats, pairs: Pairs) -> Numbers:
    similarities = np.einsum("ij,ij->i", points[pairs.first], points[pairs.second])
    return np.asarray(1 - similarities, dtype=np.float64)


def _eer_interval(scores: Numbers, same: Flags) -> Interval:
    draw = np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLES):
        rows = draw.integers(0, len(scores), len(scores))
        if len(np.unique(same[rows])) == 2:
            found.append(equal_error_rate(scores[rows], same[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _accepted(scores: Numbers, same: Flags) -> list[tuple[float, Rate]]:
    different = np.sort(scores[~same])[::-1]
    found = []
    for far in FALSE_ACCEPTS:
        allowed = int(far * len(different) + 1e-9)
        if allowed < 1:
            break
        limit = different[allowed] if allowed < len(different) else -np.inf
        if rate := Rate.of(scores[same] > limit):
            found.append((far, rate))
    return found


def _curve(scores: Numbers, same: Flags) -> tuple[tuple[float, float], ...]:
    accepts, rejects = _error_rates(scores, same)
    rows = np.unique(np.linspace(0, len(accepts) - 1, _CURVE).round().astype(int))
    return tuple((float(accepts[row]), float(1 - rejects[row])) for row in rows)


def _sliced(pairs: Pairs, accepted: Flags) -> list[PairSlice]:
    found = []
    for column, values in pairs.slices.items():
        cells: Sequence[str] = values
        for value in sorted(set(cells)):
            member = np.array([one == value for one in cells])
            found.append(
                PairSlice(
                    column,
                    value,
                    Rate.of(accepted[member & ~pairs.same]),
                    Rate.of(~accepted[member & pairs.same]),
                )
            )
    return found
