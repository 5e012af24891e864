"""The interval of the macro AUROC by DeLong's method, for labels of the same images."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy.stats import rankdata

from headstart.arrays import Numbers
from headstart.evaluation.delong import Auroc, measure_auroc
from headstart.evaluation.intervals import Z95, logit_interval
from headstart.evaluation.label_results import Label
from headstart.record import MetricValue


def measure_macro_auroc(labels: Sequence[Label], images: int) -> MetricValue:
    """Measure the mean AUROC of labels, with its 95% interval.

    In DeLong's variance, every image contributes to the AUROC of a label (DeLong, DeLong and
    Clarke-Pearson, 1988). The contributions of an image to all labels are added before they are
    squared, which includes the covariances between labels. For labels with few images that are
    ranked wrongly, the variance is increased as in `measure_auroc`: a bootstrap cannot see how
    uncertain the AUROC of three positive images is. The interval is symmetric on the logit scale.

    Args:
        labels: At least one, all of them measurable; images are independent.
        images: The number of images in the whole set.
    """
    contributions, values, more = np.zeros(images), [], 0.0
    for label in labels:
        area = measure_auroc(label.probability, label.positive)
        if area is None:
            raise ValueError(f"Label '{label.name}' is not measurable.")
        own = _contributions(label)
        contributions[label.rows] += own
        more += max(_standard_error(area) ** 2 - float((own**2).sum()), 0.0)
        values.append(area.value)
    error = sqrt(float((contributions**2).sum()) + more) / len(labels)
    value = float(np.mean(values))
    return MetricValue(value, logit_interval(value, error), "DeLong")


def _contributions(label: Label) -> Numbers:
    """Return the contribution of each image to the error of the AUROC, (rows,)."""
    positive, ranks = label.positive, rankdata(label.probability)
    contributions = np.zeros(len(positive))
    for flags, others in ((positive, ~positive), (~positive, positive)):
        # The share of the other class that is ranked below each image.
        below = (ranks[flags] - rankdata(label.probability[flags])) / others.sum()
        count = int(flags.sum())
        contributions[flags] = (below - below.mean()) / sqrt(count * max(count - 1, 1))
    contributions[~positive] *= -1
    return contributions


def _standard_error(area: Auroc) -> float:
    """Return the standard error; for a perfect ranking, the one that its interval implies."""
    low, high = area.ci95
    return area.standard_error or (high - low) / Z95
