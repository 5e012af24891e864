"""The average of heads: its shares fit held-out images best, and few images mean equal shares."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from headstart.heads.fitted import StackModel
from headstart.heads.selection import refit_heads, select_head
from headstart.heads.stacking import MIN_SHARE, Average
from tests.conftest import TASK
from tests.heads.problems import blobs, problem, rings


def scores_with(noise, labels, classes=3):
    """Return scores of the true class plus noise."""
    rng = np.random.default_rng(int(100 * noise))
    scores = 2 * np.eye(classes)[labels] + noise * rng.normal(size=(len(labels), classes))
    return scores.astype(np.float32)


def drawn(images, *noises):
    """Return labels, and the scores of heads with different amounts of noise."""
    labels = np.random.default_rng(0).integers(0, 3, images)
    return [scores_with(noise, labels) for noise in noises], labels


def test_shares_have_the_highest_posterior_density():
    """They are those that a general optimiser finds, with the logarithm of the shares added."""
    scores, labels = drawn(300, 1.0, 1.5, 2.5)
    average = Average.of(scores, labels, TASK)
    rows = np.arange(len(labels))
    likelihoods = np.stack(
        [
            softmax(each.astype(float) / temperature, axis=1)[rows, labels]
            for each, temperature in zip(scores, average.temperatures, strict=True)
        ]
    )

    def loss(values):
        shares = softmax(values)
        return -np.log(shares @ likelihoods).sum() - np.log(shares).sum()

    expected = softmax(minimize(loss, np.zeros(3), tol=1e-10).x)
    np.testing.assert_allclose(average.shares, expected, atol=1e-4)
    assert average.shares[0] > average.shares[1] > average.shares[2]


def test_few_images_draw_the_shares_together():
    """The prior counts for more with few images."""
    spreads = [np.ptp(Average.of(*drawn(images, 1.0, 3.0), TASK).shares) for images in (10, 1000)]
    assert spreads[0] < spreads[1] / 1.5


def test_an_average_of_two_good_heads_is_better_than_either():
    """Independent errors cancel out."""
    scores, labels = drawn(500, 1.2, 1.3)
    average = Average.of(scores, labels, TASK)
    rows = np.arange(len(labels))
    single = [
        -log_softmax(each / t, axis=1)[rows, labels].mean()
        for each, t in zip(scores, average.temperatures, strict=True)
    ]
    assert -log_softmax(average.scores, axis=1)[rows, labels].mean() < min(single)


def test_equal_heads_have_equal_shares():
    """Nothing distinguishes them."""
    scores, labels = drawn(50, 1.0)
    assert Average.of([scores[0], scores[0]], labels, TASK).shares == pytest.approx([0.5, 0.5])


def test_heads_with_a_small_share_are_left_out():
    """A linear head cannot separate rings, so the kernel head alone remains."""
    fit = select_head(problem(*rings(400)), average=True)
    assert fit.head.kind == "kernel" and fit.members[0].share == 1
    assert [(row.head, row.share > MIN_SHARE) for row in fit.candidates] == [
        ("kernel", True),
        ("linear", False),
    ]


def test_the_table_has_the_average_first_and_all_shares():
    """Shares of the candidates sum to 1."""
    features, labels = blobs(60, width=20, seed=3)
    task = problem(features, labels, last=6)
    fit = select_head(task, average=True)
    first, *rows = fit.candidates
    assert isinstance(fit.head, StackModel)
    assert (first.features, first.head, first.share) == ("multilevel", "stack", None)
    assert len(rows) == 4 and sum(row.share for row in rows) == pytest.approx(1)
    losses = [row.log_loss for row in rows]
    assert losses == sorted(losses)


def test_held_out_scores_are_the_average_of_the_members():
    """No image is scored by a model that learnt from it, so scores differ from the final head's."""
    features, labels = blobs(60, width=20, seed=3)
    fit = select_head(problem(features, labels), average=True)
    order = np.argsort(fit.held_out.rows)
    assert fit.held_out.rows[order].tolist() == list(range(60))
    assert not np.allclose(fit.held_out.logits[order], fit.head.logits(features))


def test_a_refit_keeps_members_and_shares():
    """For tuned features: the same heads, strengths and shares."""
    features, labels = blobs(60, width=20, seed=3)
    task = problem(features, labels)
    fit = select_head(task, average=True)
    again = refit_heads(task, fit.members)
    assert again.members == fit.members and again.head.shares == fit.head.shares
    np.testing.assert_allclose(again.head.logits(features), fit.head.logits(features), atol=1e-3)


@pytest.mark.parametrize(("count", "kinds"), [(44, 3), (45, 2)])
def test_few_images_add_nearest_means(count, kinds):
    """Below 15 images per class, nearest means are candidates, measured calibrated."""
    features, labels = blobs(count, width=20, seed=3)
    fit = select_head(problem(features, labels, last=6), average=True)
    rows = fit.candidates[1:]
    assert len(rows) == 2 * kinds == len({(row.features, row.head) for row in rows})
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert all(row.log_loss < 0.6 for row in rows if row.head == "nearest")
    members = {(member.features, member.kind): member.share for member in fit.members}
    assert members == {(row.features, row.head): row.share for row in rows if row.share}


def test_a_refit_keeps_nearest_means():
    """For tuned features: class means are learnt from all images."""
    features, labels = blobs(30, width=20, seed=3)
    task = problem(features, labels)
    fit = select_head(task, average=True)
    assert "nearest" in {member.kind for member in fit.members}
    again = refit_heads(task, fit.members)
    np.testing.assert_allclose(again.head.logits(features), fit.head.logits(features), atol=1e-3)


@pytest.mark.parametrize("exact", [2048, 100])
def test_many_images_are_averaged_too(exact):
    """Above the limit, candidates are compared on a sample and learn from all images."""
    features, labels = blobs(240, width=20, seed=3)
    fit = select_head(problem(features, labels), average=True, exact=exact)
    unseen, truth = blobs(200, width=20, seed=3)
    assert isinstance(fit.head, StackModel)
    assert (fit.head.logits(unseen).argmax(axis=1) == truth).mean() > 0.9
    kernel = next(member for member in fit.head.members if member.kind == "kernel")
    assert len(kernel.landmarks) == min(exact, 240)


def test_a_temperature_calibrates_the_average():
    """Averages of calibrated heads are underconfident: their temperature is less than 1."""
    scores, labels = drawn(500, 1.2, 1.3)
    assert TASK.temperature(Average.of(scores, labels, TASK).scores, labels) < 1
