"""The page of a check of the data: what was found, with pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from headstart.data.contract import PixelContract
from headstart.data.images import ImageSet
from headstart.errors import OutputError
from headstart.files import write_atomically
from headstart.record.data_check import Copies, DataCheck
from headstart.report.page import frequent_reasons, page_policy, render_template
from headstart.report.pictures import MAX_PICTURES, Gallery, Picture, Pictures, label_gallery

_MAX_GROUPS = 12
_MAX_IN_GROUP = 4


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
        shown = tuple(pictures.show(name) for name in oddity.images[: MAX_PICTURES // 2])
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
