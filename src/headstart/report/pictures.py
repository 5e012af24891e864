"""Pictures of what was found in the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from headstart.data.contract import PixelContract
from headstart.data.images import ImageSet
from headstart.errors import UnreadableImage
from headstart.record.data_check import LabelError
from headstart.report.data_uri import data_uri
from headstart.report.thumbnails import thumbnail

MAX_PICTURES = 24
"""The most pictures of one finding."""

_SIDE = 160


@dataclass(frozen=True)
class Picture:
    """An image on the page.

    Attributes:
        image: Its name.
        source: The image as a `data:` URI; "" if it cannot be read any more.
        facts: What is said about it: terms with their values.
    """

    image: str
    source: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures of one finding.

    Attributes:
        title: The heading.
        lead: What was found, and what to do about it.
        pictures: The pictures.
        more: The number of images that are not shown.
    """

    title: str
    lead: str
    pictures: tuple[Picture, ...]
    more: int


class Pictures:
    """Makes thumbnails of images by name; each is decoded once.

    Attributes:
        key: What is drawn on them, in a sentence, in which {model} stands for who predicted it.
    """

    key = ""

    def __init__(self, paths: Mapping[str, str], contract: PixelContract) -> None:
        self._paths, self._contract = paths, contract
        self._sources: dict[str, str] = {}

    @classmethod
    def of(cls, images: ImageSet, contract: PixelContract) -> Self:
        """Return the pictures of usable images."""
        return cls.of_manifest(images.table, contract)

    @classmethod
    def of_manifest(cls, manifest: pa.Table, contract: PixelContract) -> Self:
        """Return the pictures of all images, of which some may be rejected."""
        names, paths = manifest["image"].to_pylist(), manifest["path"].to_pylist()
        return cls(dict(zip(names, paths, strict=True)), contract)

    def show(self, image: str, *facts: tuple[str, str]) -> Picture:
        """Return an image for the page."""
        if image not in self._sources:
            self._sources[image] = self._source(image)
        return Picture(image, self._sources[image], facts)

    def _source(self, image: str) -> str:
        if image not in self._paths:
            return ""
        try:
            return data_uri(thumbnail(self._paths[image], self._contract, _SIDE))
        except UnreadableImage:
            return ""


def label_gallery(errors: Sequence[LabelError], pictures: Pictures, lead: str) -> Gallery:
    """Return the images whose label is probably wrong."""
    shown = tuple(
        pictures.show(
            one.image,
            ("Label", one.label),
            ("Suggested", one.suggested),
            ("Score", f"{one.score:.2f}"),
            *((("Part", one.split),) if one.split else ()),
        )
        for one in errors[:MAX_PICTURES]
    )
    return Gallery("Labels that may be wrong", lead, shown, len(errors) - len(shown))
