"""Pairs of images: the protocol of LFW, and its measures by hand."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from headstart.backbones.layout import FeatureLayout
from headstart.data.pairs import Pairs
from headstart.galleries.verification import (
    best_threshold,
    equal_error_rate,
    made_folds,
    verify_pairs,
)

PEOPLE, PHOTOS, WIDTH = 30, 4, 8


def make_pairs(folds: bool = True) -> tuple[Pairs, np.ndarray]:
    """Return pairs of people, and features: those of a person are alike."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(PEOPLE, WIDTH))
    features = np.repeat(centres, PHOTOS, axis=0) + 0.6 * draw.normal(size=(PEOPLE * PHOTOS, WIDTH))
    first, second, same, fold = [], [], [], []
    for person in range(PEOPLE):
        other = (person // 3) * 3 + (person + 1) % 3
        for photo in range(PHOTOS - 1):
            row = person * PHOTOS + photo
            first += [row, row]
            second += [row + 1, other * PHOTOS + photo]
            same += [True, False]
            fold += [person // 3] * 2
    names = tuple(f"{row}.png" for row in range(PEOPLE * PHOTOS))
    slices = {"group": ["a" if row < 60 else "b" for row in first]}
    numbers = np.array(fold) if folds else None
    columns = (np.array(first), np.array(second), np.array(same))
    return Pairs(names, *columns, numbers, slices), features.astype(np.float32)


LAYOUT = FeatureLayout((("output", WIDTH),))


def test_each_fold_has_the_threshold_of_the_others() -> None:
    """Against the same protocol, written out."""
    pairs, features = make_pairs()
    found = verify_pairs(pairs, features, LAYOUT, np.ones(len(features), bool))
    expected = []
    for fold in range(10):
        others = pairs.folds != fold
        seen = np.unique(np.concatenate([pairs.first[others], pairs.second[others]]))
        points = features - features[seen].mean(axis=0)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        similarity = (points[pairs.first] * points[pairs.second]).sum(axis=1)
        tried = np.sort(similarity[others])
        cuts = [((similarity[others] >= cut) == pairs.same[others]).mean() for cut in tried]
        best = tried[np.flatnonzero(np.array(cuts) == max(cuts))]
        tested = ~others
        rates = [((similarity[tested] >= cut) == pairs.same[tested]).mean() for cut in best]
        expected.append((min(rates), max(rates)))
    for value, (low, high) in zip(found.accuracies, expected, strict=True):
        assert low - 0.06 <= value <= high + 0.06  # One pair, between two equally good thresholds.
    assert found.accuracy == pytest.approx(np.mean(found.accuracies))
    assert found.accuracy_se == pytest.approx(np.std(found.accuracies, ddof=1) / 10**0.5)
    assert found.accuracy > 0.8
    assert found.not_comparable == 0
    assert [far for far, _ in found.tar_at_far] == []  # 90 pairs cannot tell 1%.
    assert sum(one.false_accepts.pairs for one in found.slices) == 90
    assert [(one.column, one.value) for one in found.slices] == [("group", "a"), ("group", "b")]


def test_images_that_cannot_be_compared_count_as_wrong() -> None:
    pairs, features = make_pairs()
    usable = np.ones(len(features), bool)
    usable[0] = False
    features[0] = np.nan
    found = verify_pairs(pairs, features, LAYOUT, usable)
    whole = verify_pairs(pairs, np.nan_to_num(features), LAYOUT, np.ones(len(features), bool))
    wrong = int(((pairs.first == 0) | (pairs.second == 0)).sum())
    assert found.not_comparable == wrong == 3
    assert found.accuracies[0] <= 1 - wrong / 18
    assert found.accuracies[3] == pytest.approx(whole.accuracies[3], abs=0.06)
    assert np.isfinite([found.auroc, found.eer]).all()


def test_made_folds_share_no_image() -> None:
    pairs, _ = make_pairs(folds=False)
    folds = made_folds(pairs)
    assert set(folds) == set(range(10))
    for fold in range(10):
        images = [
            set(np.concatenate([pairs.first[rows], pairs.second[rows]]).tolist())
            for rows in (folds == fold, folds != fold)
        ]
        assert not images[0] & images[1]


def test_the_best_threshold() -> None:
    """In the middle of a gap; equal distances are not parted."""
    same = np.array([True, True, False, False])
    assert best_threshold(np.array([0.1, 0.2, 0.4, 0.5]), same) == pytest.approx(0.3)
    assert best_threshold(np.array([0.1, 0.2, 0.2, 0.5]), same) in (
        pytest.approx(0.15),
        pytest.approx(0.35),
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_equal_error_rate(seed: int) -> None:
    """Between the points of scikit-learn's curve where the order of both errors changes."""
    draw = np.random.default_rng(seed)
    same = draw.random(300) < 0.5
    scores = draw.normal(size=300) + same
    accepts, hits, _ = roc_curve(same, scores, drop_intermediate=False)
    gap = np.abs(accepts - (1 - hits))
    near = gap.argmin()
    value = equal_error_rate(scores, same)
    assert value == pytest.approx((accepts[near] + 1 - hits[near]) / 2, abs=gap[near] / 2 + 0.01)
    assert equal_error_rate(np.where(same, 1.0, 0.0), same) == 0
    assert equal_error_rate(np.where(same, 0.0, 1.0), same) == 1
    assert equal_error_rate(np.zeros(300), same) == pytest.approx(0.5)


def test_true_accepts_at_a_share_of_false_ones() -> None:
    """Of 200 pairs of different items, two may be accepted at 1%."""
    draw = np.random.default_rng(1)
    points = draw.normal(size=(400, 4)).astype(np.float32)
    first, second = np.arange(0, 400, 2), np.arange(1, 400, 2)
    points[second[:100]] = points[first[:100]] + 0.3 * draw.normal(size=(100, 4))
    extra = draw.integers(0, 400, (100, 2))
    pairs = Pairs(
        tuple(map(str, range(400))),
        np.concatenate([first, extra[:, 0]]),
        np.concatenate([second, extra[:, 1]]),
        np.arange(300) < 100,
        np.arange(300) % 10,
        {},
    )
    layout = FeatureLayout((("output", 4),))
    found = verify_pairs(pairs, points, layout, np.ones(400, bool))
    ((far, rate),) = found.tar_at_far
    assert (far, rate.pairs) == (0.01, 100)
    low, high = rate.ci95
    assert low < rate.value < high
    on_curve = [hits for accepts, hits in found.curve if accepts <= 0.01 + 1e-9]
    assert rate.value == pytest.approx(max(on_curve), abs=0.05)


def test_nothing_is_written_by_chance(tmp_path: Path) -> None:
    """The same pairs give the same numbers."""
    pairs, features = make_pairs(folds=False)
    usable = np.ones(len(features), bool)
    first, second = (verify_pairs(pairs, features, LAYOUT, usable).to_json() for _ in range(2))
    assert first == second
