"""A head that is streamed is about as good as one that is fitted to all features in memory."""

import numpy as np
import pytest

from headstart.errors import DataError
from headstart.heads import streaming
from headstart.heads.specs import LinearHead
from headstart.heads.streaming import StreamedProblem, fit_streamed
from headstart.tasks.multi import Multi
from tests.conftest import TASK
from tests.heads.problems import blobs, problem

COUNT, WIDTH = 3000, 12


@pytest.fixture(autouse=True)
def _small_sample(monkeypatch):
    """Draw a sample of 300 images."""
    monkeypatch.setattr(streaming, "EXACT_IMAGES", 300)
    monkeypatch.setattr(streaming, "_MAX_SAMPLE", 300)


def streamed(features, targets, task=TASK, classes=3, groups=None, **options):
    """Return a problem whose features are read in blocks, the last ones first."""

    def read(rows):
        for part in reversed(np.array_split(np.sort(rows), 5)):
            yield part, features[part]

    groups = groups or [str(row) for row in range(len(features))]
    weights = np.ones(features.shape[1], np.float32)
    return StreamedProblem(read, targets, groups, classes, task, False, weights, "last", **options)


@pytest.fixture(scope="module")
def data():
    """Return features and labels, for training and for testing."""
    features, labels = blobs(2 * COUNT, WIDTH, spread=1.5)
    features = features.astype(np.float32) * np.linspace(0.1, 10, WIDTH, dtype=np.float32)
    return features[:COUNT], labels[:COUNT], features[COUNT:], labels[COUNT:]


def log_loss(fit, features, labels):
    """Return the mean log loss of a head."""
    return TASK.losses(TASK.probabilities(fit.head.logits(features), 1.0), labels).mean()


def test_it_is_as_good_as_a_fit_in_memory(data):
    """Two passes reach the loss of a fit to all images; the sample alone does not."""
    features, labels, new, truth = data
    whole = LinearHead().fit(problem(features, labels))
    fit = fit_streamed(streamed(features, labels))
    sample = fit_streamed(streamed(features, labels), passes=0)
    best = log_loss(whole, new, truth)
    assert log_loss(sample, new, truth) > best + 0.004
    assert log_loss(fit, new, truth) < best + 0.002
    assert fit.candidates[0].accuracy == pytest.approx(
        float((fit.held_out.logits.argmax(axis=1) == labels[fit.held_out.rows]).mean())
    )


def test_groups_are_held_out_as_a_whole(data):
    """No group is on both sides, and the head is not fitted on what scores it."""
    features, labels, *_ = data
    groups = [str(row // 4) for row in range(COUNT)]
    fit = fit_streamed(streamed(features, labels, groups=groups), passes=1)
    (fitted, held_out), *_ = fit.folds
    assert {groups[row] for row in fitted}.isdisjoint(groups[row] for row in held_out)
    assert len(fitted) + len(held_out) == COUNT
    np.testing.assert_array_equal(fit.held_out.rows, held_out)
    assert 0.05 < len(held_out) / COUNT < 0.15


def test_several_labels_have_strengths_of_their_own(data):
    """Unknown labels count for nothing, and each label is predicted better than by chance."""
    features, labels, new, truth = data
    targets = np.stack([labels == 0, labels > 0, labels == 2], axis=1).astype(np.int64)
    targets[::7, 1] = -1
    fit = fit_streamed(streamed(features, targets, task=Multi()))
    assert len(fit.members[0].strength) == 3
    predicted = fit.head.logits(new) > 0
    assert (predicted[:, 0] == (truth == 0)).mean() > 0.75
    assert (predicted[:, 1] == (truth > 0)).mean() > 0.75


def test_fewer_images_than_columns_are_fitted(data):
    """The sample then spans all weights that there can be."""
    features = np.random.default_rng(0).normal(size=(40, 100)).astype(np.float32)
    labels = np.arange(40) % 3
    features[:, 0] += 5 * labels
    fit = fit_streamed(streamed(features, labels))
    assert fit.head.weight.shape == (100, 3)
    assert np.isfinite(fit.head.logits(features)).all()


def test_a_single_group_cannot_be_streamed(data):
    """Nothing could be held out."""
    features, labels, *_ = data
    with pytest.raises(DataError) as caught:
        fit_streamed(streamed(features, labels, groups=["same"] * COUNT))
    assert str(caught.value) == (
        "The training images are of 1 groups (duplicates form one group), which is too few to "
        "hold some out. Add images."
    )
