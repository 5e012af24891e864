"""The studio in a browser: by mouse and keyboard, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import COLOURS, picture
from tests.report.browser import Browser
from tests.server.page.visit import Visit
from tests.server.studio_server import TOKEN, studio

COUNTS = "[...document.querySelectorAll('#classes .quiet')].map((one) => parseInt(one.innerText))"
"""The number of images of each class, as it is shown."""


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Open the studio on an empty folder."""
    with studio(tmp_path / "project", tmp_path / "cache") as client:
        visit = Visit(browser, f"http://localhost:{client.port}/")
        browser.call("Page.navigate", url=f"{visit.url}?token={TOKEN}")
        visit.wait(f"location.href === {visit.url!r}")
        visit.open(ready="document.querySelector('#empty')?.checkVisibility()")
        yield visit
        browser.call("Page.navigate", url="about:blank")


def shown(visit: Visit) -> list[str]:
    """Return the captions of the images that are shown."""
    return visit.texts(".caption")


def type_key(visit: Visit, key: str, *, shift: bool = False) -> None:
    """Press a key in the grid that `Browser.press` does not know, or with Shift."""
    options = f"{{key: '{key}', shiftKey: {str(shift).lower()}, bubbles: true}}"
    visit.evaluate(
        f"document.querySelector('#grid').dispatchEvent(new KeyboardEvent('keydown', {options}))"
    )


def test_from_an_empty_folder_to_a_model(visit: Visit, tmp_path: Path) -> None:
    """Photos are dropped, labelled by the keyboard alone, taken back, and trained on."""
    photos = []
    for number, colour in enumerate(("blue", "red")):
        for index in range(10):
            photos.append(tmp_path / f"{colour}-{index}.png")
            picture(index + 100 * number, COLOURS[colour]).save(photos[-1])
    visit.evaluate("document.querySelector('#class-name').value = '<b>blue</b>'")
    visit.click("#new-class button")
    visit.wait("document.querySelectorAll('.assign').length === 1")
    visit.evaluate("document.querySelector('#class-name').value = 'red 🙂'")
    visit.click("#new-class button")
    visit.wait("document.querySelectorAll('.assign').length === 2")
    visit.drop(*photos)
    visit.wait("document.querySelectorAll('.cell').length === 20")
    visit.evaluate("document.querySelector('#grid').focus()")
    for key, first in (("1", 0), ("2", 10)):
        visit.press("Home")
        for _ in range(first):
            visit.press("ArrowRight")
        type_key(visit, "End", shift=True)
        type_key(visit, key)
        visit.wait(f"{COUNTS}.includes({20 - first})")
    assert sorted(set(shown(visit))) == ["<b>blue</b>", "red 🙂"]
    assert not visit.shown("#problem")
    visit.wait("document.querySelector('#verdict').textContent.includes('correct')")
    visit.click("#undo")
    visit.wait(f"{COUNTS}.join() === '20,0'")
    visit.click("#redo")
    visit.wait(f"{COUNTS}.join() === '10,10'")
    visit.wait("document.querySelector('#progress').textContent === ''")  # It has learnt that.
    visit.wait("document.querySelector('#finish').matches(':enabled')")
    visit.click("#finish")
    visit.wait("document.querySelector('#finished').checkVisibility()")
    assert (tmp_path / "project" / ".studio" / "model" / "report.html").is_file()
    assert visit.browser.inaccessible() == []
    visit.browser.resize(375)
    assert visit.evaluate("document.documentElement.scrollWidth") <= 375
    assert visit.browser.complaints() == []
