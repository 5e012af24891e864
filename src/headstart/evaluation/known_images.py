"""What the model knows: the training images as points, and how far other images are from them.

The distance of an image is its mean distance to the nearest training images in the principal
components of the features (deep nearest neighbours, Sun et al., 2022), relative to a limit that few
held-out training images exceed. See docs/decisions/limits.md.

Imports that only training needs are local, so that predictions start quickly.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from headstart.arrays import Anything, Features, Flags, Floats, Folds, Numbers, Rows

FALSE_ALARMS = 0.05
"""The share of images like the training images that are called unknown."""

MIN_IMAGES = 20
"""With fewer training images, nothing is called unknown."""

NEIGHBOURS = 3
"""The distance of an image is its mean distance to so many training images."""

MAX_POINTS = 5_000
"""Of more training images, a sample is kept."""

_COMPONENTS = 64
# The principal components of so many images are those of all. They are learnt from at most half of
# the images, so that the other half can be compared with new images.
_MAX_FITTED = 2_000
# Images whose distances are computed at a time, to bound memory.
_BLOCK = 1_000


@dataclass(frozen=True)
class Neighbour:
    """A training image that is similar to another image.

    Attributes:
        sha256: Hash of its file; "" if it is not known.
        label: Its label, as in the data.
        distance: How far it is, as a share of the distance at which an image is unknown.
    """

    sha256: str
    label: str
    distance: float


@dataclass(frozen=True, eq=False)
class KnownImages:
    """The training images as points in a space of few dimensions.

    Attributes:
        mean: Mean of the features, (width,).
        projection: Maps centred features to the space, (width, dimensions).
        points: The training images, or a sample of them, (points, dimensions).
        sha256s: Hash of the file of each point.
        labels: Label of each point, as in the data.
        fitted: The number of points, the first ones, from which the space was learnt. The others
            are like points of new images.
        limit: The distance beyond which an image is unknown: `FALSE_ALARMS` of the training images,
            each held out, are farther.
    """

    mean: Floats
    projection: Floats
    points: Floats
    sha256s: tuple[str, ...]
    labels: tuple[str, ...]
    fitted: int
    limit: float

    @classmethod
    def of(
        cls,
        features: Features,
        weights: Floats,
        sha256s: Sequence[str],
        labels: Sequence[str],
        folds: Folds,
        *,
        seed: int,
    ) -> KnownImages:
        """Learn the space and the limit.

        Args:
            features: Features of the training images, (images, width).
            weights: The weight of each column, (width,).
            sha256s: Hash of the file of each image.
            labels: Label of each image, as text.
            folds: Pairs of rows, (train, held out), which keep similar images together.
            seed: Random seed of samples.
        """
        # Distances grow with the number of dimensions, which therefore is the same in all folds.
        smallest = min(len(train) for train, _ in folds)
        dimensions = min(_COMPONENTS, smallest // 2, features.shape[1])

        def known(rows: Rows) -> KnownImages:
            return cls._without_limit(features, weights, sha256s, labels, rows, dimensions, seed)

        distances = [known(train)._distances(features[held_out]) for train, held_out in folds]
        limit = np.quantile(np.concatenate(distances), 1 - FALSE_ALARMS, method="higher")
        return replace(known(np.arange(len(features))), limit=float(limit))

    @classmethod
    def _without_limit(
        cls,
        features: Features,
        weights: Floats,
        sha256s: Sequence[str],
        labels: Sequence[str],
        rows: Rows,
        dimensions: int,
        seed: int,
    ) -> KnownImages:
        """Learn the space of some of the images."""
        import torch
        from sklearn.utils.extmath import randomized_svd

        from headstart.heads.spaces import standardise

        rows = np.random.default_rng(seed).permutation(rows)[:MAX_POINTS]
        fitted = min(_MAX_FITTED, len(rows) // 2)
        standardised = standardise(
            torch.from_numpy(features[rows[:fitted]]), torch.from_numpy(weights)
        )
        _, _, axes = randomized_svd(
            standardised.rows.numpy(), n_components=dimensions, n_iter=2, random_state=seed
        )
        projection: Floats = (axes / standardised.scale.numpy()).T.astype(np.float32)
        mean = standardised.mean.numpy()
        return cls(
            mean,
            projection,
            _as_saved(_points(features[rows], mean, projection)),
            tuple(sha256s[row] for row in rows),
            tuple(labels[row] for row in rows),
            fitted,
            0.0,
        )

    def strangeness(self, features: Features) -> Numbers:
        """Return how unlike the training images others are: above 1 they are unknown, (images,).

        Args:
            features: Features of all stages, (images, width).
        """
        return self._distances(features) / self.limit

    def points_of(self, features: Features) -> Floats:
        """Return the points of images, (images, dimensions), from features (images, width)."""
        return _points(features, self.mean, self.projection)

    def unknown(self, features: Features) -> Flags:
        """Return which images are unlike all training images, (images,)."""
        flags: Flags = self.strangeness(features) > 1
        return flags

    def neighbours(
        self, features: Features, count: int, *, among: Container[str] | None = None
    ) -> list[tuple[Neighbour, ...]]:
        """Return the nearest training images of each image, nearest first.

        Args:
            features: Features of all stages, (images, width).
            count: The number of training images.
            among: The hashes of those that may be returned; None for all.
        """
        if among is not None:
            kept = [row for row, name in enumerate(self.sha256s) if name in among]
            return self._take(kept).neighbours(features, count)
        distances, rows = self._nearest(features, count)
        return [
            tuple(
                Neighbour(self.sha256s[row], self.labels[row], distance / self.limit)
                for row, distance in zip(found, away, strict=True)
            )
            for found, away in zip(rows.tolist(), distances.tolist(), strict=True)
        ]

    def _take(self, rows: Sequence[int]) -> Self:
        """Return the same with some of the points."""
        return replace(
            self,
            points=self.points[rows],
            sha256s=tuple(self.sha256s[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
        )

    def with_images(self, features: Features, label: str) -> Self:
        """Return the same with further images of one label."""
        points = _as_saved(self.points_of(features))
        return replace(
            self,
            points=np.concatenate([self.points, points]),
            sha256s=(*self.sha256s, *[""] * len(points)),
            labels=(*self.labels, *[label] * len(points)),
        )

    def to_arrays(self) -> dict[str, Anything]:
        """Return the values as arrays by name."""
        values = {
            "sha256s": self.sha256s,
            "labels": self.labels,
            "fitted": self.fitted,
            "limit": self.limit,
        }
        return {
            "mean": self.mean,
            "projection": self.projection,
            "points": self.points.astype(np.float16),
            "json": np.frombuffer(json.dumps(values).encode(), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Anything]) -> Self:
        """Create the same from the result of `to_arrays`."""
        values = json.loads(arrays["json"].tobytes())
        return cls(
            arrays["mean"].astype(np.float32),
            arrays["projection"].astype(np.float32),
            arrays["points"].astype(np.float32),
            tuple(values["sha256s"]),
            tuple(values["labels"]),
            values["fitted"],
            values["limit"],
        )

    def _distances(self, features: Features) -> Numbers:
        """Return the distance of images, (images,)."""
        distances: Numbers = self._nearest(features, NEIGHBOURS)[0].mean(axis=1)
        return distances

    def _nearest(self, features: Features, count: int) -> tuple[Numbers, Rows]:
        """Return the distances of the nearest points, and their rows, (images, count)."""
        return nearest_points(self.points_of(features), self.points, count)


def _points(features: Features, mean: Floats, projection: Floats) -> Floats:
    return np.asarray((features[:, : len(mean)] - mean) @ projection, dtype=np.float32)


def nearest_points(new: Floats, points: Floats, count: int) -> tuple[Numbers, Rows]:
    """Return the distances of the nearest points, nearest first, and their rows, (new, count).

    Args:
        new: Shape (new, dimensions).
        points: Shape (points, dimensions).
        count: The number of points to find, of all if there are fewer.
    """
    count = min(count, len(points))
    blocks = [
        _nearest_in_block(new[begin : begin + _BLOCK], points, count)
        for begin in range(0, max(len(new), 1), _BLOCK)
    ]
    distances, rows = zip(*blocks, strict=True)
    return np.concatenate(distances), np.concatenate(rows)


def _nearest_in_block(new: Floats, points: Floats, count: int) -> tuple[Numbers, Rows]:
    first, second = new.astype(np.float64), points.astype(np.float64)
    norms = (first**2).sum(axis=1)[:, np.newaxis] + (second**2).sum(axis=1)
    squares = norms - 2 * first @ second.T
    rows = np.argpartition(squares, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(squares, rows, axis=1)
    order = np.argsort(found, axis=1, kind="stable")
    distances = np.sqrt(np.take_along_axis(found, order, axis=1).clip(0))
    return distances, np.take_along_axis(rows, order, axis=1)


def _as_saved(points: Floats) -> Floats:
    """Round points as a bundle does."""
    return points.astype(np.float16).astype(np.float32)
