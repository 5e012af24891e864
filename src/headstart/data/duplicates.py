"""Find near-duplicate images among many, in bounded memory."""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.arrays import Flags, Floats, Numbers, Pairs, Rows, Thumbnail

# Measured on 2,624 solar cells and 26 photos, each also saved as a JPEG of quality 50 or 75 and
# halved in size: copies differ by at most 25 bits and 0.8 levels, in the median by 4 and 0.2.
# Two pairs of different files were within both limits; each showed one cell photographed twice.
_NEAR_BITS = 24
_NEAR_LEVELS = 0.6
# A brighter copy has a higher contrast, too, but nearly all of its bits. Of the cells, brain scans,
# insects and groceries, no other pair is within both limits but two that a person would accept.
_SAME_BITS = 6
_SAME_LEVELS = 1.0
# A copy may be brighter or darker by 3 % of the range; flat images that differ more are not copies.
_NEAR_BRIGHTNESS = 8
_PIXELS = 272
# Projections of copies differ by no more than the copies do; the margin is for rounding errors.
_MAX_PROJECTION_GAP = _SAME_LEVELS + 1e-3
BLOCK = 1024
"""Images per block of comparisons: its 4 MB of correlations fit into the processor's cache."""

_BATCH = 4096
_SAMPLE = 8192
# The sum of 256 products of signs, if at most _NEAR_BITS of them are negative.
_MIN_CORRELATION = 256 - 2 * _NEAR_BITS
_SIGN_ITERATIONS = 10


def near_duplicates(thumbnails: Thumbnail, *, block: int = BLOCK) -> Rows:
    """Find images that look the same: re-encoded, resized or slightly brighter copies.

    Two images are near duplicates if at most 24 of their 256 gradient bits differ, their mean
    brightness differs by at most 8 of 255 grey levels, and, with the mean brightness removed, their
    thumbnails differ by at most 0.6 levels on average, or by at most 1 level if no more than 6 bits
    differ. The bits alone would match all flat images.

    Candidates are images of similar brightness whose projections on one direction differ by at
    most 1 level. Projections of duplicates never differ by more, so none is missed. Memory does
    not depend on the number of duplicates.

    Args:
        thumbnails: Shape (images, 16, 17).
        block: Images per block of comparisons.

    Returns:
        For each image, the first image of its group of direct and indirect duplicates, which is the
        image itself if it has none; shape (images,).
    """
    count = len(thumbnails)
    if not count:
        return np.zeros(0, dtype=np.int64)
    # Sorting the thumbnails themselves would copy them twice.
    digests = np.array([blake2b(each.tobytes(), digest_size=16).digest() for each in thumbnails])
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    return _first_members(_groups(thumbnails[first], block)[inverse.ravel()])


def component_labels(count: int, pairs: Pairs) -> Rows:
    """Label each item with the smallest item of its connected component.

    Args:
        count: Number of items.
        pairs: The connected items, shape (pairs, 2).
    """
    edges = np.ones(len(pairs), dtype=np.bool_)
    graph = coo_array((edges, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return _first_members(connected_components(graph, directed=False)[1])


def _first_members(groups: Rows) -> Rows:
    """Return the first member of each item's group."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()], dtype=np.int64)


def _groups(thumbnails: Thumbnail, block: int) -> Rows:
    """Return the number of each image's group."""
    groups = np.arange(len(thumbnails))
    for rows, columns in _blocks(thumbnails, block):
        row_groups, column_groups = groups[rows], groups[columns]
        if np.ptp(row_groups) == np.ptp(column_groups) == 0 and row_groups[0] == column_groups[0]:
            continue
        correlation = _signs(thumbnails[rows]) @ _signs(thumbnails[columns]).T
        similar = correlation >= _MIN_CORRELATION
        if similar.any():
            groups = _merge_duplicates(groups, thumbnails, rows, columns, similar)
    return groups


def _blocks(thumbnails: Thumbnail, size: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield blocks of images, each with a block of their candidate duplicates.

    Two duplicates lie in the same band of brightness or in neighbouring bands.
    """
    projections = _projections(thumbnails)
    bands = thumbnails.sum(axis=(1, 2), dtype=np.int64) // (_NEAR_BRIGHTNESS * _PIXELS)
    order = np.lexsort((projections, bands))
    for band in np.unique(bands):
        begin, end, next_end = np.searchsorted(bands[order], (band, band + 1, band + 2))
        same_band, next_band = order[begin:end], order[end:next_end]
        for start in range(0, len(same_band), size):
            rows = same_band[start : start + size]
            low = projections[rows[0]] - _MAX_PROJECTION_GAP
            high = projections[rows[-1]] + _MAX_PROJECTION_GAP
            for candidates in (same_band[start:], next_band):
                first, stop = np.searchsorted(projections[candidates], (low, high))
                for column in range(first, stop, size):
                    yield rows, candidates[column : min(column + size, stop)]


def _projections(thumbnails: Thumbnail) -> Numbers:
    """Project the thumbnails on a direction along which they spread widely.

    The weights are +-1/272, so that with brightness removed, the mean difference of two thumbnails
    is at least the difference of their projections. The signs are chosen to maximise the spread.
    """
    rows = thumbnails.reshape(len(thumbnails), -1)
    sample = rows[:: max(1, len(rows) // _SAMPLE)].astype(np.float32)
    sample -= sample.mean(axis=1, keepdims=True)
    sample -= sample.mean(axis=0)
    covariance = sample.T @ sample
    signs = np.sign(np.linalg.eigh(covariance)[1][:, -1])
    for _ in range(_SIGN_ITERATIONS):  # The spread never decreases.
        signs = np.sign(covariance @ signs)
    sums = [
        (part @ signs).astype(np.float64) - part.mean(axis=1, dtype=np.float64) * signs.sum()
        for part in (
            rows[start : start + _BATCH].astype(np.float32) for start in range(0, len(rows), _BATCH)
        )
    ]
    return np.concatenate(sums) / _PIXELS


def _signs(thumbnails: Thumbnail) -> Floats:
    steps = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    return steps.reshape(len(steps), -1).astype(np.float32) * 2 - 1


def _merge_duplicates(
    groups: Rows, thumbnails: Thumbnail, rows: Rows, columns: Rows, similar: Flags
) -> Rows:
    """Merge the groups of near duplicates among pairs with similar gradients.

    Pairs that are already in one group are not compared, so that a large group of mutual
    duplicates costs little more than a chain of them.

    Args:
        groups: Group of every image.
        thumbnails: Thumbnail of every image.
        rows: The images of a block.
        columns: The images to compare them with.
        similar: Which pairs have similar gradients, shape (rows, columns).
    """
    remaining = np.flatnonzero(similar & _in_different_groups(groups, rows, columns))
    rng = np.random.default_rng(0)
    while len(remaining):
        drawn = rng.choice(len(remaining), min(_BATCH, len(remaining)), replace=False)
        row, column = np.divmod(remaining[drawn], len(columns))
        remaining = np.delete(remaining, drawn)
        pairs = np.stack([rows[row], columns[column]], axis=1)
        near = pairs[_are_near_duplicates(thumbnails, pairs)]
        if len(near):
            merged, positions = np.unique(groups[near], return_inverse=True)
            renamed = np.arange(len(groups))
            renamed[merged] = merged[component_labels(len(merged), positions.reshape(near.shape))]
            groups = renamed[groups]
            still_apart = _in_different_groups(groups, rows, columns).ravel()
            remaining = remaining[still_apart[remaining]]
    return groups


def _in_different_groups(groups: Rows, rows: Rows, columns: Rows) -> Flags:
    return np.asarray(groups[rows][:, np.newaxis] != groups[columns])


def _are_near_duplicates(thumbnails: Thumbnail, pairs: Pairs) -> Flags:
    first, second = thumbnails[pairs[:, 0]], thumbnails[pairs[:, 1]]
    gap = first.astype(np.float32) - second
    brightness = gap.mean(axis=(1, 2), keepdims=True)
    different_bits = (_signs(first) != _signs(second)).sum(axis=1)
    limits = np.where(different_bits <= _SAME_BITS, _SAME_LEVELS, _NEAR_LEVELS)
    close = np.abs(gap - brightness).mean(axis=(1, 2)) <= limits
    return np.asarray(close & (np.abs(brightness[:, 0, 0]) <= _NEAR_BRIGHTNESS))
