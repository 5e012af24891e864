"""The answers on the page: those of the API for each file, with what else is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import COLOURS, picture
from tests.server.conftest import Client
from tests.server.page.conftest import asked
from tests.server.page.visit import Visit

UNKNOWN = "Unknown Unlike all training images: do not rely on this label."


def percent(fraction: float) -> str:
    text = f"{100 * fraction:.1f}"
    if text == "100.0" and fraction < 1 - 1e-9:
        return "> 99.9%"
    return "< 0.1%" if text == "0.0" and fraction > 1e-9 else f"{text}%"


def test_an_image_gets_its_answer(page: Visit, client: Client, photos: Path) -> None:
    """Label, probabilities and nearest training images are those of the API."""
    page.classify(photos / "blue.png")
    answer = asked(client, photos / "blue.png", nearest=3)
    assert page.texts("#label") == [f"blue {percent(answer['probability'])}"]
    assert page.texts("#bars li") == [
        f"{one['label']} {percent(one['probability'])}" for one in answer["top"]
    ]
    widths = page.evaluate(
        "[...document.querySelectorAll('.fill')].map((fill) => parseFloat(fill.style.width) / 100)"
    )
    assert widths == pytest.approx([one["probability"] for one in answer["top"]], abs=1e-4)
    assert page.texts("#nearest li") == [
        f"{one['label']} distance {one['distance']:.2f}" for one in answer["nearest"]
    ]
    pictures = """Promise.all([...document.querySelectorAll('#nearest img, #picture')].map(
      (image) => image.decode().then(() => image.naturalWidth > 0)))"""
    assert page.evaluate(pictures) == [True] * 4
    assert page.text("#name") == "blue.png"
    assert page.evaluate("document.querySelector('#picture').alt") == "blue.png"
    assert not page.shown("#unknown")


def test_an_answer_is_announced(page: Visit, photos: Path) -> None:
    """A live region says the label; of several files it says at the end how many are done."""
    page.classify(photos / "blue.png")
    spoken = "document.querySelector('#spoken[role=status]').textContent"
    assert page.evaluate(spoken).startswith("blue.png: blue ")
    page.classify(*(photos / name for name in ("red.png", "stranger.png", "notes.png")))
    assert page.evaluate(spoken) == "3 images done, 1 unknown, 1 failed."
    page.evaluate("document.querySelectorAll('.entry')[2].click()")
    assert page.evaluate(spoken) == (
        "notes.png: This file cannot be read: it is not an image of a known format."
    )


def test_an_unknown_image_is_called_so(page: Visit, client: Client, photos: Path) -> None:
    """Beside its label, in the history and in a plain sentence."""
    assert asked(client, photos / "stranger.png")["unknown"] is True
    page.classify(photos / "stranger.png")
    assert page.texts("#unknown") == [UNKNOWN]
    assert page.texts(".entry .badge") == ["Unknown"]
    assert page.text("#tally") == "1 image, 1 unknown"


def test_an_error_of_one_file_leaves_the_others(page: Visit, photos: Path) -> None:
    """Each file has its own answer, or says why it has none."""
    page.classify(*(photos / name for name in ("notes.png", "blue.png", "empty.png", "red.png")))
    said = [text.split()[0] for text in page.texts(".said")]
    assert said == ["Error", "blue", "Error", "red"]
    assert page.text("#tally") == "4 images, 2 errors"
    assert page.text("#error") == "This file cannot be read: it is not an image of a known format."
    assert page.texts("#label") == [] and page.texts("#bars li") == []
    page.evaluate("document.querySelectorAll('.entry')[2].click()")
    assert page.text("#error") == "The file is empty."
    assert not page.shown("#again")


def test_a_heat_map_is_drawn_on_demand(page: Visit, photos: Path) -> None:
    """The button draws it, says of what, and takes it away again; it keeps the focus."""
    page.classify(photos / "red.png")
    source = "document.querySelector('#picture').src.split(':')[0]"
    assert page.evaluate(source) == "blob"
    page.evaluate("document.querySelector('#heat').focus()")
    page.press("Enter")
    page.wait("document.querySelector('#heat[aria-pressed=true]')")
    assert page.evaluate(source) == "data"
    assert page.evaluate("document.querySelector('#picture').alt") == "Heat map of red.png for red"
    assert page.text("#caption") == "Orange parts support “red”, blue parts speak against it."
    assert page.focused() == "heat"
    page.press("Enter")
    assert page.evaluate(source) == "blob" and not page.shown("#caption")


def test_a_file_that_the_browser_cannot_show_is_answered(page: Visit, photos: Path) -> None:
    """A TIFF file has a placeholder, an answer and a heat map."""
    page.classify(photos / "scan.tif")
    page.wait("!document.querySelector('#no-picture').hidden")
    assert page.text("#no-picture") == (
        "This browser cannot show TIF files, but the model can read them."
    )
    assert page.text("#label").startswith("red")
    assert page.texts(".thumbnail") == ["TIF"]
    page.click("#heat")
    page.wait("document.querySelector('#picture').naturalWidth > 0")
    assert page.shown("#picture") and not page.shown("#no-picture")


def test_a_hundred_files_are_answered_a_few_at_a_time(page: Visit, tmp_path: Path) -> None:
    """All are answered in order, with progress, and never more than four are asked at a time."""
    for number in range(100):
        picture(number, COLOURS["red"]).save(tmp_path / f"{number:03d}.png")
    page.evaluate(
        """window.most = 0; window.inFlight = 0; window.own = window.fetch; window.seen = new Set();
        window.fetch = async (...asked) => {
          window.most = Math.max(window.most, ++window.inFlight);
          window.seen.add(document.querySelector("#progress-text").textContent);
          try { return await window.own(...asked); } finally { window.inFlight -= 1; }
        }; 0"""
    )
    page.classify(*sorted(tmp_path.iterdir()))
    assert page.texts(".entry .file") == [f"{number:03d}.png" for number in range(100)]
    assert {text.split()[0] for text in page.texts(".said")} == {"red"}
    assert page.evaluate("window.most") == 4
    assert page.evaluate("window.seen.has('50 of 100')")
    assert page.text("#position") == "1 of 100"
    page.click("#next")
    assert (page.text("#position"), page.text("#name")) == ("2 of 100", "001.png")
    assert page.evaluate("document.querySelector('[aria-current] .file').textContent") == "001.png"


def test_stop_keeps_what_is_answered(page: Visit, photos: Path) -> None:
    """Files without an answer are taken from the list."""
    page.classify(photos / "red.png")
    page.evaluate("window.fetch = () => new Promise(() => {}); 0")
    page.add(photos / "blue.png", photos / "green.png")
    page.click("#stop")
    assert page.texts(".entry .file") == ["red.png"]
    assert page.text("#name") == "red.png"
    assert page.text("#status") == "Stopped."


def test_clear_forgets_everything(page: Visit, photos: Path) -> None:
    """No picture is held any more, the focus is on the first button, and nothing is stored."""
    page.evaluate(
        """window.held = new Set();
        const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
        URL.createObjectURL = (...one) => {
          const made = create.apply(URL, one);
          window.held.add(made);
          return made;
        };
        URL.revokeObjectURL = (one) => (window.held.delete(one), revoke.call(URL, one)); 0"""
    )
    page.classify(*(photos / f"{name}.png" for name in ("red", "blue", "stranger")))
    for _ in range(2):
        page.click("#next")
    assert page.evaluate("window.held.size") == 1
    page.click("#clear")
    assert page.evaluate("window.held.size") == 0
    assert page.texts(".entry") == [] and not page.shown("#result")
    assert page.focused() == "choose"
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == [
        *("", 0, 0)
    ]
