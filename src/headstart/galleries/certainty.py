"""What a distance says: the probability of being the same item, and from where one is unknown.

Both are learnt from leave-one-out retrieval in the gallery itself. The distance of an image to the
nearest image of its own label is one between images of the same item. Its distance to the nearest
image of another label is that of a stranger, whose label is not in the gallery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from headstart.arrays import Numbers
from headstart.galleries.retrieval import Retrieval

FEWEST = 20
"""With fewer distances of a kind, neither probabilities nor a limit are learnt."""


@dataclass(frozen=True)
class Certainty:
    """What distances say in a gallery.

    Attributes:
        slope: Of the logistic regression of being the same item on the distance; None if it is not
            known, as too few labels have two images.
        intercept: Likewise.
        limit: The distance beyond which an image is unknown; None if it is not known, as there are
            too few images of different labels.
        false_accepts: The share of strangers that are nearer than the limit.
        enrolled: The number of images that the gallery had then.
        nearer: How much nearer strangers are than images of enrolled labels are to other labels,
            0 to 1; see `Choice`.
    """

    slope: float | None
    intercept: float | None
    limit: float | None
    false_accepts: float
    enrolled: int
    nearer: float = 1.0

    @classmethod
    def of(
        cls, found: Retrieval, false_accepts: float, *, enrolled: int, nearer: float = 1.0
    ) -> Self:
        """Learn from images that were looked up among the others.

        Args:
            found: What was found.
            false_accepts: The share of strangers that may be accepted, between 0 and 1.
            enrolled: The number of images in the gallery.
            nearer: See the class.
        """
        same, other = (values[np.isfinite(values)] for values in (found.same, found.other))
        slope = intercept = limit = None
        if len(other) >= FEWEST:
            limit = float(np.quantile(other, false_accepts, method="lower"))
        if min(len(same), len(other)) >= FEWEST:
            distances = np.concatenate([same, other])[:, np.newaxis]
            model = LogisticRegression(class_weight="balanced", C=100.0)
            model.fit(distances, np.repeat([1, 0], [len(same), len(other)]))
            # A larger distance never makes it more probable.
            slope = min(0.0, float(model.coef_[0, 0]))
            intercept = float(model.intercept_[0])
        return cls(slope, intercept, limit, false_accepts, enrolled, nearer)

    def probability(self, distance: float) -> float | None:
        """Return the probability that two images at a distance show the same item, 0 to 1.

        As many pairs of the same item as of different ones are assumed. None if it is not known.
        """
        if self.slope is None or self.intercept is None:
            return None
        return float(expit(self.slope * distance + self.intercept))

    def unknown(self, distance: float) -> bool:
        """Return whether an image is so far from all enrolled ones that its label is unknown."""
        return self.limit is not None and distance > self.limit


def as_distances(similarities: Numbers) -> Numbers:
    """Return cosine distances, 0 to 2."""
    return np.clip(1 - similarities, 0, 2)
