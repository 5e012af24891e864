"""The page of a check of the data: what was found, with pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headstart.data.contract import PixelContract
from headstart.data.images import ImageSet
from headstart.errors import OutputError, UnreadableImage
from headstart.files import write_atomically
from headstart.record.data_check import Copies, DataCheck, LabelError
from headstart.report.page import data_uri, frequent_reasons, page_policy, render_template
from headstart.report.thumbnails import thumbnail

_SIDE = 160
_MAX_PICTURES = 24
_MAX_GROUPS = 12
_MAX_IN_GROUP = 4


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
    """Makes thumbnails of images by name; each is decoded once."""

    def __init__(self, images: ImageSet, contract: PixelContract) -> None:
        self._paths = dict(zip(images.names, images.paths, strict=True))
        self._contract = contract
        self._sources: dict[str, str] = {}

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


def write_check(path: Path, record: DataCheck, images: ImageSet, contract: PixelContract) -> None:
    """Write the page, as one self-contained HTML file.

    Args:
        path: The file.
        record: What was found.
        images: The usable images.
        contract: How they are decoded.

    Raises:
        OutputError: The file cannot be written.
    """
    page = render_check(record, Pictures(images, contract))
    try:
        write_atomically(path, page)
    except OSError as error:
        raise OutputError(f"Page '{path}' cannot be written: {error.strerror}.") from None


def render_check(record: DataCheck, pictures: Pictures) -> str:
    """Render the page; see `page.render_report`."""
    return render_template(
        "check.html.jinja",
        record=record,
        policy=page_policy(None),
        created_at=datetime.fromisoformat(record.created),
        findings=tuple(record.findings),
        galleries=tuple(_galleries(record, pictures)),
        rejected=record.rejected,
        reasons=frequent_reasons(record.rejected),
    )


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
        for one in errors[:_MAX_PICTURES]
    )
    return Gallery("Labels that may be wrong", lead, shown, len(errors) - len(shown))


def _galleries(record: DataCheck, pictures: Pictures) -> Iterator[Gallery]:
    if record.conflicts:
        yield _copies(
            *("One picture, several labels", record.conflicts, pictures),
            "Copies of these pictures have different labels. Exact copies are not used until they "
            "agree.",
        )
    if record.leaks:
        yield _leaks(record, pictures)
    if record.label_errors:
        yield label_gallery(
            record.label_errors,
            pictures,
            "Models that had not learnt these images predict another label with confidence, the "
            "most suspect first. Some are errors, others are hard. Look at each before you change "
            "it: models are wrong, too.",
        )
    if record.duplicates:
        yield _copies(
            *("Copies", record.duplicates, pictures),
            "Exact copies, and pictures that were re-encoded, resized or made slightly brighter. "
            "They count once; train keeps them on the same side of its split.",
        )
    for oddity in record.oddities:
        shown = tuple(pictures.show(name) for name in oddity.images[: _MAX_PICTURES // 2])
        title = f"Images {oddity.described}"
        lead = (
            "So many that it is a property of the data."
            if oddity.usual
            else "Unusual here. Are they what you want to learn from?"
        )
        yield Gallery(title, lead, shown, len(oddity.images) - len(shown))


def _leaks(record: DataCheck, pictures: Pictures) -> Gallery:
    groups = record.leaks[:_MAX_GROUPS]
    parts = {name: one.splits for one in record.duplicates for name in one.images}
    shown = tuple(
        pictures.show(name, ("Group", str(number)), *_part(parts.get(name, ())))
        for number, names in enumerate(groups, start=1)
        for name in names[:_MAX_IN_GROUP]
    )
    lead = (
        "Copies or related images are in several parts of the split, so a model is tested on what "
        "it has learnt. The first of each group is the training image."
    )
    return Gallery("Across the split", lead, shown, sum(map(len, record.leaks)) - len(shown))


def _part(parts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return (("In", " and ".join(parts)),) if parts else ()


def _copies(title: str, groups: Sequence[Copies], pictures: Pictures, lead: str) -> Gallery:
    shown = tuple(_pictured(groups[:_MAX_GROUPS], pictures))
    return Gallery(title, lead, shown, sum(len(one.images) for one in groups) - len(shown))


def _pictured(groups: Iterable[Copies], pictures: Pictures) -> Iterator[Picture]:
    for number, one in enumerate(groups, start=1):
        facts = (("Group", f"{number}, {'exact' if one.exact else 'near'}"),)
        label = (("Labels" if len(one.labels) > 1 else "Label", ", ".join(one.labels)),)
        for name in one.images[:_MAX_IN_GROUP]:
            yield pictures.show(name, *facts, *label, *_part(one.splits))
