"""Metrics of slices of the images, such as one sex, site or scanner, and whether they differ.

A slice is compared with all other images by permuting the column. Its values are permuted among
the images of each class, so that a slice with another share of positive images does not differ for
that reason. With groups, they are permuted among the groups whose images share a value, and within
the other groups (Winkler et al., 2015). P-values count what was observed as a permutation (Phipson
and Smyth, 2010) and are corrected for the number of slices (Holm, 1979). Slices that divide the
images alike, such as the two values of a column, are one test.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from headstart.arrays import Flags, Numbers, Rows, Targets
from headstart.data.slicing import check_number_of_values
from headstart.evaluation.bootstrap import RESAMPLES, blocks, number_groups
from headstart.evaluation.macro_mean import MacroMean
from headstart.evaluation.measuring import Measurement, measure
from headstart.evaluation.weighted_metrics import Metric

Key = TypeVar("Key", bound=Hashable)
"""What a p-value belongs to."""

LEVEL = 0.05
"""The probability of flagging any slice although none differs."""

PERMUTATIONS = 1999
"""The number of permutations of a column."""

# The smallest p-value must stay below the level after correction, with some room.
_PERMUTATIONS_PER_TEST = 40


@dataclass(frozen=True)
class Slice:
    """The images with one value in a column.

    Attributes:
        column: The name of the column.
        value: The value, "" for images without one.
        images: The number of images.
        metrics: The metrics of these images with their intervals, by name.
        difference: The tested metric minus that of all other images; None if one of them is
            undefined.
        p: The two-sided p-value of no difference, by permutation; None without a difference.
        adjusted_p: The same after Holm's correction for all slices.
    """

    column: str
    value: str
    images: int
    metrics: Mapping[str, Measurement]
    difference: float | None
    p: float | None
    adjusted_p: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the slice differs from all other images by more than chance."""
        return self.adjusted_p is not None and self.adjusted_p < LEVEL


@dataclass(frozen=True)
class _Column:
    """A column whose values are numbered, with the number of each image's value, (images,)."""

    name: str
    values: tuple[str, ...]
    codes: Rows

    def members(self) -> Iterator[Flags]:
        """Yield which images have each value."""
        return (self.codes == code for code in range(len(self.values)))


def measure_slices(
    metrics: Mapping[str, Metric],
    columns: Mapping[str, Sequence[str]],
    targets: Targets,
    groups: Rows | None = None,
    *,
    tested: str,
    higher_is_better: bool = True,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Measure each slice, and test by permutation whether it differs from all other images.

    Permutations stay within classes and respect groups (Winkler et al., 2015); p-values are
    corrected for the number of slices (Holm, 1979).

    Args:
        metrics: The metrics of all images, by name.
        columns: The value of each image, by the name of the column; "" without a value.
        targets: The class number of each image, shape (images,).
        groups: The number of each image's group, shape (images,); None if images are independent.
        tested: The name of the metric to test and to sort by.
        higher_is_better: Whether a higher value of the tested metric is better.
        resamples: The number of resamples of bootstrap intervals.
        permutations: The number of permutations; more where there are so many slices that their
            p-values could not be below the level after correction.
        seed: The seed of intervals and permutations.

    Returns:
        The slices of all columns, worst first, undefined ones last. Means over labels are sorted by
        the difference, as those of slices may be over different labels.

    Raises:
        DataError: A column has more than 50 values.
    """
    numbered = [_number(name, values) for name, values in columns.items()]
    p_values = _p_values(metrics[tested], numbered, targets, groups, permutations, seed)
    adjusted = holm(p_values)
    slices = []
    for column in numbered:
        for value, member in zip(column.values, column.members(), strict=True):
            rows, test = np.flatnonzero(member), _partition(member)
            measured = _measure(metrics, rows, groups, resamples, seed)
            gap = _difference(metrics[tested], member)
            p, adjusted_p = p_values.get(test), adjusted.get(test)
            slices.append(Slice(column.name, value, len(rows), measured, gap, p, adjusted_p))
    # Means of slices are over different labels, but both sides of a difference over the same.
    by_difference = isinstance(metrics[tested], MacroMean)

    def badness(one: Slice) -> float:
        value = one.difference if by_difference else one.metrics[tested].value
        return _badness(value, higher_is_better)

    return tuple(sorted(slices, key=badness))


def _number(name: str, values: Sequence[str]) -> _Column:
    known, codes = np.unique(np.asarray(values, dtype=np.str_), return_inverse=True)
    check_number_of_values(name, len(known))
    return _Column(name, tuple(str(value) for value in known), codes.astype(np.int64))


def _measure(
    metrics: Mapping[str, Metric], rows: Rows, groups: Rows | None, resamples: int, seed: int
) -> dict[str, Measurement]:
    own = None if groups is None else groups[rows]
    return {
        name: measure(metric.take(rows), own, resamples=resamples, seed=seed)
        for name, metric in metrics.items()
    }


def _p_values(
    metric: Metric,
    columns: Sequence[_Column],
    targets: Targets,
    groups: Rows | None,
    permutations: int,
    seed: int,
) -> dict[bytes, float]:
    """Return the p-value of each test, by partition; undefined ones are left out."""
    tests = {_partition(member) for column in columns for member in column.members()}
    count = max(permutations, _PERMUTATIONS_PER_TEST * len(tests))
    p_values: dict[bytes, float] = {}
    for column in columns:
        permuted = _permutations(column.codes, targets, groups, count, seed)
        for key, p in _test(metric, column, permuted):
            p_values.setdefault(key, p)
    return p_values


def _partition(member: Flags) -> bytes:
    """Return the same for a slice and for all other images."""
    return bytes(np.packbits(member ^ member[0]))


def _badness(value: float | None, higher_is_better: bool) -> float:
    if value is None:
        return np.inf
    return value if higher_is_better else -value


def _differences(metric: Metric, members: Numbers) -> Numbers:
    """Return the metric of slices, shape (slices, images), minus that of all other images."""
    if isinstance(metric, MacroMean):
        return metric.difference(members)
    return metric(members) - metric(1 - members)


def _difference(metric: Metric, member: Flags) -> float | None:
    value = float(_differences(metric, member[np.newaxis].astype(np.float64))[0])
    return None if np.isnan(value) else value


def _test(
    metric: Metric, column: _Column, permutations: Iterator[Rows]
) -> Iterator[tuple[bytes, float]]:
    """Yield the partition and the two-sided p-value of each slice that can be tested."""
    observed = {
        code: difference
        for code, member in enumerate(column.members())
        if (difference := _difference(metric, member)) is not None
    }
    if len(column.values) == 2:
        observed.pop(1, None)  # The same test as the first.
    found: dict[int, list[Numbers]] = {code: [] for code in observed}
    for codes in permutations:
        for code, differences in found.items():
            differences.append(_differences(metric, (codes == code).astype(np.float64)))
    for code, difference in observed.items():
        yield _partition(column.codes == code), _p_value(np.concatenate(found[code]), difference)


def _p_value(permuted: Numbers, observed: float) -> float:
    """Return the share of permutations whose difference is as far from the mean as observed."""
    all_of_them = np.append(permuted[~np.isnan(permuted)], observed)
    # The mean differs from 0 if the slice has another share of some class.
    distance = np.abs(all_of_them - all_of_them.mean())
    # 1e-12: permutations that are equal to what was observed may be rounded differently.
    return float((distance >= distance[-1] - 1e-12).mean())


def _permutations(
    codes: Rows, targets: Targets, groups: Rows | None, count: int, seed: int
) -> Iterator[Rows]:
    """Yield blocks of permutations of a column, shape (permutations, images)."""
    draw = np.random.default_rng(seed)
    numbers, group_count = number_groups(groups, len(codes))
    of_groups, highest = np.full(group_count, len(codes)), np.zeros(group_count, np.int64)
    np.minimum.at(of_groups, numbers, codes)
    np.maximum.at(highest, numbers, codes)
    # Groups of one value are permuted among each other, images of the others within their group.
    whole = np.flatnonzero(of_groups == highest)
    mixed = np.flatnonzero((of_groups != highest)[numbers])
    strata = np.unique(np.stack([numbers, targets])[:, mixed], axis=1, return_inverse=True)[1]
    rarest = _rarest(targets, numbers, group_count)
    for size in blocks(count, len(codes)):
        shuffled = np.tile(of_groups, (size, 1))
        shuffled[:, whole] = _shuffle(draw, of_groups[whole], rarest[whole], size)
        images = shuffled[:, numbers]
        images[:, mixed] = _shuffle(draw, codes[mixed], strata, size)
        yield images


def _shuffle(draw: np.random.Generator, values: Rows, strata: Rows, sets: int) -> Rows:
    """Return values that are permuted within their strata, shape (sets, values)."""
    shuffled = np.tile(values, (sets, 1))
    for stratum in np.unique(strata):
        inside = np.flatnonzero(strata == stratum)
        shuffled[:, inside] = draw.permuted(shuffled[:, inside], axis=1)
    return shuffled


def _rarest(targets: Targets, numbers: Rows, count: int) -> Rows:
    """Return the rank, by frequency, of the rarest class in each group, shape (groups,)."""
    known, classes, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    ranks = np.argsort(np.argsort(sizes, kind="stable"))[classes]
    rarest = np.full(count, len(known))
    np.minimum.at(rarest, numbers, ranks)
    return rarest


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values corrected for their number, by Holm's step-down method."""
    adjusted, highest = dict[Key, float](), 0.0
    for rank, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[key] = highest
    return adjusted
