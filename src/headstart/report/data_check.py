"""The page of a check of the data: what was found, with pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from headstart.record.data_check import Copies, Copy, DataCheck
from headstart.report.page import frequent_reasons, page_policy, render_template
from headstart.report.pictures import MAX_PICTURES, Gallery, Pictures, label_gallery

_MAX_GROUPS = 12
_MAX_IN_GROUP = 4


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
            "Models that had not learnt these images predict another label as surely as they "
            f"predict images of it, the most suspect first. {_how_good(record)} Some labels are "
            "wrong, others are hard, so look at each before you change it.",
        )
    if record.duplicates:
        yield _copies(
            *("Copies", record.duplicates, pictures),
            "Exact copies, and pictures that were re-encoded, resized or made slightly brighter. "
            "train keeps them on the same side of its split.",
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
    copies = {one.image: one for group in record.duplicates for one in group.images}
    shown = tuple(
        pictures.show(name, ("Group", str(number)), *_part(copies.get(name)))
        for number, names in enumerate(record.leaks[:_MAX_GROUPS], start=1)
        for name in names[:_MAX_IN_GROUP]
    )
    lead = (
        "Copies or related images are in several parts of the split, so a model is tested on what "
        "it has learnt. In each group, training images come first, then validation, then test "
        "images."
    )
    return Gallery("Across the split", lead, shown, sum(map(len, record.leaks)) - len(shown))


def _copies(title: str, groups: Sequence[Copies], pictures: Pictures, lead: str) -> Gallery:
    shown = tuple(
        pictures.show(
            one.image,
            ("Group", f"{number}, {_kind(one, rank)}"),
            ("Label", one.label),
            *_part(one),
        )
        for number, group in enumerate(groups[:_MAX_GROUPS], start=1)
        for rank, one in enumerate(group.images[:_MAX_IN_GROUP])
    )
    return Gallery(title, lead, shown, sum(len(one.images) for one in groups) - len(shown))


def _kind(copy: Copy, rank: int) -> str:
    if copy.exact:
        return "exact copy"
    return "near copy" if rank else "first"


def _part(copy: Copy | None) -> tuple[tuple[str, str], ...]:
    return (("Part", copy.split),) if copy and copy.split else ()


def _how_good(record: DataCheck) -> str:
    """Return what the models that look for label errors are worth."""
    known = "" if record.accuracy is None else f"They predict {record.accuracy:.0%} correctly."
    hidden = any(one.of == "file" for one in record.shortcuts)
    return f"{known} They may use the shortcuts above, which hides errors." if hidden else known
