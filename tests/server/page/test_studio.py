"""The studio in a browser: by mouse and keyboard, wide and narrow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import COLOURS, picture, write_blue_and_red
from tests.report.browser import Browser
from tests.server.page.visit import Visit
from tests.server.studio_server import TOKEN, studio

COUNTS = "[...document.querySelectorAll('#classes .quiet')].map((one) => parseInt(one.innerText))"
"""The number of images of each class, as it is shown."""


@contextmanager
def opened(browser: Browser, folder: Path, cache: Path) -> Iterator[Visit]:
    """Open the studio on a folder."""
    with studio(folder, cache) as client:
        visit = Visit(browser, f"http://localhost:{client.port}/")
        browser.call("Page.navigate", url=f"{visit.url}?token={TOKEN}")
        visit.wait(f"location.href === {visit.url!r}")
        visit.open(ready="document.title.includes('project')")
        yield visit
        assert browser.complaints() == []
        browser.call("Page.navigate", url="about:blank")


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Open the studio on an empty folder."""
    with opened(browser, tmp_path / "project", tmp_path / "cache") as visit:
        yield visit


@pytest.fixture
def photos(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Open the studio on images of two classes, one of them wrongly labelled, and a few others.

    One of the others is a copy of another one.
    """
    folder = tmp_path / "project"
    write_blue_and_red(folder, 16)
    (folder / "red" / "0.png").rename(folder / "blue" / "wrong.png")
    for index in range(3):
        picture(index + 500, COLOURS["red"]).save(folder / f"{index}.png")
    shutil.copy(folder / "2.png", folder / "copy.png")
    with opened(browser, folder, tmp_path / "cache") as visit:
        visit.wait("document.querySelector('#verdict').textContent.includes('correct')")
        visit.wait("document.querySelector('#progress').textContent === ''")
        yield visit


def labels_of(visit: Visit) -> dict[str, list[str] | None]:
    """Return the labels of all images, as the server has them."""
    found: dict[str, list[str] | None] = visit.evaluate(
        """fetch('studio/state').then((answer) => answer.json()).then(({ items }) =>
          Object.fromEntries(Object.entries(items).map(([name, item]) => [name, item.labels])))"""
    )
    return found


def show(visit: Visit, view: str) -> None:
    """Show some of the images, and select the first one."""
    visit.wait(f"document.querySelector('#view option[value=\"{view}\"]')")
    visit.select("#view", view)
    visit.evaluate("document.querySelector('#grid').focus()")
    visit.press("Home")


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
    visit.wait("document.querySelector('#finished').checkVisibility()", seconds=60)
    assert (tmp_path / "project" / ".studio" / "model" / "report.html").is_file()
    assert "correct" in visit.text("#tested")
    assert not visit.shown("#stale")
    visit.click("#export")
    visit.wait("document.querySelector('#exported').checkVisibility()", seconds=120)
    assert "the same labels as the model for 20 images" in visit.text("#exported")
    assert visit.browser.inaccessible() == []
    visit.browser.resize(375)
    assert visit.evaluate("document.documentElement.scrollWidth") <= 375


def test_reviews(photos: Visit) -> None:
    """A doubtful label is taken from the model by one key, copies are kept or left out by one."""
    show(photos, "doubts")
    photos.wait("document.querySelector('.caption')?.textContent === 'blue → red?'")
    type_key(photos, "r")
    photos.wait("document.querySelector('#empty').textContent === 'No label looks wrong.'")
    assert labels_of(photos)["blue/wrong.png"] == ["red"]
    show(photos, "copies")
    assert len(shown(photos)) == 2
    type_key(photos, "Delete")
    photos.wait("document.querySelectorAll('.cell').length === 0")
    photos.click("#undo")
    photos.wait("document.querySelectorAll('.cell').length === 2")
    photos.evaluate("document.querySelector('#grid').focus()")
    photos.press("Home")
    type_key(photos, "k")
    photos.wait("document.querySelectorAll('.cell').length === 0")


def tab_to(visit: Visit, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(40):
        if visit.evaluate(f"document.activeElement.matches({selector!r})"):
            return
        visit.press("Tab")
    raise AssertionError(f"{selector} cannot be reached by Tab.")


def test_by_keyboard_alone(photos: Visit) -> None:
    """A class is made, images are chosen, labelled and left out, and the model is finished."""
    tab_to(photos, "#class-name")
    photos.browser.call("Input.insertText", text="green")
    photos.press("Enter")
    photos.wait(f"{COUNTS}.length === 3")
    tab_to(photos, "#grid")
    photos.press("Home")
    type_key(photos, "3")
    photos.wait(f"{COUNTS}[2] === 1")
    assert [name for name, labels in labels_of(photos).items() if labels == ["green"]] == ["0.png"]
    photos.press("ArrowRight")
    type_key(photos, "Delete")
    photos.wait("document.querySelector('#view option').textContent === 'All images (35)'")
    photos.wait("document.querySelector('#progress').textContent === ''")
    photos.evaluate("document.activeElement.blur()")
    tab_to(photos, "#finish")
    photos.press("Enter")
    photos.wait("document.querySelector('#finished').checkVisibility()", seconds=60)
    tab_to(photos, "#finished a")


def test_a_group_that_looks_alike(photos: Visit) -> None:
    """It is selected as a whole, and labelled by one key."""
    photos.wait("document.querySelector('#view option[value=\"alike\"]')")
    photos.select("#view", "alike")
    photos.wait("document.querySelector('#group').checkVisibility()")
    assert "These 4 look alike" in photos.text("#group-text")
    assert photos.text("#selected") == "4 selected"
    photos.evaluate("document.querySelector('#grid').focus()")
    type_key(photos, "2")
    photos.wait("document.querySelector('#empty').checkVisibility()")
    assert labels_of(photos)["copy.png"] == ["red"]


def test_classes_are_split_merged_and_removed(photos: Visit) -> None:
    """What is selected gets a new class; a class that is removed leaves images without a label."""
    show(photos, "class:red")
    photos.evaluate("document.querySelector('#class-name').value = 'dark red'")
    photos.click("#new-class button")
    photos.wait(f"{COUNTS}.join() === '17,14,1'")
    photos.evaluate("window.prompt = () => 'red'; window.confirm = () => true; 0")
    photos.click("#undo")
    photos.wait(f"{COUNTS}.join() === '17,15'")  # One act: the class goes with its label.
    photos.click("#redo")
    photos.wait(f"{COUNTS}.join() === '17,14,1'")
    photos.click("#classes li:nth-child(3) .remove")
    photos.wait(f"{COUNTS}.join() === '17,14'")
    assert labels_of(photos)["red/1.png"] is None
    photos.click("#classes li:nth-child(1) .rename")
    photos.wait(f"{COUNTS}.join() === '31'")


def test_several_labels(photos: Visit) -> None:
    """A key adds a class, and takes it away again; an image may show none of them."""
    photos.select("#kind", "multi")
    photos.wait("document.body.dataset.kind === 'multi'")
    show(photos, "class:blue")
    type_key(photos, "2")
    photos.wait("document.querySelector('.caption').textContent === 'blue, red'")
    type_key(photos, "2")
    photos.wait("document.querySelector('.caption').textContent === 'blue'")
    show(photos, "unlabelled")
    type_key(photos, "n")
    photos.wait(
        "[...document.querySelectorAll('#view option')].some(({ value }) => value === 'none')"
    )
    photos.wait("document.querySelector('#verdict').textContent.includes('AUROC')")
    found = labels_of(photos)
    assert found["blue/0.png"] == ["blue"]
    assert [] in found.values()


def test_an_image_is_explained(photos: Visit) -> None:
    """Its heat map and the labelled images most like it are shown by a key; arrows lead on."""
    show(photos, "unlabelled")
    photos.press("Enter")
    photos.wait("document.querySelector('#large').open")
    photos.wait("document.querySelector('#picture').complete")  # Buttons no longer move.
    first = photos.text("#large-title")
    photos.click("#heat")
    photos.wait("document.querySelector('#picture').src.startsWith('data:')")
    photos.wait("document.querySelectorAll('#nearest li').length > 2")
    assert "Orange parts support" in photos.text("#why")
    assert photos.browser.inaccessible() == []
    photos.press("ArrowRight")
    photos.wait(f"document.querySelector('#large-title').textContent !== {first!r}")
    photos.press("Escape")


def test_boxes(visit: Visit, tmp_path: Path) -> None:
    """They are drawn by the mouse, moved and named by keys, and undone like everything."""
    path = tmp_path / "a.png"
    picture(1, COLOURS["red"], side=64).save(path)
    visit.select("#kind", "boxes")
    for name in ("car", "cat"):
        visit.evaluate(f"document.querySelector('#class-name').value = '{name}'")
        visit.click("#new-class button")
        visit.wait(f"document.querySelector('#classes').textContent.includes('{name}')")
    visit.drop(path)
    visit.wait("document.querySelectorAll('.cell').length === 1")
    show(visit, "all")
    visit.press("Enter")
    visit.wait("document.querySelector('#boxes').checkVisibility()")
    left, top, width = visit.evaluate(
        "(({ left, top, width }) => [left, top, width])"
        "(document.querySelector('#boxes').getBoundingClientRect())"
    )
    mouse = {"button": "left", "buttons": 1, "clickCount": 1}
    for kind, x, y in (("mousePressed", 0.25, 0.25), ("mouseMoved", 0.5, 0.75)):
        at = {"x": left + x * width, "y": top + y * width}
        visit.browser.call("Input.dispatchMouseEvent", type=kind, **at, **mouse)
    visit.browser.call("Input.dispatchMouseEvent", type="mouseReleased", **at, **mouse)
    visit.wait("document.querySelector('#boxes text')?.textContent === 'car'")
    boxes = """fetch('studio/state').then((answer) => answer.json())
      .then(({ items }) => Object.values(items)[0].boxes)"""
    (box,) = visit.evaluate(boxes)
    found = [box[side] for side in ("x1", "y1", "x2", "y2")]
    assert found == pytest.approx([16, 16, 32, 48], abs=1)
    for key in ("2", "ArrowRight"):
        event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
        visit.evaluate(f"document.querySelector('#large').dispatchEvent({event})")
        if key == "2":
            visit.wait("document.querySelector('#boxes text').textContent === 'cat'")
    visit.wait("Number(document.querySelector('#boxes rect').getAttribute('x')) > 16.5")
    assert visit.browser.inaccessible() == []
    visit.press("Escape")
    visit.click("#undo")
    visit.click("#undo")
    visit.click("#undo")
    visit.wait("document.querySelector('.caption').textContent === ''")


def test_the_camera(photos: Visit) -> None:
    """What it sees is answered again and again, and recorded into a class, in groups."""
    photos.click("#try")
    photos.select("#into", "red")
    photos.click("#start-camera")
    photos.wait("document.querySelectorAll('#answer li').length === 2")
    photos.wait("document.querySelector('#speed').textContent.includes('images/s')")
    assert photos.browser.inaccessible() == []
    before = len(labels_of(photos))
    photos.evaluate(
        "document.querySelector('#record').dispatchEvent(new PointerEvent('pointerdown'))"
    )
    photos.wait("Number(document.querySelector('#recorded').textContent.split(' ')[0]) >= 3")
    photos.evaluate(
        "document.querySelector('#record').dispatchEvent(new PointerEvent('pointerup'))"
    )
    photos.press("Escape")
    found = labels_of(photos)
    recorded = [name for name in found if "camera" in name]
    assert len(recorded) == len(found) - before >= 3
    assert {tuple(found[name] or ()) for name in recorded} == {("red",)}
    assert not photos.evaluate("document.querySelector('#video').srcObject")
    photos.browser.resize(375)
    photos.click("#try")
    assert photos.evaluate("document.documentElement.scrollWidth") <= 375
    photos.press("Escape")
