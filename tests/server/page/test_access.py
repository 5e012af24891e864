"""The page for everyone: accessible, on a phone, by keyboard, and complete in itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.conftest import picture
from tests.report.browser import Browser
from tests.server.conftest import Client
from tests.server.page.visit import Visit

LOOKS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]

# A model with names that are hard to lay out.
EXTREME = """window.fetch = async (path) => {
  const classes = Array.from({length: 120}, (_, number) =>
    "a_class_without_a_space".repeat(4) + number);
  const model = {
    name: "m".repeat(80), version: "1", task: "single", classes, backbone: "b".repeat(80),
    test: null, operating_point: "sensitivity=0.95", problem: "The newest files cannot be loaded.",
    can: {unknown: false, sets: true, max_error: false, nearest: true, pictures: false},
  };
  if (path === "galleries") return Response.json([]);
  if (path === "models") return Response.json([model, {...model, name: "n".repeat(80)}]);
  const top = classes.slice(0, 100).map((label, rank) => ({label, probability: 0.5 / (rank + 1)}));
  const nearest = [1, 2, 3].map((distance) => ({label: classes[0], distance}));
  return Response.json([{image: "", ...top[1], top, set: [], nearest}]);
};"""


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_page_is_sound(page: Visit, photos: Path, width: int, scheme: str) -> None:
    """With nothing, an answer, a heat map and an error it is accessible and fits the width."""
    page.open(width=width, scheme=scheme)
    found = page.violations()
    page.classify(*(photos / name for name in ("red.png", "stranger.png", "notes.png")))
    page.click("#heat")
    page.wait("document.querySelector('#heat[aria-pressed=true]')")
    found += page.violations()
    page.evaluate("document.querySelectorAll('.entry')[1].click()")
    found += page.violations()
    page.evaluate("document.querySelectorAll('.entry')[2].click()")
    found += page.violations()
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints() == []


def test_long_names_fit_a_phone(browser: Browser, page: Visit, tmp_path: Path) -> None:
    """As do many classes, an operating point, a problem of the model, and an empty set."""
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=EXTREME)
    try:
        page.open(width=360)
        path = tmp_path / f"{'long_' * 30}مرحبا.png"
        picture(1).save(path)
        page.classify(path)
        page.select("#coverage", "0.9")
        page.settle()
        for details in ("classes", "options", "more"):
            page.click(f"#{details} summary")
        assert page.text("#classes summary") == "All 120 labels"
        assert page.text("#problem") == "The newest files cannot be loaded."
        assert len(page.texts("#bars li")) == 5
        assert page.text("#more summary") == "95 more labels"
        assert page.text("#differs") == (
            "Not the most probable label: the operating point (sensitivity=0.95) decides."
        )
        assert page.text("#set") == "With 90% coverage, no label is likely enough."
        assert "cannot tell when an image is unlike" in page.text("#about")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.violations() == []
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def test_everything_is_reached_by_keyboard(page: Visit, photos: Path) -> None:
    """Tab goes through the page in the order of reading, and the focus is always visible."""
    page.classify(photos / "red.png", photos / "blue.png")
    page.evaluate("document.querySelector('#choose').focus()")
    visited, outlined = [], set()
    for _ in range(10):
        page.press("Tab")
        visited.append(page.focused().split("\n")[0])
        outlined.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert visited == [
        *("photograph", "Options", "next", "heat", "save", "clear"),
        *("red.png", "blue.png", "read-card", "API for programs"),
    ]
    assert outlined == {"solid"}
    page.evaluate("document.querySelectorAll('.entry')[1].focus()")
    page.press("Enter")
    assert page.text("#name") == "blue.png"
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    page.evaluate("document.querySelector('#previous').focus()")
    page.press("Enter")
    assert page.text("#name") == "red.png"
    assert page.focused() == "next"


def test_motion_is_reduced_on_request(page: Visit, photos: Path) -> None:
    """Bars then do not grow."""
    page.classify(photos / "red.png")
    duration = "getComputedStyle(document.querySelector('.fill')).transitionDuration"
    assert page.evaluate(duration) != "0s"
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.browser.call("Emulation.setEmulatedMedia", features=[reduced])
    assert page.evaluate(duration) == "0s"


def test_nothing_comes_from_elsewhere(page: Visit, photos: Path) -> None:
    """All that the page loads is the server's, and its policy allows nothing else."""
    page.classify(photos / "red.png")
    origins = """[...new Set(performance.getEntriesByType("resource").map(
      ({ name }) => name.startsWith("blob:") ? "blob" : new URL(name).origin))]"""
    allowed = {"blob", "data:image/jpeg", "null", page.url.rstrip("/")}
    assert set(page.evaluate(origins)) <= allowed
    assert page.complaints() == []


def test_the_footer_says_what_the_model_is(page: Visit, client: Client) -> None:
    """Name, version, backbone and test result; the card opens as text and closes again."""
    model = client.get("/models").json[0]
    assert page.texts("#origin span") == [
        *("Model colours", f"version {model['version']}"),
        *("backbone test_efficientnet", f"test {model['test']}"),
    ]
    page.evaluate("document.querySelector('#read-card').focus()")
    page.press("Enter")
    page.wait("document.querySelector('#card-text h3')")
    assert page.text("#card-text h3") == "Image classifier with 2 classes"
    assert page.text("#card-text td") != ""
    assert page.violations() == []
    page.press("Escape")
    page.wait("!document.querySelector('#card').open")
    assert page.focused() == "read-card"


def test_a_card_is_text(page: Visit) -> None:
    """Markup in a card is shown as it is written, and a link can only lead to the web."""
    card = "# A *card*\n<img src=x onerror=alert(1)>\n[x](javascript:alert(1)) `a<b`\n\n- **b**"
    shown = page.evaluate(
        f"""import("/page/markdown.js").then(({{ render }}) =>
          render({json.dumps(card)}).map((block) => block.outerHTML).join("\\n"))"""
    )
    assert shown == (
        "<h3>A *card*</h3>\n"
        "<p>&lt;img src=x onerror=alert(1)&gt; [x](javascript:alert(1)) <code>a&lt;b</code></p>\n"
        "<ul><li><strong>b</strong></li></ul>"
    )


def test_without_a_script_the_page_says_so(browser: Browser, client: Client) -> None:
    """It names the command that does the same."""
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=f"http://localhost:{client.port}/")
        time.sleep(0.3)
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert Visit(browser, "").text("noscript").startswith("This page needs JavaScript.")


def test_files_of_the_page_have_their_types(client: Client) -> None:
    """Another name is not found."""
    for name, kind in {"page.js": "javascript", "page.css": "css", "icon.svg": "svg"}.items():
        answer = client.get(f"/page/{name}")
        assert (answer.status, kind in answer.headers["content-type"]) == (200, True)
    for name in ("none.js", "__init__.py", "index.html", "..%2fapp.py"):
        assert client.get(f"/page/{name}").status == 404
