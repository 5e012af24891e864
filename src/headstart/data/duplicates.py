"""Images that look the same, found among many in bounded memory."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.arrays import Flags, Floats, Miniature, Numbers, Pairs, Rows

# Measured on 2,624 solar cells and 26 photos, each also saved as a JPEG of quality 50 or 75 and
# halved in size: copies differ by at most 25 bits and 0.8 levels, in the median by 4 and 0.2.
# Two pairs of cells come under both limits, and each turned out to be one cell taken twice.
_NEAR_BITS = 24
_NEAR_LEVELS = 0.6
# A copy may be brighter or darker by 3 % of the range; flat images that differ more are not copies.
_NEAR_BRIGHTNESS = 8
_PIXELS = 272
# Copies are no further apart along any direction; the rest is more than rounding can take away.
_REACH = _NEAR_LEVELS + 1e-3
BLOCK = 1024
"""Images that are compared with each other at a time: 4 MB of agreements, which the cache holds."""

_PAIRS = 4096
_SAMPLE = 8192
# Of the 256 products of signs, at least so much is their sum.
_AGREEING = 256 - 2 * _NEAR_BITS
_TURNS = 10


def near_duplicates(miniatures: Miniature, *, block: int = BLOCK) -> Rows:
    """Find the images that look the same: re-encoded, resized, slightly brighter.

    For two images to be copies, both must hold: at most 24 of 256 gradient bits differ, and,
    brightness apart, the miniatures differ by at most 0.6 of 255 grey levels on average, and in
    brightness by at most 8. The bits alone would join all flat images.

    Only images of about the same brightness are compared, and of those the ones within 0.6 levels
    along one direction, in which copies cannot be further apart either. Nothing is missed, and
    memory does not depend on the number of copies.

    Args:
        miniatures: Shape (images, 16, 17).
        block: Images that are compared with each other at a time.

    Returns:
        For each image the first one that copies of copies connect it to, which is itself where
        there is none; shape (images,).
    """
    count = len(miniatures)
    if not count:
        return np.zeros(0, dtype=np.int64)
    content = np.ascontiguousarray(miniatures).reshape(count, -1)
    _, first, of = np.unique(
        content.view(f"V{content.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    return _first_of_each(_groups(miniatures[first], block)[of.ravel()])


def connected(count: int, pairs: Pairs) -> Rows:
    """Name each of some items by the smallest that pairs connect it to, however indirectly.

    Args:
        count: How many items there are.
        pairs: Their numbers, shape (pairs, 2).
    """
    there = np.ones(len(pairs), dtype=np.bool_)
    graph = coo_array((there, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return _first_of_each(connected_components(graph, directed=False)[1])


def _first_of_each(groups: Rows) -> Rows:
    """Name groups by their first member."""
    _, first, of = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(first[of.ravel()], dtype=np.int64)


def _groups(miniatures: Miniature, block: int) -> Rows:
    """Return the number of each image's group."""
    groups = np.arange(len(miniatures))
    for rows, columns in _blocks(miniatures, block):
        mine, theirs = groups[rows], groups[columns]
        if np.ptp(mine) == np.ptp(theirs) == 0 and mine[0] == theirs[0]:
            continue
        agreeing = _signs(miniatures[rows]) @ _signs(miniatures[columns]).T
        if agreeing.max() >= _AGREEING:
            groups = _joined(groups, miniatures, rows, columns, agreeing >= _AGREEING)
    return groups


def _blocks(miniatures: Miniature, size: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield blocks of images, and of those that may be copies of some of them.

    Of two copies, one is in the other's band of brightness or the next one, and within reach.
    """
    places = _places(miniatures)
    bands = miniatures.sum(axis=(1, 2), dtype=np.int64) // (_NEAR_BRIGHTNESS * _PIXELS)
    order = np.lexsort((places, bands))
    for band in np.unique(bands):
        start, end, last = np.searchsorted(bands[order], (band, band + 1, band + 2))
        mine, brighter = order[start:end], order[end:last]
        for at in range(0, len(mine), size):
            rows = mine[at : at + size]
            low, high = places[rows[0]] - _REACH, places[rows[-1]] + _REACH
            for others in (mine[at:], brighter):
                first, stop = np.searchsorted(places[others], (low, high))
                for column in range(first, stop, size):
                    yield rows, others[column : min(column + size, stop)]


def _places(miniatures: Miniature) -> Numbers:
    """Return the place of each image along a direction in which they are far apart.

    Brightness apart, the mean difference of two miniatures is at least that of their projections
    on weights of +-1/272. Taken are the signs that spread the images most.
    """
    rows = miniatures.reshape(len(miniatures), -1)
    some = rows[:: max(1, len(rows) // _SAMPLE)].astype(np.float32)
    some -= some.mean(axis=1, keepdims=True)
    some -= some.mean(axis=0)
    covariance = some.T @ some
    signs = np.sign(np.linalg.eigh(covariance)[1][:, -1])
    for _ in range(_TURNS):  # Each makes the spread larger, or leaves it as it is.
        signs = np.sign(covariance @ signs)
    sums = [
        (part @ signs).astype(np.float64) - part.mean(axis=1, dtype=np.float64) * signs.sum()
        for part in (
            rows[start : start + _PAIRS].astype(np.float32) for start in range(0, len(rows), _PAIRS)
        )
    ]
    return np.concatenate(sums) / _PIXELS


def _signs(miniatures: Miniature) -> Floats:
    steps = miniatures[:, :, 1:] > miniatures[:, :, :-1]
    return steps.reshape(len(steps), -1).astype(np.float32) * 2 - 1


def _joined(
    groups: Rows, miniatures: Miniature, rows: Rows, columns: Rows, agreeing: Flags
) -> Rows:
    """Join the groups of copies among pairs whose gradients agree.

    A pair that other pairs have connected is not compared, so that a crowd of copies costs little
    more than a chain of them.

    Args:
        groups: Of all images.
        miniatures: Of all images.
        rows: Some of the images.
        columns: Others, or the same.
        agreeing: Whose gradients agree, shape (rows, columns).
    """
    left = np.flatnonzero(agreeing & _apart(groups, rows, columns))
    draw = np.random.default_rng(0)
    while len(left):
        some = draw.choice(len(left), min(_PAIRS, len(left)), replace=False)
        one, other = np.divmod(left[some], len(columns))
        left = np.delete(left, some)
        pairs = np.stack([rows[one], columns[other]], axis=1)
        close = pairs[_are_close(miniatures, pairs)]
        if len(close):
            members, places = np.unique(groups[close], return_inverse=True)
            name = np.arange(len(groups))
            name[members] = members[connected(len(members), places.reshape(close.shape))]
            groups = name[groups]
            left = left[_apart(groups, rows, columns).ravel()[left]]
    return groups


def _apart(groups: Rows, rows: Rows, columns: Rows) -> Flags:
    return np.asarray(groups[rows][:, np.newaxis] != groups[columns])


def _are_close(miniatures: Miniature, pairs: Pairs) -> Flags:
    gap = miniatures[pairs[:, 0]].astype(np.float32) - miniatures[pairs[:, 1]]
    brightness = gap.mean(axis=(1, 2), keepdims=True)
    close = np.abs(gap - brightness).mean(axis=(1, 2)) <= _NEAR_LEVELS
    return np.asarray(close & (np.abs(brightness[:, 0, 0]) <= _NEAR_BRIGHTNESS))
