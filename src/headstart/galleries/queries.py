"""The images that an evaluation looks up in a gallery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.data.paths import list_names
from headstart.errors import DataError, GalleryError
from headstart.galleries.table import Enrolled


@dataclass(frozen=True, eq=False)
class Queries:
    """Images that are looked up in a gallery.

    Attributes:
        images: The images with their embeddings.
        own: Whether they are the enrolled images, each looked up among those of other groups.
        enrolled_before: Images that were left out as they are enrolled.
        shared_group: Images that were left out as an enrolled image is of the same group.
    """

    images: Enrolled
    own: bool
    enrolled_before: int = 0
    shared_group: int = 0


def own_queries(enrolled: Enrolled, gallery: str) -> Queries:
    """Return the enrolled images, to be looked up among the others.

    Args:
        enrolled: The enrolled images.
        gallery: The name of the gallery, for errors.

    Raises:
        GalleryError: There are no two labels, or none has images of two groups.
    """
    _check_labels(enrolled, gallery)
    pairs = set(zip(enrolled.labels, enrolled.groups, strict=True))
    if len(pairs) == len(set(enrolled.labels)):
        raise GalleryError(
            f"No label of gallery '{gallery}' has two images of different groups, so none can be "
            "found among the others. Pass labelled images that are not enrolled: headstart gallery "
            f"evaluate {gallery} DATA"
        )
    return Queries(enrolled, own=True)


def other_queries(images: Enrolled, enrolled: Enrolled, gallery: str, data: str) -> Queries:
    """Return those of other images that are not enrolled, and of whose group none is.

    Args:
        images: The other images.
        enrolled: The enrolled images.
        gallery: The name of the gallery, for errors.
        data: The name of the data, for errors.

    Raises:
        GalleryError: The gallery does not have two labels.
        DataError: No image is left, or none has an enrolled label.
    """
    _check_labels(enrolled, gallery)
    before, shared = set(enrolled.sha256s), set(enrolled.groups)
    known = np.array([sha256 in before for sha256 in images.sha256s], dtype=bool)
    related = np.array([group in shared for group in images.groups], dtype=bool) & ~known
    rows = np.flatnonzero(~known & ~related)
    if not len(rows):
        raise DataError(
            f"Every image of '{data}' is enrolled in '{gallery}', or an image of its group is, so "
            "there is nothing to look up. Pass other images, or look up the enrolled ones: "
            f"headstart gallery evaluate {gallery}"
        )
    queries = images.take(rows)
    if not set(queries.labels) & set(enrolled.labels):
        raise DataError(
            f"No image of '{data}' that could be looked up has a label of gallery '{gallery}'. It "
            f"has {list_names(sorted(set(queries.labels)))}; the gallery has "
            f"{list_names(sorted(set(enrolled.labels)))}. Pass images of enrolled labels."
        )
    return Queries(queries, False, int(known.sum()), int(related.sum()))


def _check_labels(enrolled: Enrolled, gallery: str) -> None:
    labels = set(enrolled.labels)
    if not labels:
        raise GalleryError(
            f"Gallery '{gallery}' is empty, so nothing can be found in it. Add images: headstart "
            f"gallery add {gallery} DATA"
        )
    if len(labels) == 1:
        raise GalleryError(
            f"Gallery '{gallery}' has only one label, '{labels.pop()}', which is found for every "
            f"image. Add images of others: headstart gallery add {gallery} DATA"
        )
