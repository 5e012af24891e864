"""The page of an evaluation of a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.data.contract import CURRENT
from headstart.galleries.evaluating import evaluate_retrieval
from headstart.galleries.queries import other_queries, own_queries
from headstart.galleries.settings import Trial
from headstart.record import Rejection
from headstart.record.gallery_evaluation import (
    DistanceHistogram,
    GalleryEvaluation,
    Match,
    Miss,
)
from headstart.report.gallery_evaluation import plot_histogram, render_gallery_evaluation
from headstart.report.pictures import Pictures
from tests.conftest import picture
from tests.galleries.test_evaluating import certainty, clouds, enrolled
from tests.report.browser import EXECUTABLE, Browser, open_browser
from tests.report.test_page import HOSTILE, Page, spaced

TRIALS = (Trial("multilevel", "plain", 0.775, 0.404), Trial("last", "centred", 0.742, 0.414))
NOTHING = Pictures({}, CURRENT)


def evaluation(limit: float | None = 0.2, *, own: bool = False) -> GalleryEvaluation:
    """Return an evaluation with misses, and with strangers of whom some are accepted."""
    points, names = clouds(6, 5, seed=1, noise=1.2)
    gallery = enrolled(points, names)
    looked_up, labels = clouds(12, 10, seed=2)
    queries = enrolled(looked_up, labels, name="q")
    chosen = own_queries(gallery, "g") if own else other_queries(queries, gallery, "g", "d")
    return GalleryEvaluation(
        headstart="0.1.0",
        created="2026-11-30T10:00:00+00:00",
        gallery="galleries/goods",
        data=None if own else "new goods",
        enrolled=len(gallery),
        labels=6,
        measures=evaluate_retrieval(chosen, gallery, certainty(limit)),
        rejected=() if own else (Rejection("broken.jpg", "it is empty"),),
    )


def html(record: GalleryEvaluation, queries=NOTHING, others=NOTHING) -> str:
    return render_gallery_evaluation(record, TRIALS, queries, others)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    folder = tmp_path_factory.mktemp("pictures")
    names = [f"{kind}-{number}" for kind, most in (("g", 30), ("q", 120)) for number in range(most)]
    for number, name in enumerate(names):
        picture(number).save(folder / f"{name}.png")
    return Pictures({name: str(folder / f"{name}.png") for name in names}, CURRENT)


def test_the_page_has_its_parts(pictures: Pictures) -> None:
    """Measures with intervals, answers at the limit, distances, labels, misses and trials."""
    record = evaluation()
    page = Page(html(record, pictures, pictures))
    assert page.unbalanced == []
    measures, text = record.measures, spaced(page.html)
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert ids >= {"notes", "measures", "distances", "labels", "misses", "accepted", "trials"}
    for shown in (
        "Headstart gallery evaluation goods 30 enrolled images 6 labels 120 images looked up",
        "Gallery galleries/goods . The images of ' new goods ' were looked up.",
        f"For {100 * (measures.recall_at_1.value or 0):.1f}% of 60 images",
        "Strangers called unknown",
        "Identified at 1% false accepts",
        "limit 0.200",
        "✓ chosen multilevel plain 77.5% 40.4%",
        "broken.jpg it is empty",
        *record.notes,
    ):
        assert shown in text
    assert len(measures.misses) > 3 and len(measures.accepted) > 3
    images = page.all("img")
    assert len(images) == 3 * len(measures.misses) + 2 * len(measures.accepted)
    assert all(str(one["src"]).startswith("data:image/jpeg;base64,") for one in images)


def test_without_pictures_there_are_names() -> None:
    """In tables, with the option that would show them."""
    record = evaluation(own=True)
    page = Page(html(record))
    assert page.unbalanced == [] and page.all("img") == []
    miss = record.measures.misses[0]
    assert miss.right is not None
    row = f"{miss.label} {miss.image} {miss.found.label} {miss.found.image}"
    assert row in spaced(page.html)
    assert "pass the folder that has them with --pictures" in page.text
    assert "Each enrolled image was looked up among those of other groups." in page.text
    assert "Rejected files" not in page.text


def test_a_page_without_a_limit_or_misses() -> None:
    """Nothing is drawn that is not known."""
    record = evaluation(None)
    measures = replace(record.measures, misses=(), accepted=(), confusions=())
    page = Page(html(replace(record, measures=measures)))
    assert page.unbalanced == []
    assert "With the gallery's limit" not in page.text and "limit 0" not in page.text
    assert "Worst misses" not in page.text and "taken for" not in page.text


def test_names_are_shown_as_text() -> None:
    """Even if they contain markup."""
    record = evaluation()
    match = Match(HOSTILE, HOSTILE, 0.1)
    misses = (Miss(HOSTILE, HOSTILE, match, match),)
    labels = tuple(replace(one, label=HOSTILE) for one in record.measures.per_label)
    measures = replace(record.measures, misses=misses, per_label=labels)
    page = Page(html(replace(record, gallery=HOSTILE, data=HOSTILE, measures=measures)))
    assert page.unbalanced == [] and page.all("script") == [] and page.all("img") == []
    assert HOSTILE in page.text


def test_many_labels_are_cut_off() -> None:
    """The file has all."""
    record = evaluation()
    labels = record.measures.per_label * 100
    page = Page(html(replace(record, measures=replace(record.measures, per_label=labels))))
    assert "Of 600 labels, 500 are shown; evaluation.json has all." in page.text


def test_the_histogram_has_shares_of_each_kind() -> None:
    plot = plot_histogram(DistanceHistogram((0.0, 0.1, 0.2), (3, 1), (0, 2)), 0.05)
    assert plot.limit == pytest.approx(25)
    assert [tick.label for tick in plot.x_ticks] == ["0", "0.05", "0.1", "0.15", "0.2"]
    assert [tick.label for tick in plot.y_ticks] == ["0", "50", "100"]
    same = [(0, 60), (0, 15), (50, 15), (50, 45), (100, 45), (100, 60)]
    assert np.array(plot.same) == pytest.approx(np.array(same))
    assert plot.strangers[3:5] == ((50, 0), (100, 0))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.skipif(EXECUTABLE is None, reason="There is no Chromium.")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_is_sound(
    browser: Browser, pictures: Pictures, tmp_path: Path, width: int, scheme: str
) -> None:
    """It fits the width, and neither console nor axe finds a fault."""
    (tmp_path / "report.html").write_text(html(evaluation(), pictures, pictures), encoding="utf-8")
    browser.open(tmp_path / "report.html", width=width, scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.inaccessible() == []
    assert browser.complaints() == []
