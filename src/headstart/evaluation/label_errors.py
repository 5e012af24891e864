"""Find images whose label is probably wrong, from predictions of models that did not learn them.

Confident learning (Northcutt et al., 2021): each class has a limit, the mean probability that its
own images are given. An image is suspect if the probability of another class reaches the limit of
that class, and is higher than that of its own label.
"""

import numpy as np

from headstart.arrays import Flags, Numbers, Probabilities, Rows, Targets

MIN_IMAGES = 5
"""Classes with fewer images have no limit: they are neither suspect nor suggested."""

# A limit is a mean of probabilities, which may be above all of them by a rounding error.
_ROUNDING = 1e-9
_STANDARD_ERRORS = 2.0


def confident_errors(probabilities: Probabilities, targets: Targets) -> tuple[Rows, Rows, Numbers]:
    """Find probable label errors among images of which each has one class.

    Nothing is found if the predictions are no better than the shares of the classes.

    Args:
        probabilities: Of each image, by a model that was not fitted on it, (images, classes).
        targets: The class number of each image, (images,).

    Returns:
        The rows of suspect images, the most suspect first; the class that each probably belongs to;
        and the probability of that class minus that of the label, 0 to 1.
    """
    images, classes = probabilities.shape
    own = probabilities[np.arange(images), targets]
    counts = np.bincount(targets, minlength=classes)
    if not _is_informed(own, counts[targets] / max(images, 1)):
        return _ranked(np.zeros(images), targets)
    limits = np.full(classes, np.inf)
    sums = np.bincount(targets, weights=own, minlength=classes)
    np.divide(sums, counts, out=limits, where=counts >= MIN_IMAGES)
    others = np.where(probabilities >= limits - _ROUNDING, probabilities, 0.0)
    others[np.arange(images), targets] = 0.0
    scores = np.where(counts[targets] >= MIN_IMAGES, others.max(axis=1) - own, 0.0)
    return _ranked(scores, others.argmax(axis=1))


def confident_label_errors(probabilities: Numbers, present: Flags) -> tuple[Rows, Numbers]:
    """Find probable errors of one label that each image has or does not have.

    Args:
        probabilities: Of the label, by models that were not fitted on the image, (images,).
        present: Whether the image has the label, (images,).

    Returns:
        The rows of suspect images, the most suspect first; and how much more probable the contrary
        is, 0 to 1.
    """
    both = np.stack([1 - probabilities, probabilities], axis=1)
    rows, _, scores = confident_errors(both, present.astype(np.int64))
    return rows, scores


def _is_informed(own: Numbers, shares: Numbers) -> bool:
    """Return whether labels are more probable than by the shares of the classes.

    Log loss would not do: a few wrong labels make it large.

    Args:
        own: The probability of the label of each image, (images,).
        shares: The share of its class, (images,).
    """
    gains = own - shares
    error = gains.std() / np.sqrt(max(len(gains), 1))
    return bool(len(gains) and gains.mean() > _STANDARD_ERRORS * error)


def _ranked(scores: Numbers, suggested: Rows) -> tuple[Rows, Rows, Numbers]:
    rows = np.flatnonzero(scores > 0)
    order = rows[np.argsort(-scores[rows], kind="stable")]
    return order, suggested[order], scores[order]
