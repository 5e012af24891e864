"""Small pictures of training images that a model keeps, to show similar ones elsewhere."""

from dataclasses import replace

import numpy as np

from headstart.arrays import Numbers, Rows
from headstart.data.images import ImageSet
from headstart.predictor.predictor import Predictor
from headstart.report.thumbnails import thumbnail
from headstart.watching import Warn

_SIDE = 160


def with_examples(model: Predictor, train: ImageSet, count: int, warn: Warn) -> Predictor:
    """Return a model that keeps small pictures of some of its training images.

    Labels take turns; of each, the next image is the one that is farthest from those chosen.

    Args:
        model: The model.
        train: Its training images.
        count: The number of pictures.
        warn: Called if none can be kept.
    """
    known = model.limits.known
    if count and known is None:
        warn(
            "No pictures of training images are kept, as this model finds no similar ones: there "
            "are fewer than 20 training images, or the features are unpooled."
        )
    if not count or known is None:
        return model
    paths = dict(zip(train.sha256s, train.paths, strict=True))
    contract = model.extractor.preprocess.contract
    chosen = _chosen(known.points.astype(np.float64), np.array(known.labels), count)
    examples = {
        known.sha256s[row]: thumbnail(paths[known.sha256s[row]], contract, _SIDE) for row in chosen
    }
    return replace(model, limits=replace(model.limits, examples=examples))


def _chosen(points: Numbers, labels: np.ndarray[tuple[int], np.dtype[np.str_]], count: int) -> Rows:
    """Return the rows of images that differ, of all labels in turn."""
    names = np.unique(labels)
    each = [
        _spread(points, np.flatnonzero(labels == name), -(-count // len(names))) for name in names
    ]
    turns = [rows[turn] for turn in range(max(map(len, each))) for rows in each if turn < len(rows)]
    return np.array(turns[:count], dtype=np.int64)


def _spread(points: Numbers, rows: Rows, count: int) -> list[int]:
    """Return rows that are far from each other, the one nearest to the mean first."""
    own = points[rows]
    first = int(((own - own.mean(axis=0)) ** 2).sum(axis=1).argmin())
    chosen = [first]
    distances = ((own - own[first]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, ((own - own[chosen[-1]]) ** 2).sum(axis=1))
    return [int(rows[number]) for number in chosen]
