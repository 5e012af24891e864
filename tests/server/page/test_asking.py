"""The page and its server: busy, gone, with a key, with another model or several."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headstart as hs
from tests.commands.conftest import QUICK
from tests.commands.test_several_labels import write as write_stripes
from tests.report.browser import Browser
from tests.server.conftest import Client, Trained, serving
from tests.server.page.conftest import asked
from tests.server.page.visit import Visit

KEY = "a key of the tests"
ASKED_FOR_KEY = "document.querySelector('#key')?.open"


@pytest.fixture(scope="module")
def two_models(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of two models, one of which finds several labels."""
    root = tmp_path_factory.mktemp("several")
    table = write_stripes(root / "photos", 45)
    hs.train(table, labels="has_*", out=root / "stripes", cache=root, progress=False, **QUICK)
    with serving(trained.run, root / "stripes", cache=trained.cache) as one:
        yield one


def test_a_busy_server_is_asked_again(page: Visit, photos: Path) -> None:
    """The page waits and says so, and every file gets its answer."""
    page.evaluate(
        """window.own = window.fetch; window.refused = 0; window.said = [];
        new MutationObserver(() => window.said.push(document.querySelector("#status").textContent))
          .observe(document.querySelector("#status"), {childList: true});
        window.fetch = async (...asked) => window.refused++
          ? window.own(...asked)
          : new Response("{}", {status: 503, headers: {"Retry-After": "1"}}); 0"""
    )
    page.classify(photos / "red.png", photos / "blue.png")
    assert [text.split()[0] for text in page.texts(".said")] == ["red", "blue"]
    assert page.evaluate("window.said") == ["The server is busy. Trying again in 1 s.", ""]
    assert page.evaluate("window.refused") == 3


def test_a_server_that_is_gone_can_be_asked_again(page: Visit, photos: Path) -> None:
    """The error says so, and a button asks again for all images that it left without an answer."""
    page.evaluate(
        "window.own = window.fetch; window.fetch = async () => { throw new TypeError(); }; 0"
    )
    page.classify(photos / "red.png", photos / "blue.png")
    assert page.text("#error p") == "The server cannot be reached. Check that it is running."
    assert page.texts(".said") == ["Error", "Error"]
    page.evaluate("window.fetch = window.own; 0")
    page.click("#again")
    page.settle()
    assert [text.split()[0] for text in page.texts(".said")] == ["red", "blue"]


def test_a_replaced_model_answers_again(page: Visit, photos: Path) -> None:
    """Earlier answers are those of the earlier model, so all images are asked again."""
    page.classify(photos / "red.png")
    page.evaluate(
        """window.own = window.fetch; window.asked = 0;
        window.fetch = async (path, ...others) => {
          const answer = await window.own(path, ...others);
          window.asked += path.startsWith("predict");
          return new Response(await answer.text(), {headers: {"X-Model-Version": "another"}});
        }; 0"""
    )
    page.add(photos / "blue.png")
    page.wait("document.querySelector('#status').textContent.startsWith('The model was replaced')")
    page.settle()
    assert page.evaluate("window.asked") == 3
    assert [text.split()[0] for text in page.texts(".said")] == ["blue", "red"]


def test_a_key_is_asked_for_once(
    browser: Browser, serve: Callable[..., Client], photos: Path
) -> None:
    """A wrong one is refused; the right one is kept for the visit, and in no cookie."""
    page = Visit(browser, f"http://localhost:{serve(key=KEY).port}/")
    page.open(ready=ASKED_FOR_KEY)
    assert page.violations() == []
    assert not page.shown("#key-refused")
    for key in ("wrong", KEY):
        page.evaluate(f"document.querySelector('#key-value').value = {json.dumps(key)}; 0")
        page.press("Enter")
        if key != KEY:
            page.wait("!document.querySelector('#key-refused').hidden")
    page.wait("document.querySelector('#choose').matches(':enabled')")
    page.classify(photos / "red.png")
    assert page.text("#label").startswith("red")
    page.open()
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    page.evaluate("sessionStorage.clear()")


def test_without_the_key_the_page_says_so(browser: Browser, serve: Callable[..., Client]) -> None:
    """Closing the question leaves a sentence, and a button that asks again."""
    page = Visit(browser, f"http://localhost:{serve(key=KEY).port}/")
    page.open(ready=ASKED_FOR_KEY)
    page.press("Escape")
    page.wait("!document.querySelector('#retry').hidden")
    assert page.text("#status") == "This server needs a key."
    page.click("#retry")
    page.wait("document.querySelector('#key').open")


def test_one_of_several_models_is_chosen(
    browser: Browser, two_models: Client, photos: Path, tmp_path: Path
) -> None:
    """The images are then answered by it; it may find several labels or none."""
    page = Visit(browser, f"http://localhost:{two_models.port}/")
    page.open()
    assert page.text("#title") == "colours"
    stripes = write_stripes(tmp_path / "stripes", 8).parent
    paths = sorted(stripes.glob("*.png"))
    page.classify(*paths)
    page.select("#model", "stripes")
    page.settle()
    assert page.text("#about").startswith("Finds has_blue, has_green and has_red in images.")
    assert "Operating point: f1." in page.text("#about")
    for entry, path in enumerate(paths):
        labels = [one["label"] for one in asked(two_models, path, model="stripes")["labels"]]
        page.evaluate(f"document.querySelectorAll('.entry')[{entry}].click()")
        said = page.text("#label")
        assert said.startswith(", ".join(labels) or "None reaches its threshold")
        assert page.texts("#bars .chosen bdi") == labels
    assert page.violations() == []
    rows = list(csv.DictReader(io.StringIO(page.save(tmp_path / "downloads")[1:])))
    assert list(rows[0]) == [
        *("image", "labels", "unknown", "p_has_blue", "p_has_green", "p_has_red", "error")
    ]
    assert [row["labels"] for row in rows] == [
        "|".join(one["label"] for one in asked(two_models, path, model="stripes")["labels"])
        for path in paths
    ]
