"""Curves of one label: ROC, precision and recall, and reliability."""

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from headstart.arrays import Flags, Numbers
from headstart.evaluation.metrics import reliability
from headstart.record import CurvePoint, LabelBin

MAX_POINTS = 100
"""Longer curves are thinned out to this number of points."""

_DIGITS = 4


def roc_points(probability: Numbers, positive: Flags) -> tuple[CurvePoint, ...]:
    """Return the ROC curve from (0, 0) to (1, 1): false positive rate and recall.

    A curve of more than 100 points is thinned out, to points at equal distances along it.

    Args:
        probability: Probability of the label, shape (images,).
        positive: Which images have it, shape (images,); some and not all.
    """
    false_positives, recall, _ = roc_curve(positive, probability)
    return _thinned(false_positives, recall, false_positives + recall)


def precision_recall_points(probability: Numbers, positive: Flags) -> tuple[CurvePoint, ...]:
    """Return recall and precision at the thresholds of the positive images, by increasing recall.

    The area below the steps, each with the precision of its right end, is the average precision.
    Of more than 100 points, those at equal distances of recall are kept.

    Args:
        probability: Probability of the label, shape (images,).
        positive: Which images have it, shape (images,); at least one.
    """
    precision, recall, _ = precision_recall_curve(positive, probability)
    # By increasing recall, without the point at recall 0 that scikit-learn adds.
    precision, recall = precision[-2::-1], recall[-2::-1]
    steps = np.diff(recall, prepend=0) > 0
    return _thinned(recall[steps], precision[steps], recall[steps])


def label_bins(probability: Numbers, positive: Flags) -> tuple[LabelBin, ...]:
    """Bin images by the probability of a label into 15 bins of equal width, without empty ones.

    Args:
        probability: Probability of the label, shape (images,).
        positive: Which images have it, shape (images,).
    """
    bins = reliability(probability, positive)
    return tuple(LabelBin(each.confidence, each.accuracy, each.images) for each in bins)


def calibration_error(bins: tuple[LabelBin, ...]) -> float:
    """Return the expected calibration error of a label, 0 to 1.

    Args:
        bins: At least one.
    """
    errors = [abs(each.frequency - each.probability) for each in bins]
    return float(np.average(errors, weights=[each.images for each in bins]))


def _thinned(x: Numbers, y: Numbers, travelled: Numbers) -> tuple[CurvePoint, ...]:
    """Return at most 100 points of a curve, with both ends.

    Args:
        x: Shape (points,).
        y: Shape (points,).
        travelled: How far along the curve each point is, in ascending order, shape (points,).
    """
    kept = np.arange(len(x))
    if len(x) > MAX_POINTS:
        stops = np.linspace(travelled[0], travelled[-1], MAX_POINTS)
        kept = np.unique(np.searchsorted(travelled, stops))
    return tuple((round(float(x[at]), _DIGITS), round(float(y[at]), _DIGITS)) for at in kept)
