"""The nearest class mean by cosine similarity, and adding classes."""

import numpy as np

from headstart.heads.nearest import fit_nearest
from tests.heads.problems import blobs, problem


def test_centres_are_mean_directions():
    """Each centre is the normalised mean of its class's centred and scaled directions."""
    features, labels = blobs()
    task = problem(features, labels)
    head = fit_nearest(task, "last").head
    deviation = task.features.std(0)
    scale = deviation + 100 / 90 * np.sort(deviation)[3]
    rows = (task.features - task.features.mean(0)) / scale
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    means = np.stack([rows[labels == number].mean(axis=0) for number in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(head.centres, means, atol=1e-5)
    np.testing.assert_allclose(head.logits(task.features), rows @ means.T, atol=1e-5)


def test_every_image_is_held_out_once():
    """Held-out scores cover each row once."""
    fit = fit_nearest(problem(*blobs()), "last")
    assert sorted(fit.held_out.rows.tolist()) == list(range(90))


def test_an_added_class_is_predicted():
    """The new class is predicted, and the scores of the other classes do not change."""
    features, labels = blobs(classes=4, count=120)
    known = labels < 3
    task = problem(features[known], labels[known])
    head = fit_nearest(task, "last").head
    added = features[~known].astype(np.float32)
    grown = head.with_class(added[:10])
    assert grown.centres.shape == (4, 8)
    assert (grown.logits(added[10:]).argmax(axis=1) == 3).mean() > 0.7
    np.testing.assert_allclose(
        grown.logits(task.features)[:, :3], head.logits(task.features), atol=1e-6
    )
    assert head.centres.shape == (3, 8)


def test_an_image_at_the_mean_scores_0():
    """An image that is exactly average scores 0 for every class, not NaN."""
    task = problem(*blobs())
    head = fit_nearest(task, "last").head
    np.testing.assert_allclose(head.logits(head.mean[None]), 0, atol=1e-6)
