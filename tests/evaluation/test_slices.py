"""Slices are measured, sorted, and flagged where they differ by more than chance."""

import numpy as np
import pytest

from headstart.errors import DataError
from headstart.evaluation.measuring import measure
from headstart.evaluation.slices import measure_slices
from headstart.evaluation.weighted_metrics import AreaUnderRoc, Rate, f1

IMAGES = 300
EVERYTHING = np.ones(IMAGES, bool)


def drawn(seed=0, images=IMAGES):
    """Return scores, truth and the site of each image, of which "C" is a fifth."""
    draw = np.random.default_rng(seed)
    site = draw.choice(["A", "B", "C"], p=[0.4, 0.4, 0.2], size=images)
    positive = draw.random(images) < np.where(site == "C", 0.2, 0.5)
    return draw.normal(size=images) + 1.5 * positive, positive, site


def accuracy(correct):
    """Return the accuracy as a metric."""
    return Rate(correct, np.ones(len(correct), bool))


def test_every_metric_of_each_value_worst_first():
    """The slices of both columns have the metrics of their images, lowest accuracy first."""
    scores, positive, site = drawn()
    sex = np.where(np.arange(IMAGES) % 3 == 0, "f", "m")
    predicted = scores > 0.7
    metrics = {
        "accuracy": accuracy(predicted == positive),
        "auroc": AreaUnderRoc(scores, positive),
        "f1": f1(predicted, positive),
    }
    found = measure_slices(metrics, {"site": site, "sex": sex}, positive, tested="accuracy")
    assert sorted((one.column, one.value) for one in found) == [
        ("sex", "f"),
        ("sex", "m"),
        ("site", "A"),
        ("site", "B"),
        ("site", "C"),
    ]
    values = [one.metrics["accuracy"].value for one in found]
    assert values == sorted(values)
    for one in found:
        rows = np.flatnonzero((site if one.column == "site" else sex) == one.value)
        assert one.images == len(rows)
        assert one.metrics == {name: measure(metric.take(rows)) for name, metric in metrics.items()}
        rest = np.delete(np.arange(IMAGES), rows)
        correct = predicted == positive
        assert one.difference == pytest.approx(correct[rows].mean() - correct[rest].mean())


def test_a_lower_metric_may_be_better():
    """Then the highest value is the worst."""
    scores, positive, site = drawn()
    metrics = {"errors": accuracy((scores > 0.7) != positive)}
    found = measure_slices(
        metrics, {"site": site}, positive, tested="errors", higher_is_better=False
    )
    values = [one.metrics["errors"].value for one in found]
    assert values == sorted(values, reverse=True)


def test_a_slice_that_differs_is_flagged():
    """Site "C", where half of the predictions are wrong instead of 10%, is; the others are not."""
    _, positive, site = drawn()
    wrong = np.random.default_rng(1).random(IMAGES) < np.where(site == "C", 0.5, 0.1)
    scanner = np.random.default_rng(2).choice(["x", "y"], size=IMAGES)
    found = measure_slices(
        {"accuracy": accuracy(~wrong)},
        {"site": site, "scanner": scanner},
        positive,
        tested="accuracy",
    )
    assert (found[0].value, found[0].differs) == ("C", True)
    assert found[0].p == 1 / 2000
    assert [one.value for one in found if one.column == "scanner" and one.differs] == []


def test_exact_p_value():
    """One of two wrong predictions among 6 images, in a slice of one: p is 2 / 6."""
    correct = np.array([False, False, True, True, True, True])
    found = measure_slices(
        {"accuracy": accuracy(correct)},
        {"site": list("abbbbb")},
        np.zeros(6, int),
        tested="accuracy",
    )
    assert [one.value for one in found] == ["a", "b"]
    assert found[0].p == pytest.approx(1 / 3, abs=0.04)
    assert found[0].difference == pytest.approx(-0.8)


def test_two_values_are_one_test():
    """Both have the same p-value, which is not corrected; a third column's slices add to it."""
    scores, positive, _ = drawn()
    sex, more = np.arange(IMAGES) % 2, np.arange(IMAGES) % 5
    metrics = {"auroc": AreaUnderRoc(scores, positive)}
    alone = measure_slices(metrics, {"sex": sex.astype(str)}, positive, tested="auroc")
    assert alone[0].p == alone[1].p == alone[0].adjusted_p
    found = measure_slices(
        metrics,
        {"sex": sex.astype(str), "again": sex.astype(str), "more": more.astype(str)},
        positive,
        tested="auroc",
    )
    p_values = sorted({one.p for one in found})
    assert len(p_values) == 6
    lowest = min(found, key=lambda one: one.p)
    assert lowest.adjusted_p == pytest.approx(min(1, 6 * lowest.p))


def test_holm_by_hand():
    """0.01, 0.02 and 0.04 become 0.03, 0.04 and 0.04."""
    from headstart.evaluation.slices import holm

    adjusted = holm({b"a": 0.04, b"b": 0.01, b"c": 0.02, b"d": 0.9})
    assert adjusted == pytest.approx({b"b": 0.04, b"c": 0.06, b"a": 0.08, b"d": 0.9})


@pytest.mark.parametrize("grouped", [False, True])
def test_equal_slices_are_rarely_flagged(grouped):
    """Of 150 equal slices, at most 9% have p < 0.05, although the slice has fewer positives."""
    flagged = 0
    for seed in range(150):
        draw = np.random.default_rng((1, seed))
        images, repeat = (40, 3) if grouped else (120, 1)
        sliced = np.repeat(draw.random(images) < 0.3, repeat)
        positive = np.repeat(draw.random(images) < 0.5, repeat) & ~(sliced & (draw.random() < 0.7))
        own = np.repeat(draw.normal(size=images), repeat) if grouped else 0
        scores = draw.normal(size=120) + 1.5 * positive + own
        flagged += flag(scores, positive, sliced, np.repeat(np.arange(images), repeat), seed)
    assert flagged <= 13


def flag(scores, positive, sliced, groups, seed):
    """Return whether the AUROC of a slice differs."""
    found = measure_slices(
        {"auroc": AreaUnderRoc(scores, positive)},
        {"site": sliced.astype(str)},
        positive,
        groups,
        tested="auroc",
        permutations=199,
        seed=seed,
    )
    return found[0].p is not None and found[0].p < 0.05


def test_copies_of_an_image_are_no_evidence():
    """5 copies of each image, as groups, have the p-value of the images alone."""
    correct = np.arange(40) % 10 < np.where(np.arange(40) < 20, 8, 6)
    site, targets = np.repeat(["a", "b"], 20), np.zeros(40, int)

    def p_value(copies, groups):
        (one, _) = measure_slices(
            {"accuracy": accuracy(np.repeat(correct, copies))},
            {"site": np.repeat(site, copies)},
            np.repeat(targets, copies),
            groups,
            tested="accuracy",
        )
        return one.p

    alone = p_value(1, None)
    assert p_value(5, np.repeat(np.arange(40), 5)) == pytest.approx(alone, abs=0.03)
    assert p_value(5, None) < 0.01 < 0.1 < alone


def test_slices_within_groups():
    """Where each patient was on both scanners, images are permuted within patients."""
    groups, scanner = np.repeat(np.arange(30), 4), np.tile(["x", "x", "y", "y"], 30)
    # Half of the patients are easy; 12 of 30 have a further error, always on scanner "y".
    correct = np.repeat(np.arange(30) % 2 == 0, 4)
    correct[np.arange(3, 96, 8)] = False
    found = measure_slices(
        {"accuracy": accuracy(correct)},
        {"scanner": scanner},
        np.zeros(120, int),
        groups,
        tested="accuracy",
    )
    assert [one.value for one in found] == ["y", "x"]
    # All 12 errors on "y" by chance: 2 ** -12 on either side.
    assert found[0].p <= 0.002
    assert found[0].metrics["accuracy"].method == "cluster bootstrap"
    free = measure_slices(
        {"accuracy": accuracy(correct)}, {"scanner": scanner}, np.zeros(120, int), tested="accuracy"
    )
    assert free[0].p > 0.02


def test_undefined_slices_come_last_and_are_not_tested():
    """A site without positive images has no AUROC; the correction does not count it."""
    scores, positive, site = drawn()
    site = np.where(site == "C", np.where(positive, "A", "C"), site)
    metrics = {"auroc": AreaUnderRoc(scores, positive)}
    *_, last = found = measure_slices(metrics, {"site": site}, positive, tested="auroc")
    assert (last.value, last.metrics["auroc"].value) == ("C", None)
    assert (last.difference, last.p, last.adjusted_p, last.differs) == (None, None, None, False)
    assert max(one.adjusted_p / one.p for one in found[:2]) <= 2


def test_a_column_with_one_value_has_nothing_to_differ_from():
    """It is measured, and not tested. Images without a value are a slice."""
    scores, positive, _ = drawn()
    metrics = {"accuracy": accuracy((scores > 0.7) == positive)}
    (one,) = measure_slices(metrics, {"site": [""] * IMAGES}, positive, tested="accuracy")
    assert (one.value, one.images, one.difference, one.p) == ("", IMAGES, None, None)
    assert one.metrics["accuracy"] == measure(metrics["accuracy"])


def test_names_are_not_slices():
    """A column with more than 50 values is refused by name."""
    metrics = {"accuracy": accuracy(EVERYTHING)}
    names = [f"p{number}" for number in range(IMAGES)]
    with pytest.raises(DataError) as error:
        measure_slices(metrics, {"patient": names}, EVERYTHING, tested="accuracy")
    assert str(error.value) == (
        "Column 'patient' has 300 different values, too many for slices. Use a column with at most "
        "50 values, such as ranges of 'patient'."
    )


def test_many_slices_can_still_be_flagged():
    """With 100 slices, there are permutations enough for a p-value that survives correction."""
    from headstart.evaluation.slices import LEVEL

    columns = {
        f"column {number}": np.roll(np.arange(200) // 4, number).astype(str) for number in range(2)
    }
    correct = np.arange(200) // 4 != 0
    found = measure_slices(
        {"accuracy": accuracy(correct)}, columns, np.zeros(200, int), tested="accuracy"
    )
    assert len(found) == 100
    assert found[0].differs and found[0].adjusted_p < LEVEL / 1.5


def test_the_same_seed_gives_the_same_slices():
    """Another seed gives other permutations."""
    scores, positive, site = drawn()
    metrics = {"auroc": AreaUnderRoc(scores, positive)}
    one, same, other = (
        measure_slices(metrics, {"site": site}, positive, tested="auroc", seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == same
    assert [s.p for s in one] != [s.p for s in other]
