"""The page that shows what a run measured.

Nothing here is computed about the model: numbers are formatted, ordered and placed. The page is one
file that loads nothing, so it can be mailed, archived and opened years later.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from headstart.record import RecommendationRecord, Record, Rejection
from headstart.report import formatting
from headstart.report.backbones import draw_backbones
from headstart.report.tuning import tuning_gain, tuning_panels
from headstart.task import Mistake, ReportPart

LARGE = 15
"""Above this many classes, or rows, a table scrolls in its own container."""

WITH_SHARES = 8
"""Up to this many classes, a cell of the confusion matrix has room for its share of the row."""

REASONS_LISTED = 8

_FILTERS = ("count", "decimal", "interval", "percent", "position", "signed", "size")


@dataclass(frozen=True)
class PicturedMistake:
    """A wrong prediction with its image.

    Attributes:
        mistake: Truth, prediction and confidence.
        image: How the user named the image.
        thumbnail: A small JPEG.
    """

    mistake: Mistake
    image: str
    thumbnail: bytes

    @property
    def source(self) -> str:
        """The picture as a `data:` URI."""
        return "data:image/jpeg;base64," + b64encode(self.thumbnail).decode("ascii")


def render_report(
    record: Record, part: ReportPart | None, mistakes: Sequence[PicturedMistake]
) -> str:
    """Return one self-contained HTML page about a training run.

    Whatever names hold, they are shown as text. The page can always be encoded as UTF-8: the
    undecodable bytes of a file name are shown as escapes.

    Args:
        record: What was measured.
        part: How the task shows the evaluation of the test part; None without one.
        mistakes: Wrong predictions on the test part.
    """
    found = record.recommendation
    return _rendered(
        "report.html.jinja",
        **vars(record),
        created_at=datetime.fromisoformat(record.created) if record.created else None,
        mistakes=sorted(mistakes, key=lambda one: -one.mistake.probability),
        reasons=_frequent_reasons(record.rejected),
        gain=tuning_gain(record.tuning),
        panels=tuning_panels(record.tuning),
        field=draw_backbones(found.backbones) if found else None,
        part=part.template if part else None,
        **(part.values if part else {}),
    )


def render_recommendation(record: RecommendationRecord) -> str:
    """Return one self-contained HTML page about how backbones compare and which to take."""
    field = draw_backbones(record.recommendation.backbones)
    return _rendered("recommendation.html.jinja", **vars(record), field=field)


def _rendered(template: str, **values: object) -> str:
    page = _template(template).render(values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("headstart.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(formatting, name) for name in _FILTERS}
    environment.globals |= {"large": LARGE, "with_shares": WITH_SHARES}
    return environment.get_template(name)


def _frequent_reasons(rejected: Sequence[Rejection]) -> list[tuple[str, int]]:
    kinds = Counter(one.reason.partition(":")[0] for one in rejected)
    return kinds.most_common(REASONS_LISTED)
