"""The report in a real browser: what happens on it, by keyboard too, and whether it is accessible.

A page is opened once for each of its looks; tests that change it open it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.report import render_report
from headstart.report.boxes import boxes_part
from tests.record.test_boxes import EVALUATION, boxes_record
from tests.report.browser import EXECUTABLE, Browser, open_browser
from tests.report.pages import whole_page
from tests.report.test_boxes import PICTURE

pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="There is no Chromium: install it by `apt-get install chromium`."
)

LOOKS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
SECTIONS = [
    *("Test accuracy", "Warnings", "Confusion matrix", "Results by class"),
    *("Operating point: sensitivity=0.9", "What other thresholds would give"),
    *("Most confident mistakes", "Map of the test images", "Calibration"),
    *("How the model was chosen", "Did fine-tuning help?", "Rejected files", "Model details"),
]
MANY = tuple(f"class {number:02d}" for number in range(20))

FOCUSED = "document.activeElement"
OPENED = "document.querySelectorAll('dialog:popover-open').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two classes with every section."""
    return write(tmp_path_factory, whole_page)


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of many classes."""
    return write(tmp_path_factory, lambda folder: whole_page(folder, MANY))


def write(factory: pytest.TempPathFactory, render) -> Path:
    folder = factory.mktemp("page")
    path = folder / "report.html"
    path.write_text(render(folder), encoding="utf-8")
    return path


def text(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({selector!r}).innerText.trim()"))


def settled(browser: Browser, condition: str) -> bool:
    """Wait at most a second until a condition holds."""
    end = time.monotonic() + 1
    while not browser.evaluate(f"Boolean({condition})"):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_page_is_sound(browser: Browser, page: Path, width: int, scheme: str) -> None:
    """All sections are there, it fits the width, and neither console nor axe finds a fault."""
    browser.open(page, width=width, scheme=scheme)
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map((h2) => h2.textContent)")
    assert headings == SECTIONS
    heights = browser.evaluate(
        "[...document.querySelectorAll('section.card')].map((card) => card.offsetHeight)"
    )
    assert min(heights) > 50
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.inaccessible() == []
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_page_of_many_classes_is_sound(
    browser: Browser, large_page: Path, width: int, scheme: str
) -> None:
    """So is a large matrix, and a map whose colours and shapes repeat."""
    browser.open(large_page, width=width, scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate("document.querySelectorAll('.legend li[data-class]').length") == 20
    assert browser.inaccessible() == []
    assert browser.complaints() == []


def test_pictures_load_from_the_page_itself(browser: Browser, page: Path) -> None:
    """All pictures can be decoded under the page's own policy."""
    browser.open(page)
    broken = """Promise.all([...document.images].map((image) => image.decode().then(
      () => 0, () => 1))).then((faults) => faults.reduce((sum, fault) => sum + fault, 0))"""
    assert browser.evaluate("document.images.length") > 60
    assert browser.evaluate(broken) == 0


def test_a_cell_opens_its_pictures_by_keyboard(browser: Browser, page: Path) -> None:
    """Enter opens them and moves the focus into them; Escape closes them and returns it."""
    browser.open(page)
    browser.evaluate("document.querySelector('td.wrong button').focus()")
    browser.press("Enter")
    assert settled(browser, f"{OPENED} === 1")
    assert text(browser, "dialog:popover-open h3") == "'defective' predicted as 'functional'"
    assert browser.evaluate(f"{FOCUSED}.className") == "close"
    shown = browser.evaluate("document.querySelectorAll('dialog:popover-open img').length")
    assert shown == int(text(browser, "td.wrong button").split()[0])
    assert browser.inaccessible() == []
    browser.press("Escape")
    assert settled(browser, f"{OPENED} === 0")
    assert browser.evaluate(f"{FOCUSED}.getAttribute('popovertarget')") == "cell-0-1"


def test_a_cell_opens_and_closes_by_mouse(browser: Browser, page: Path) -> None:
    """A click opens the pictures, and another one closes them."""
    browser.open(page)
    browser.point("td.right button", click=True)
    assert settled(browser, f"{OPENED} === 1")
    assert text(browser, "dialog:popover-open h3") == "'defective' predicted as 'defective'"
    browser.point("dialog:popover-open .close", click=True)
    assert settled(browser, f"{OPENED} === 0")


def test_a_heading_sorts_the_table_of_classes(browser: Browser, large_page: Path) -> None:
    """By keyboard: ascending first, then descending; the heading says which."""
    browser.open(large_page)
    precision = """[...document.querySelectorAll('[aria-labelledby=per-class] tbody tr')].map(
      (row) => Number(row.cells[4].dataset.value))"""
    heading = "document.querySelectorAll('[aria-labelledby=per-class] thead th')[4]"
    for direction in ("ascending", "descending"):
        browser.evaluate(f"{heading}.querySelector('button').focus()")
        browser.press("Enter")
        assert browser.evaluate(f"{heading}.getAttribute('aria-sort')") == direction
        values = browser.evaluate(precision)
        assert values == sorted(values, reverse=direction == "descending")
        assert len(set(values)) > 5


def test_the_slider_changes_the_numbers(browser: Browser, page: Path) -> None:
    """Arrow keys move the threshold, its counts and the points; the button goes back."""
    browser.open(page)
    counted = "['tp', 'fn', 'fp', 'tn'].map((id) => document.querySelector(`[data-count=${id}]`)"
    counts = f"{counted}.textContent).map(Number)"
    point = "document.querySelector('[data-curve=roc]').getAttribute('cx')"
    matrix = "[...document.querySelectorAll('.matrix td')].map((td) => parseInt(td.innerText))"
    own, at = browser.evaluate(counts), browser.evaluate(point)
    assert own == browser.evaluate(matrix)
    assert text(browser, "[data-rate=threshold]") == "0.400"
    browser.evaluate("document.querySelector('#threshold').focus()")
    for _ in range(5):
        browser.press("ArrowRight")
    tp, fn, fp, tn = browser.evaluate(counts)
    assert [tp, fn, fp, tn] != own
    assert (tp + fn, fp + tn) == (30, 30)
    assert text(browser, "[data-rate=recall]") == f"{100 * tp / 30:.1f}%"
    assert text(browser, "[data-rate=specificity]") == f"{100 * tn / 30:.1f}%"
    assert text(browser, "[data-rate=precision]") == f"{100 * tp / (tp + fp):.1f}%"
    assert browser.evaluate(point) != at
    spoken = browser.evaluate("document.querySelector('#threshold').getAttribute('aria-valuetext')")
    assert spoken.endswith(
        f": sensitivity {100 * tp / 30:.1f}%, specificity {100 * tn / 30:.1f}%, "
        f"precision {100 * tp / (tp + fp):.1f}%"
    )
    browser.press("End")
    assert browser.evaluate(counts) == [0, 30, 0, 30]
    assert text(browser, "[data-rate=precision]") == "\u2013"
    browser.point(".slider button", click=True)
    assert browser.evaluate(counts) == own


def test_the_map_shows_the_picture_below_the_mouse(browser: Browser, page: Path) -> None:
    """Pointing at a mark shows its picture, class, prediction and name."""
    browser.open(page)
    assert browser.evaluate("document.querySelectorAll('.pick img').length") == 0
    browser.point("path.ring[data-shot-of]")
    assert settled(browser, "document.querySelector('.pick img')")
    words = text(browser, ".pick").split()
    assert {"True", "Predicted", "Confidence", "cell"} <= set(words)
    assert words[1] != words[3]
    chosen = "document.querySelector('path.ring[data-shot-of]').dataset.shotOf"
    source = f"document.querySelector(`figure[data-shot='${{{chosen}}}'] img`).src"
    assert browser.evaluate(f"document.querySelector('.pick img').src === {source}")


def test_arrow_keys_move_on_the_map(browser: Browser, page: Path) -> None:
    """Focus shows a picture, and an arrow key shows one in its direction."""
    browser.open(page)
    browser.evaluate("document.querySelector('.field').focus()")
    x = "Number(document.querySelector('.target').getAttribute('cx'))"
    places = [browser.evaluate(x)]
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        name = text(browser, ".pick .file")
        browser.press(key)
        places.append(browser.evaluate(x))
        assert text(browser, ".pick .file") != name
    assert places[0] < places[1] > places[2] > places[3]


def test_the_legend_picks_out_a_class(browser: Browser, page: Path) -> None:
    """A name dims the other classes, and says so to screen readers."""
    browser.open(page)
    opacities = """[...document.querySelectorAll('.field g')].map(
      (group) => [group.dataset.class, getComputedStyle(group).opacity].join())"""
    browser.point(".legend button", click=True)
    pressed = "document.querySelector('.legend button').getAttribute('aria-pressed')"
    assert browser.evaluate(pressed) == "true"
    assert set(browser.evaluate(opacities)) == {"0,1", "1,0.1"}
    browser.point(".legend button", click=True)
    assert set(browser.evaluate(opacities)) == {"0,1", "1,1"}


def test_contents_lead_to_the_sections(browser: Browser, page: Path) -> None:
    """There is a link to every section but the headline."""
    browser.open(page)
    links = browser.evaluate("[...document.querySelectorAll('.contents a')].map((a) => a.text)")
    assert links == SECTIONS[1:]
    assert browser.evaluate(
        "[...document.querySelectorAll('.contents a')].every((a) => document.querySelector(a.hash))"
    )


def test_without_a_script_the_page_is_complete(browser: Browser, page: Path) -> None:
    """Cells still open; what needs a script is not shown."""
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        hidden = """['.slider', '.pick', '.help', '.contents'].map(
          (selector) => document.querySelector(selector).offsetHeight)"""
        assert browser.evaluate(hidden) == [0, 0, 0, 0]
        browser.point("td.wrong button", click=True)
        assert settled(browser, f"{OPENED} === 1")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_prints(browser: Browser, page: Path, tmp_path: Path) -> None:
    """On paper there are no controls, and the PDF has a handful of pages."""
    browser.open(page)
    browser.prefer("light", media="print")
    hidden = (
        "['.slider', '.pick', '.contents'].map((one) => document.querySelector(one).offsetHeight)"
    )
    assert browser.evaluate(hidden) == [0, 0, 0]
    browser.print(tmp_path / "page.pdf")
    assert 3 <= (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") <= 10


def test_a_box_says_what_it_is_without_a_pointer(browser: Browser, tmp_path: Path) -> None:
    """Tapping a box shows its tooltip below the picture, and that of the next one instead."""
    part = boxes_part(EVALUATION, [PICTURE])
    path = tmp_path / "boxes.html"
    path.write_text(render_report(boxes_record(EVALUATION), part, ()), encoding="utf-8")
    browser.open(path)
    tap = "document.querySelectorAll('.whole .drawing g')[{}].dispatchEvent(new Event('click'))"
    said = []
    for number in (0, 1):
        browser.evaluate(tap.format(number))
        said.append(text(browser, ".whole figcaption .tapped"))
    titles = "[...document.querySelectorAll('.whole .drawing title')].map(one => one.textContent)"
    assert said == browser.evaluate(titles)[:2]
    assert said[0] != said[1]
    assert browser.evaluate("document.querySelectorAll('.tapped').length") == 1
    assert browser.complaints() == []
