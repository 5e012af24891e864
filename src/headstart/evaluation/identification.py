"""The identification rate of an open set: who is found while few strangers are accepted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Flags, Numbers, Rows

_EPSILON = 1e-9


@dataclass(frozen=True, eq=False)
class IdentificationRate:
    """The share of known images that are identified at a share of false accepts.

    A known image is identified if its nearest enrolled image has its label and is nearer than a
    limit. The limit is the distance of the nearest stranger that must not be accepted, so that at
    most the given share of strangers is nearer (detection and identification rate; Phillips et
    al., 2011; 1 - FNIR at an FPIR of ISO/IEC 19795-1). It is set again for each set of weights, so
    that an interval includes its uncertainty.

    Attributes:
        known: Which images are known, (images,). Undefined without any.
        right: Which known images have an image of their label nearest, (images,).
        distance: The distance to the nearest image of their label, (images,).
        stranger: Which images stand for strangers, (images,). Undefined without any.
        stranger_distance: The distance of these to the nearest enrolled image, (images,).
        false_accepts: The share of strangers that may be accepted, between 0 and 1.
    """

    known: Flags
    right: Flags
    distance: Numbers
    stranger: Flags
    stranger_distance: Numbers
    false_accepts: float

    @property
    def images(self) -> int:
        """The number of images in the set."""
        return len(self.known)

    def __call__(self, weights: Numbers) -> Numbers:
        """Return the rate for each set of weights, (sets,)."""
        rows = np.flatnonzero(self.known & self.right)
        rows = rows[np.argsort(self.distance[rows], kind="stable")]
        reached = np.searchsorted(self.distance[rows], self.limits(weights), side="left")
        passed = np.cumsum(weights[:, rows], axis=1)
        passed = np.concatenate([np.zeros((len(weights), 1)), passed], axis=1)
        identified = passed[np.arange(len(weights)), reached]
        total = weights @ self.known
        undefined = (total == 0) | (weights @ self.stranger == 0)
        return np.where(undefined, np.nan, identified / np.where(undefined, 1, total))

    def limits(self, weights: Numbers) -> Numbers:
        """Return the limit for each set of weights, (sets,); infinite without strangers."""
        rows = np.flatnonzero(self.stranger)
        if not len(rows):
            return np.full(len(weights), np.inf)
        rows = rows[np.argsort(self.stranger_distance[rows], kind="stable")]
        accepted = np.cumsum(weights[:, rows], axis=1)
        first = (accepted > self.false_accepts * accepted[:, -1:] + _EPSILON).argmax(axis=1)
        return np.asarray(self.stranger_distance[rows][first])

    def take(self, rows: Rows) -> IdentificationRate:
        """Return the rate among some of the images."""
        return IdentificationRate(
            self.known[rows],
            self.right[rows],
            self.distance[rows],
            self.stranger[rows],
            self.stranger_distance[rows],
            self.false_accepts,
        )
