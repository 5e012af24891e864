"""The report page of a run.

Nothing about the model is computed here: numbers are formatted, sorted and laid out. The page is a
single file without external resources, so it can be mailed, archived and opened years later.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from headstart.answers import Mistake
from headstart.arrays import Temperature
from headstart.errors import OutputError
from headstart.files import write_atomically
from headstart.record import (
    Evaluation,
    EvaluationRecord,
    RecommendationRecord,
    Record,
    Rejection,
    SingleEvaluation,
    describe_gain,
    describe_use,
    metric_title,
)
from headstart.report import formatting
from headstart.report.backbones import plot_backbones
from headstart.report.cell_pictures import pictures_by_cell
from headstart.report.data_uri import data_uri
from headstart.report.feature_plot import plot_features
from headstart.report.learning_curve import plot_learning_curve
from headstart.report.test_images import TestImages
from headstart.report.threshold_curve import plot_threshold_curve
from headstart.report.tuning import detection_panels, tuning_gain, tuning_panels
from headstart.task import ReportPart

if TYPE_CHECKING:
    from headstart.report.pictures import Gallery

LARGE = 15
"""A table with more classes or rows than this scrolls in its own container."""

MAX_CLASSES_WITH_SHARES = 8
"""With more classes, cells of the confusion matrix have no room for their share of the row."""

MAX_REASONS = 8

_FILTERS = (
    *("count", "decimal", "interval", "part", "percent", "position", "signed", "size"),
    "times",
)


@dataclass(frozen=True)
class Neighbour:
    """A training image that is similar to another image.

    Attributes:
        image: Its name.
        label: Its label.
        thumbnail: The image as a small JPEG.
        distance: The distance between the features of both images.
    """

    image: str
    label: str
    thumbnail: bytes
    distance: float

    @property
    def source(self) -> str:
        """The thumbnail as a `data:` URI."""
        return data_uri(self.thumbnail)


@dataclass(frozen=True)
class PicturedMistake:
    """A wrong prediction with its image.

    Attributes:
        mistake: The true label, the prediction and its confidence.
        image: The name of the image, as the user passed it.
        thumbnail: The image as a small JPEG.
        heat: A heat map of the image, as a JPEG or PNG of the same shape; None without one.
        neighbours: The nearest training images, in ascending order of distance.
    """

    mistake: Mistake
    image: str
    thumbnail: bytes
    heat: bytes | None = None
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def source(self) -> str:
        """The thumbnail as a `data:` URI."""
        return data_uri(self.thumbnail)

    @property
    def heat_source(self) -> str:
        """The heat map as a `data:` URI; "" without one."""
        return data_uri(self.heat) if self.heat else ""

    @property
    def is_explained(self) -> bool:
        """Whether something is shown beside the image itself."""
        return bool(self.heat or self.neighbours)


def write_page(path: Path, page: str) -> None:
    """Write a page, completely or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        write_atomically(path, page)
    except OSError as error:
        raise OutputError(f"Page '{path}' cannot be written: {error.strerror}.") from None


@dataclass(frozen=True)
class Shown:
    """The evaluation that the task's part of a page shows.

    Attributes:
        evaluation: The metrics.
        kind: "test", "validation" or "training"; "" for images that are not a part.
        classes: Class names, in the order of the confusion matrix.
        temperature: The divisor of scores that calibrates probabilities.
        unseen: Whether nothing was learnt from these images or copies of them.
    """

    evaluation: Evaluation
    kind: str
    classes: tuple[str, ...]
    temperature: Temperature
    unseen: bool

    @property
    def image(self) -> str:
        """What an image is called, such as "test image"."""
        return f"{self.kind} image".lstrip()

    @property
    def accuracy(self) -> str:
        """What the accuracy is called, such as "test accuracy"."""
        return f"{self.kind} accuracy".lstrip()


def render_report(
    record: Record,
    part: ReportPart | None,
    mistakes: Sequence[PicturedMistake],
    *,
    doubts: Gallery | None = None,
    test_images: TestImages | None = None,
    title: str = "",
) -> str:
    """Render the report of a training run, as one self-contained HTML page.

    Names are always shown as text, even if they contain markup. The page is valid UTF-8:
    undecodable bytes of file names are escaped.

    Args:
        record: The measurements.
        part: The task's part of the report; None without a test or validation part.
        mistakes: Wrong predictions on the reported part.
        doubts: Images of it whose label may be wrong; None without any.
        test_images: Pictures, map and thresholds of the reported part; None without them.
        title: The title, such as the name of the run. Default: the name of the data.
    """
    recommendation = record.recommendation
    return render_template(
        "report.html.jinja",
        title=title or record.data.name,
        record=record,
        part=part,
        policy=page_policy(part),
        shown=_shown(record),
        use=describe_use(record.val_used_for),
        created_at=datetime.fromisoformat(record.created) if record.created else None,
        mistakes=_most_confident(mistakes),
        doubts=doubts,
        curve=plot_learning_curve(record.learning_curve),
        rejected=record.rejected,
        reasons=frequent_reasons(record.rejected),
        gain=tuning_gain(record.tuning),
        described=describe_gain(record.tuning) if record.tuning else "",
        panels=tuning_panels(record.tuning) or detection_panels(record.detection),
        plot=plot_backbones(recommendation.backbones) if recommendation else None,
        **_single_images(test_images, record.data.classes),
    )


def render_evaluation(
    record: EvaluationRecord,
    part: ReportPart,
    mistakes: Sequence[PicturedMistake],
    *,
    test_images: TestImages | None = None,
) -> str:
    """Render the report of an evaluation, as one self-contained HTML page; see `render_report`."""
    return render_template(
        "evaluation.html.jinja",
        record=record,
        part=part,
        policy=page_policy(part),
        shown=Shown(
            record.evaluation, record.kind, record.classes, record.temperature, unseen=False
        ),
        absent=_absent(record.evaluation),
        created_at=datetime.fromisoformat(record.created),
        mistakes=_most_confident(mistakes),
        rejected=record.rejected,
        reasons=frequent_reasons(record.rejected),
        **_single_images(test_images, record.classes),
    )


def render_recommendation(record: RecommendationRecord, *, title: str = "") -> str:
    """Render the comparison of backbones, as one self-contained HTML page.

    Args:
        record: The measurements.
        title: The title, such as the name of the run. Default: the name of the data.
    """
    plot = plot_backbones(record.recommendation.backbones)
    title = title or record.data.name
    return render_template("recommendation.html.jinja", title=title, record=record, plot=plot)


def render_template(template: str, **values: object) -> str:
    """Render a template as a page in valid UTF-8: undecodable bytes of names are escaped."""
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
    environment.filters["metric"] = metric_title
    environment.globals |= {"large": LARGE, "max_classes_with_shares": MAX_CLASSES_WITH_SHARES}
    return environment.get_template(name)


def page_policy(part: ReportPart | None) -> str:
    """Return what the page may load and run: nothing but its own styles and its part's script."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if part is None or not part.script:
        return policy
    digest = b64encode(sha256(part.script.encode("utf-8")).digest()).decode("ascii")
    return f"{policy}; script-src 'sha256-{digest}'"


def _shown(record: Record) -> Shown | None:
    """Return the results to report; None without a test or validation part."""
    if not record.reported:
        return None
    kind = "test" if record.test else "validation"
    unseen = bool(record.test and not record.leaks)
    classes = record.data.classes
    return Shown(record.reported, kind, classes, record.temperature, unseen)


def _absent(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the classes without images; other tasks say in their own part what is missing."""
    return evaluation.absent if isinstance(evaluation, SingleEvaluation) else ()


def _single_images(test_images: TestImages | None, classes: Sequence[str]) -> dict[str, object]:
    """Return what templates show of single images, by name."""
    shown = test_images or TestImages(())
    return {
        "cells": pictures_by_cell(shown.shots),
        "feature_plot": plot_features(shown.points, classes),
        "threshold_plot": plot_threshold_curve(shown.curve),
    }


def _most_confident(mistakes: Sequence[PicturedMistake]) -> list[PicturedMistake]:
    return sorted(mistakes, key=lambda pictured: -pictured.mistake.probability)


def frequent_reasons(rejected: Sequence[Rejection]) -> list[tuple[str, int]]:
    """Return the most frequent reasons for which images were not used, with their numbers."""
    reasons = Counter(rejection.reason.partition(":")[0] for rejection in rejected)
    return reasons.most_common(MAX_REASONS)
