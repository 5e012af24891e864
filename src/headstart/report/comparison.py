"""The page of a comparison of models: differences, and pictures of what only one gets right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from headstart.record.comparison import ComparisonRecord, Pair
from headstart.report.page import frequent_reasons, page_policy, render_template
from headstart.report.pictures import Gallery, Pictures

_SHOWN = 12


def render_comparison(record: ComparisonRecord, pictures: Mapping[str, Pictures]) -> str:
    """Render the page; see `page.render_report`.

    Args:
        record: The comparison.
        pictures: Shows the images that a model gets wrong, by its name.
    """
    return render_template(
        "comparing.html.jinja",
        record=record,
        policy=page_policy(None),
        created_at=datetime.fromisoformat(record.created),
        pairs=[(pair, tuple(pair_galleries(pair, pictures))) for pair in record.pairs],
        rejected=record.rejected,
        reasons=frequent_reasons(record.rejected),
    )


def pair_galleries(pair: Pair, pictures: Mapping[str, Pictures]) -> Iterator[Gallery]:
    """Yield the images that only one of two models predicts correctly."""
    for names, one, other in (
        (pair.images_only_second, pair.second, pair.first),
        (pair.images_only_first, pair.first, pair.second),
    ):
        if names:
            yield _only(names, one, other, pictures[other])


def _only(names: Sequence[str], one: str, other: str, pictures: Pictures) -> Gallery:
    shown = tuple(pictures.show(name) for name in names[:_SHOWN])
    title = f"Only {one} predicts correctly"
    lead = f"Images that {other} gets wrong. {pictures.key.format(model=other)}".strip()
    return Gallery(title, lead, shown, len(names) - len(shown))
