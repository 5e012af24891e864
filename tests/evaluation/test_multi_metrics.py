"""Metrics of several labels per image, against values computed by hand or by scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    label_ranking_loss,
    roc_auc_score,
)

from headstart.evaluation.delong import measure_auroc
from headstart.evaluation.intervals import wilson
from headstart.evaluation.multi_metrics import evaluate_labels
from headstart.record import MetricValue, MultiEvaluation

# Label a: three images have it, one of them below the threshold; the last is unknown.
TARGETS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, -1], [0, 1, 0], [-1, 0, 0]])
PROBABILITIES = np.array(
    [
        [0.9, 0.2, 0.1],
        [0.8, 0.7, 0.1],
        [0.6, 0.4, 0.3],
        [0.3, 0.1, 0.2],
        [0.2, 0.3, 0.1],
        [0.9, 0.1, 0.1],
    ]
)
NAMES = ("a", "b", "never")


def evaluated() -> MultiEvaluation:
    return evaluate_labels(PROBABILITIES, TARGETS, NAMES, (0.5, 0.5, 0.25))


@pytest.fixture(scope="module")
def random() -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and targets of 60 images with 4 labels, all known."""
    draw = np.random.default_rng(3)
    scores = draw.normal(size=(60, 4))
    targets = (scores + draw.normal(size=(60, 4)) > [0.0, 0.5, 1.0, 1.5]).astype(np.int64)
    return np.round(1 / (1 + np.exp(-scores)), 2), targets


def test_a_label_is_measured_on_the_images_for_which_it_is_known() -> None:
    """The metrics of label a are those of the five images for which it is known."""
    a = evaluated().per_class[0]
    assert (a.name, a.known, a.positives, a.threshold) == ("a", 5, 3, 0.5)
    assert a.prevalence == MetricValue(3 / 5, wilson(3, 5), "Wilson")
    assert a.precision == MetricValue(2 / 3, wilson(2, 3), "Wilson")
    assert a.recall == MetricValue(2 / 3, wilson(2, 3), "Wilson")
    assert a.specificity == MetricValue(1 / 2, wilson(1, 2), "Wilson")
    # Of the six pairs of a positive and a negative image, one is in the wrong order.
    area = measure_auroc(PROBABILITIES[:5, 0], TARGETS[:5, 0] == 1)
    assert area is not None
    assert a.auroc == MetricValue(pytest.approx(5 / 6), area.ci95, "DeLong")
    assert a.average_precision.value == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert a.average_precision.method == "bootstrap"


def test_f1_has_the_interval_of_the_share_that_it_depends_on() -> None:
    """Two of four predicted or positive images are both: F1 is 2/3, with the bounds likewise."""
    low, high = wilson(2, 4)
    expected = 2 * low / (1 + low), 2 * high / (1 + high)
    assert evaluated().per_class[0].f1 == MetricValue(pytest.approx(2 / 3), expected, "Wilson")


def test_a_label_that_no_image_has_is_not_measured() -> None:
    """It has counts and a prevalence; its metrics are None, and it is in no macro mean."""
    evaluation = evaluated()
    never = evaluation.per_class[2]
    assert (never.known, never.positives) == (5, 0)
    assert never.prevalence == MetricValue(0.0, wilson(0, 5), "Wilson")
    metrics = (never.auroc, never.average_precision, never.precision, never.recall, never.f1)
    assert {metric.value for metric in (*metrics, never.specificity)} == {None}
    assert (never.ece, never.roc, never.precision_recall, never.reliability) == (None, (), (), ())
    assert never.unmeasured == "no image has it"
    assert [result.name for result in evaluation.measured] == ["a", "b"]
    # Label b: 7 of 8 pairs are in the right order.
    assert evaluation.auroc.macro.value == pytest.approx((5 / 6 + 7 / 8) / 2)
    assert evaluation.auroc.weighted.value == pytest.approx((3 * 5 / 6 + 2 * 7 / 8) / 5)


def test_labels_that_all_or_unknown_images_have_are_not_measured() -> None:
    """The reason is given; without any measured label, the means are undefined."""
    targets = np.array([[1, -1], [1, -1]])
    evaluation = evaluate_labels(np.full((2, 2), 0.5), targets, ("always", "?"), (0.5, 0.5))
    assert [result.unmeasured for result in evaluation.per_class] == [
        "all images have it",
        "unknown for all images",
    ]
    assert evaluation.per_class[1].prevalence == MetricValue(None)
    assert evaluation.auroc.macro == evaluation.auroc.micro == MetricValue(None)
    assert evaluation.ece is None
    assert evaluation.log_loss == pytest.approx(np.log(2))


def test_images_count_as_correct_if_all_known_labels_are() -> None:
    """Of six images, the first two and the last are correct: the third has two false alarms."""
    assert evaluated().subset_accuracy == MetricValue(0.5, wilson(3, 6), "Wilson")


def test_images_without_known_labels_are_in_no_metric() -> None:
    """An image about which nothing is known changes nothing but the number of images."""
    more = evaluate_labels(
        np.vstack([PROBABILITIES, [[0.5, 0.5, 0.5]]]),
        np.vstack([TARGETS, [[-1, -1, -1]]]),
        NAMES,
        (0.5, 0.5, 0.25),
    )
    before = evaluated()
    assert (before.images, more.images) == (6, 7)
    assert more.per_class == before.per_class
    assert more.subset_accuracy == before.subset_accuracy
    assert more.log_loss == before.log_loss
    assert more.f1.micro.value == before.f1.micro.value


def test_micro_f1_counts_all_pairs_of_an_image_and_a_label() -> None:
    """Three hits, six predictions and five labels: 2 * 3 / (5 + 5)."""
    assert evaluated().f1.micro.value == pytest.approx(2 * 3 / (5 + 5))
    assert evaluated().f1.micro.method == "bootstrap"


def test_unknown_labels_are_in_no_pair_of_the_ranking_loss() -> None:
    """The fourth image has one present and one absent label in the right order: no loss."""
    # Wrong pairs per image: 0 of 2, 0 of 1 (a and b are present), no label, 0 of 1, 0 of 2. The
    # last has no known label that is present, and one unknown: it does not count. Moving the
    # probability of the unknown label to the top changes nothing.
    above = PROBABILITIES.copy()
    above[3, 2] = 1.0
    targets = TARGETS.copy()
    targets[4, 1] = 0
    targets[4, 0] = 1  # Wrong against b, right against the label that is never present: 1 of 2.
    for probabilities in (PROBABILITIES, above):
        loss = evaluate_labels(probabilities, targets, NAMES, (0.5,) * 3).ranking_loss
        assert loss == pytest.approx(1 / 2 / 5)


def test_images_without_a_known_pair_are_not_ranked_perfectly() -> None:
    """Unknown images, and partly known ones without a pair, do not dilute one wrong of one."""
    probabilities = np.tile([0.2, 0.8], (4, 1))
    targets = np.array([[1, 0], [-1, -1], [1, -1], [-1, 0]])
    assert evaluate_labels(probabilities, targets, ("a", "b"), (0.5,) * 2).ranking_loss == 1
    # As in scikit-learn, a fully known image without any label counts as 0.
    targets[1] = 0
    assert evaluate_labels(probabilities, targets, ("a", "b"), (0.5,) * 2).ranking_loss == 0.5
    unknown = evaluate_labels(probabilities[2:], targets[2:], ("a", "b"), (0.5,) * 2)
    assert unknown.ranking_loss is None


def test_means_agree_with_scikit_learn(random) -> None:
    """Without unknown values, all means are those of scikit-learn."""
    probabilities, targets = random
    found = evaluate_labels(probabilities, targets, tuple("abcd"), (0.5, 0.4, 0.5, 0.6))
    predicted = probabilities >= [0.5, 0.4, 0.5, 0.6]
    for name in ("macro", "micro", "weighted"):
        means = (found.auroc, found.average_precision, found.f1)
        values = [getattr(mean, name).value for mean in means]
        assert values == pytest.approx(
            [
                roc_auc_score(targets, probabilities, average=name),
                average_precision_score(targets, probabilities, average=name),
                f1_score(targets, predicted, average=name),
            ]
        )
    assert found.ranking_loss == pytest.approx(label_ranking_loss(targets, probabilities))
    assert found.log_loss == pytest.approx(
        -np.log(np.where(targets == 1, probabilities, 1 - probabilities)).mean()
    )


def test_macro_means_have_intervals_around_them(random) -> None:
    """The interval of a mean over labels contains it, and is narrower than those of the labels."""
    found = evaluate_labels(*random, tuple("abcd"), (0.5,) * 4)
    for means in (found.auroc, found.average_precision, found.f1):
        low, high = means.macro.ci95
        assert low < means.macro.value < high
    methods = [found.auroc.macro.method, found.average_precision.macro.method]
    assert methods == ["DeLong", "bootstrap"]
    low, high = found.auroc.macro.ci95
    assert high - low < min(one.auroc.ci95[1] - one.auroc.ci95[0] for one in found.per_class)
    assert found.resamples == 2000


def test_the_mean_of_one_label_is_that_label(random) -> None:
    """With one label, the macro mean has the label's own interval, and nothing to rank."""
    probabilities, targets = random
    found = evaluate_labels(probabilities[:, :1], targets[:, :1], ("a",), (0.5,))
    assert found.auroc.macro == found.per_class[0].auroc
    assert found.auroc.macro.method == "DeLong"
    assert found.ranking_loss is None


def test_groups_are_resampled_as_a_whole(random) -> None:
    """With groups of four copies, intervals are wider and say how they were computed."""
    probabilities, targets = (np.repeat(values, 4, axis=0) for values in random)
    groups = [f"patient {number // 4}" for number in range(240)]
    apart = evaluate_labels(probabilities, targets, tuple("abcd"), (0.5,) * 4)
    grouped = evaluate_labels(probabilities, targets, tuple("abcd"), (0.5,) * 4, groups=groups)
    assert (apart.groups, grouped.groups) == (None, 60)

    def metrics(evaluation: MultiEvaluation) -> list[MetricValue]:
        a = evaluation.per_class[0]
        rates = [a.prevalence, a.precision, a.recall, a.specificity, a.f1]
        return [*rates, a.auroc, a.average_precision, evaluation.auroc.macro, evaluation.f1.micro]

    for one, other in zip(metrics(apart), metrics(grouped), strict=True):
        assert one.value == pytest.approx(other.value)
        assert other.method == "cluster bootstrap"
        # Copies add nothing: with a quarter of the images, intervals are twice as wide.
        assert other.ci95[1] - other.ci95[0] == pytest.approx(
            2 * (one.ci95[1] - one.ci95[0]), rel=0.25
        )


def test_groups_of_one_image_are_independent(random) -> None:
    """If each image has its own group, there are no groups."""
    names = [str(number) for number in range(60)]
    grouped = evaluate_labels(*random, tuple("abcd"), (0.5,) * 4, groups=names)
    assert grouped == evaluate_labels(*random, tuple("abcd"), (0.5,) * 4)


def test_pairs_of_labels_are_counted() -> None:
    """Rows and columns are labels; predictions count only where both labels are known."""
    evaluation = evaluated()
    assert evaluation.cooccurrence == ((3, 1, 0), (1, 2, 0), (0, 0, 0))
    assert evaluation.predicted_cooccurrence == ((3, 1, 1), (1, 1, 0), (1, 0, 1))


def test_many_pairs_have_fewer_resamples() -> None:
    """Above 50,000 pairs of an image and a label, fewer resamples are drawn."""
    targets = np.zeros((1000, 100), np.int64)
    targets[::2, 0] = 1
    found = evaluate_labels(
        np.full((1000, 100), 0.5), targets, tuple(map(str, range(100))), [1] * 100
    )
    assert found.resamples == 1000
    assert found.auroc.macro.value == 0.5
