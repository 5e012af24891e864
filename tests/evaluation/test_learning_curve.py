"""Learning curves are measured on nested parts, and their forecasts hold where truth is known."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pydantic import TypeAdapter

from headstart.backbones.layout import FeatureLayout
from headstart.errors import DataError
from headstart.evaluation.learning_curve import (
    Correctness,
    _nested_parts,
    choice_for,
    fit_learning_curve,
    folds_for,
    measure_correctness,
    measure_learning_curve,
)
from headstart.heads.choice import HeadChoice
from headstart.heads.specs import LinearHead, NearestHead
from headstart.record.learning_curve import (
    ClassGain,
    CurvePoint,
    Forecast,
    HeldBack,
    LearningCurve,
    Needed,
)
from headstart.tasks.multi import Multi
from tests.conftest import TASK
from tests.heads.problems import blobs

LEARNT = np.array([50.0, 100.0, 200.0, 400.0, 800.0])
NOW = CurvePoint(800, 0.898, 0.89, 0.91)
TWICE = Forecast(2.0, 1600, 0.912, 0.901, 0.924)


def choice_of(width, classes, head=None, task=TASK):
    """Return a choice of a head on features without stages."""
    layout = FeatureLayout((("output", width),))
    return HeadChoice(head or LinearHead(), ("last",), layout, classes, task)


def measure(features, targets, groups=None, head=None, task=TASK, **options):
    """Measure the learning curve of points, each a group of its own by default."""
    features, targets = np.asarray(features, np.float32), np.asarray(targets, np.int64)
    classes = targets.shape[1] if targets.ndim > 1 else int(targets.max()) + 1
    groups = groups or [str(number) for number in range(len(targets))]
    names = [f"class {number}" for number in range(classes)]
    choice = choice_of(features.shape[1], classes, head, task)
    return measure_learning_curve(choice, features, targets, groups, names, **options)


def error_of(law, images):
    """Return the error of a power law (a, b, c)."""
    a, b, c = law
    return a + b * np.asarray(images) ** -c


def follow(law, images=1000, seed=0, learnt=LEARNT):
    """Return predictions that follow a power law: hard images need many others to learn from."""
    hardness = np.random.default_rng(seed).uniform(size=images)
    shares = hardness[np.newaxis] > error_of(law, learnt)[:, np.newaxis]
    return Correctness(learnt, shares.astype(np.float64), np.arange(images))


def forecast(found, **options):
    """Fit the curve of predictions for images that are groups of their own."""
    groups = [str(number) for number in found.rows]
    return fit_learning_curve(found, groups, ("a", "b"), targets=None, **options)


@pytest.mark.parametrize("law", [(0.05, 2.0, 0.5), (0.0, 0.9, 0.3), (0.1, 10.0, 0.9)])
def test_a_power_law_is_continued(law):
    """With hardly any chance in the points, forecasts are the law's, though not exactly."""
    curve = forecast(follow(law, images=40_000))
    for expected, factor in zip(curve.forecasts, (2, 4), strict=True):
        assert expected.images == factor * 800
        truth = 1 - error_of(law, factor * 800)
        assert expected.accuracy == pytest.approx(truth, abs=0.005 * factor)
        assert expected.low < truth < expected.high
    assert curve.fit.accuracy(400) == pytest.approx(1 - error_of(law, 400), abs=0.005)
    assert curve.checked.inside


def test_intervals_contain_the_truth_about_nine_times_in_ten():
    """The truth is that of new images; with 1,000, chance is most of the interval."""
    draw, inside = np.random.default_rng(0), []
    for seed in range(40):
        law = (draw.uniform(0, 0.1), draw.uniform(0.5, 2), draw.uniform(0.25, 0.7))
        expected = forecast(follow(law, seed=seed)).forecasts[0]
        inside.append(expected.low <= 1 - error_of(law, 1600) <= expected.high)
    assert sum(inside) >= 34


def test_more_images_held_out_make_intervals_narrower():
    """So does a forecast that is not as far."""
    few, many = (forecast(follow((0.05, 2.0, 0.5), images)).forecasts for images in (300, 5000))
    assert few[0].high - few[0].low > 2 * (many[0].high - many[0].low)
    assert many[1].high - many[1].low > many[0].high - many[0].low


def test_copies_in_a_group_do_not_make_the_interval_narrower():
    """Groups are resampled as a whole, so ten copies of each image are not ten images."""
    single = follow((0.05, 2.0, 0.5), images=300)
    copied = Correctness(LEARNT, np.repeat(single.shares, 10, axis=1), np.arange(3000))
    groups = [str(number // 10) for number in range(3000)]
    grouped = fit_learning_curve(copied, groups, ("a", "b"), targets=None).forecasts[0]
    alone, torn = forecast(single).forecasts[0], forecast(copied).forecasts[0]
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert torn.high - torn.low < 0.6 * (grouped.high - grouped.low)


def test_the_images_needed_are_those_of_the_law():
    """The next level is above the present accuracy of 87.1%, and the law reaches it."""
    law = (0.0, 4.0, 0.5)
    needed = forecast(follow(law, images=40_000)).needed
    assert needed.accuracy == 0.9
    truth = (4.0 / 0.1) ** 2 / 800
    assert needed.low < truth < needed.high < 2.8 * truth


def test_a_level_above_the_ceiling_is_not_reached():
    """If a tenth of the images cannot be learnt, no number of images helps."""
    needed = forecast(follow((0.12, 20.0, 1.0), images=40_000)).needed
    assert (needed.accuracy, needed.low, needed.high) == (0.9, None, None)


def test_above_the_last_level_nothing_is_needed():
    """Without any error, the interval is still not empty."""
    curve = forecast(Correctness(LEARNT, np.ones((5, 500)), np.arange(500)))
    assert curve.needed is None
    assert curve.forecasts[0].accuracy == 1.0
    assert curve.forecasts[0].low < 0.996
    assert (curve.points[-1].low, curve.points[-1].high) == pytest.approx((1, 1), abs=0.01)


def test_a_curve_that_breaks_off_fails_its_check():
    """If the last point jumps, forecasts from the smaller sizes did not see it."""
    found = follow((0.05, 2.0, 0.5), images=3000)
    shares = found.shares.copy()
    shares[-1, : 3000 // 5] = 0
    checked = forecast(replace(found, shares=shares)).checked
    assert not checked.inside
    assert checked.truth < checked.low <= checked.forecast <= checked.high


@pytest.mark.parametrize("classes", [2, 7])
def test_parts_are_nested_stratified_and_keep_groups_whole(classes):
    """The last part is everything."""
    draw = np.random.default_rng(classes)
    groups = np.repeat(np.arange(300), draw.integers(1, 5, 300))
    strata = (groups % classes).astype(np.int64)
    parts = list(_nested_parts(strata, groups, 16, seed=1))
    for smaller, larger in pairwise(parts):
        assert set(smaller) < set(larger)
    for part in parts:
        assert not set(groups[part]) & set(np.delete(groups, part))
        shares = np.bincount(strata[part], minlength=classes) / len(part)
        assert np.abs(shares - 1 / classes).max() < 0.12
    np.testing.assert_array_equal(parts[-1], np.arange(len(groups)))
    assert len(parts[0]) == pytest.approx(len(groups) / 16, abs=3)


def test_copies_are_never_learnt_from_and_held_out():
    """Labels are random, but the same for copies: only a head that has seen a copy knows them."""
    draw = np.random.default_rng(0)
    points, labels = draw.normal(size=(60, 64)), np.arange(60) % 2
    features, targets = np.repeat(points, 4, axis=0), np.repeat(labels, 4)
    groups = [str(number // 4) for number in range(240)]
    assert measure(features, targets, groups).points[-1].accuracy < 0.7
    assert measure(features, targets).points[-1].accuracy > 0.95


def test_clouds_are_learnt_up_to_the_best_possible_accuracy():
    """Forecasts agree with a head that learns from twice as many images, tested on many others."""
    features, targets = blobs(300, width=24, spread=1.2, seed=3)
    curve = measure(features, targets)
    assert [point.images for point in curve.points] == [16, 31, 62, 122, 240]
    accuracies = [point.accuracy for point in curve.points]
    assert accuracies[0] < accuracies[2] < accuracies[4]
    points, truth = blobs(6480, width=24, spread=1.2, seed=4)
    points, truth = points.astype(np.float32), truth.astype(np.int64)
    names = [str(number) for number in range(480)]
    fit = choice_of(24, 3).fit(points[:480], truth[:480], names)
    accuracy = TASK.correct(fit.head.logits(points[480:]), truth[480:]).mean()
    twice = curve.forecasts[0]
    assert twice.low <= accuracy <= twice.high
    assert twice.high - twice.low < 0.12


def test_most_of_the_gain_is_that_of_the_hard_class():
    """A rare class next to a common one needs more images than one that is far from both."""
    draw = np.random.default_rng(1)
    targets = np.where(np.arange(450) % 10 == 9, 2, np.arange(450) % 2)
    centres = np.eye(3, 30) * [[6], [6], [0]]
    centres[2, [0, 5]] = 6, 3
    gains = measure(centres[targets] + draw.normal(size=(450, 30)), targets).gains
    assert gains[0].name == "class 2"
    assert gains[0].share > 0.5
    assert 0.5 < gains[0].recall < gains[0].expected <= 1
    assert sum(gain.share for gain in gains) == pytest.approx(1)


def test_thirty_images_cannot_tell():
    """Nothing is measured, and the sentence says why."""
    curve = measure(*blobs(30))
    assert curve == LearningCurve(
        reason="30 images are too few to say how accuracy would grow; 60 are needed."
    )
    assert curve.sentence == curve.reason


@pytest.mark.parametrize(
    ("points", "groups", "reason"),
    [
        (
            blobs(90),
            [str(number % 9) for number in range(90)],
            "9 groups of images are too few to say how accuracy would grow.",
        ),
        (
            blobs(90, width=40, classes=40),
            None,
            "90 images of 40 classes are too few to say how accuracy would grow.",
        ),
        (
            (np.zeros((80, 2)), np.r_[np.zeros(60, int), np.ones(20, int)]),
            [str(min(number, 60)) for number in range(80)],
            "Fewer than two classes have images in two groups, so accuracy cannot be forecast.",
        ),
    ],
    ids=["groups", "classes", "one class"],
)
def test_a_reason_says_what_is_lacking(points, groups, reason):
    """Few images of each class, and few groups, are as little as few images."""
    assert measure(*points, groups).reason == reason


def test_parts_of_a_single_group_cannot_tell(monkeypatch):
    """If groups are so large that a part is a single one, a head cannot be fitted."""

    def fail(*arguments):
        raise DataError("No class has two training images in different groups.")

    monkeypatch.setattr(HeadChoice, "fit", fail)
    assert measure(*blobs(80)).sentence == (
        "The groups of images are too large to learn from parts of them, so accuracy cannot be "
        "forecast."
    )


def test_several_labels_have_a_curve_but_no_gain_by_class():
    """An image is correct if all of its labels are."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(120, 6))
    targets = (features[:, :2] + draw.normal(size=(120, 2)) > 0).astype(np.int64)
    curve = measure(features, targets, task=Multi())
    assert len(curve.forecasts) == 2
    assert curve.gains == ()


def test_the_same_seed_gives_the_same_curve():
    """Folds, parts and the bootstrap are drawn by the seed."""
    points = blobs(303)
    first, second, other = (measure(*points, head=NearestHead(), seed=seed) for seed in (0, 0, 1))
    assert first == second != other


def test_progress_counts_heads():
    """Few images are repeated: four times, with five folds and five parts."""
    calls = []
    measure(*blobs(80), head=NearestHead(), progress=lambda *call: calls.append(call))
    assert calls == [(done, 100) for done in range(1, 101)]


def test_effort_is_limited_with_many_images():
    """There are fewer folds, and a cheaper head."""
    choice = choice_of(8, 3, NearestHead())
    assert [folds_for(images) for images in (1500, 1501)] == [5, 3]
    assert choice_for(choice, 2000) is choice
    assert choice_for(choice, 2001).head == LinearHead()


def test_of_very_many_images_one_fold_is_held_out(monkeypatch):
    """The others need not be predicted, since a third are enough."""
    monkeypatch.setattr("headstart.evaluation.learning_curve._ALL_FOLDS", 700)
    features, targets = blobs(702)
    choice = choice_of(8, 3, NearestHead())
    groups = [str(number) for number in range(702)]
    found = measure_correctness(choice, features.astype(np.float32), targets, groups)
    assert len(found.rows) == found.shares.shape[1] == 141
    assert found.learnt[-1] == 561


def test_a_curve_is_the_same_after_json():
    """It is part of a record, which is a file."""
    adapter = TypeAdapter(LearningCurve)
    targets = np.arange(1000) % 2
    found = follow((0.05, 2.0, 0.5))
    groups = [str(number) for number in range(1000)]
    curve = fit_learning_curve(found, groups, ("a", "b"), targets=targets)
    assert len(curve.gains) == 2
    assert adapter.validate_json(adapter.dump_json(curve)) == curve


def test_the_sentence_is_plain_english():
    """It names the forecast, the images needed, and the class that gains most."""
    curve = LearningCurve(
        (NOW,), None, (TWICE,), Needed(0.95, 3.1, 4.8), (ClassGain("rust", 0.6, 0.7, 0.7),)
    )
    expected = (
        "With twice as many images, accuracy on folds would probably be 91.2% (90.1% to 92.4%) "
        "instead of 89.8%."
    )
    assert curve.sentence == (
        f"{expected} For 95%, about 3 to 5 times as many images are needed; most of the gain would "
        "come from 'rust'."
    )
    assert replace(curve, needed=None).sentence == (
        f"{expected} Most of the gain would come from 'rust'."
    )
    assert replace(curve, needed=None, gains=()).sentence == expected
    checked = HeldBack(800, 0.92, 0.91, 0.93, 0.898)
    assert replace(curve, needed=None, gains=(), checked=checked).sentence == (
        f"{expected} Doubt this forecast: from fewer images, 91.0% to 93.0% was forecast for the "
        "present ones, and 89.8% was measured."
    )


@pytest.mark.parametrize(
    ("low", "high", "clause"),
    [
        (3.1, 4.8, "about 3 to 5 times as many images are needed"),
        (1.42, 2.0, "about 1.4 to 2 times as many images are needed"),
        (4.0, 4.2, "about 4 times as many images are needed"),
        (1.0, 4.0, "up to 4 times as many images are needed"),
        (1.0, 1.0, "up to 1.1 times as many images are needed"),
        (6.0, None, "6 to more than 10 times as many images are needed"),
        (1.0, None, "the present images may do, or more than 10 times as many be needed"),
        (None, None, "even 10 times as many images would probably not be enough"),
    ],
)
def test_how_many_images_are_needed_in_words(low, high, clause):
    """Bounds that are the same after rounding are said once."""
    curve = LearningCurve((NOW,), None, (TWICE,), Needed(0.95, low, high))
    assert curve.sentence.endswith(f" For 95%, {clause}.")
