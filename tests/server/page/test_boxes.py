"""The boxes of a detector on the page: over the picture, as a list, and in the CSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import picture
from tests.detection.scenes import scene
from tests.report.browser import Browser
from tests.server.conftest import Client, serving
from tests.server.detecting import Detecting
from tests.server.page.conftest import asked
from tests.server.page.test_access import LOOKS
from tests.server.page.test_answers import percent
from tests.server.page.visit import Visit

_ORIENTATION = 0x0112
_TURNED = 6
TIMES = "\N{MULTIPLICATION SIGN}"

# The corners of each box on the screen, in pixels of the picture.
DRAWN = """(() => {
  const picture = document.querySelector("#picture");
  const {left, top, width, height} = picture.getBoundingClientRect();
  const scale = Math.min(width / picture.naturalWidth, height / picture.naturalHeight);
  const x = left + (width - scale * picture.naturalWidth) / 2;
  const y = top + (height - scale * picture.naturalHeight) / 2;
  // The most probable is drawn last. A box is at the middle of its line.
  return [...document.querySelectorAll("#boxes .line")].reverse().map((line) => {
    const box = line.getBoundingClientRect();
    return [box.left - x, box.top - y, box.right - x, box.bottom - y].map((one) => one / scale);
  });
})()"""
# Places of the labels that are shown.
TAGS = """[...document.querySelectorAll("#boxes .tag:not(.covered)")].map((tag) => {
  const {left, top, right, bottom} = tag.getBoundingClientRect();
  return [left, top, right, bottom];
})"""
FRAME = """(() => {
  const {left, top, right, bottom} = document.querySelector(".frame").getBoundingClientRect();
  return [left, top, right, bottom];
})()"""
LIT = "[...document.querySelectorAll('.object')].map((one) => one.classList.contains('lit'))"
MARKED = "document.querySelector('#boxes g.lit') === document.querySelector('#boxes g:last-child')"
READY = "!document.querySelector('#boxes').hidden"

# A detector of many objects, in classes with names that are hard to lay out.
MANY = """window.fetch = async (path) => {
  const names = ["car", "a_class_without_a_space".repeat(4), "دراجة"];
  const classes = [...names, ...Array(9).keys()].map(String);
  const model = {
    name: "roads", version: "1", task: "boxes", classes, backbone: "b", test: "mAP50 0.900",
    operating_point: "f1", problem: null, can: {},
  };
  if (path === "galleries") return Response.json([]);
  if (path === "models") return Response.json([model]);
  const boxes = Array.from({length: 100}, (_, number) => {
    const [x, y] = [(number * 37) % 130, (number * 23) % 75];
    const label = classes[number % classes.length];
    return {label, probability: 0.99 - number / 110, box: [x, y, x + 18, y + 14]};
  });
  return Response.json([{image: "", boxes}]);
};"""


@pytest.fixture(scope="module")
def finder(detecting: Detecting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of a detector, and of one that never finds anything."""
    root = tmp_path_factory.mktemp("strict")
    strict = Detecting.at(root, "strict", threshold=1.0)
    with serving(detecting.model, strict.model, cache=detecting.cache) as one:
        yield one


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files: scenes, one that is stored on its side, one that no browser shows."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(3):
        scene(seed, size=(150, 90)).image.save(folder / f"{seed}.png")
    scene(1, size=(150, 90)).image.save(folder / "scan.tif")
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED
    scene(2, size=(90, 150)).image.transpose(Image.Transpose.ROTATE_90).save(
        folder / "turned.jpg", exif=exif
    )
    (folder / "notes.png").write_text("not an image")
    return folder


@pytest.fixture
def page(browser: Browser, finder: Client) -> Visit:
    """The page of a detector."""
    visit = Visit(browser, f"http://localhost:{finder.port}/")
    visit.open()
    return visit


@pytest.fixture
def crowded(browser: Browser, page: Visit) -> Iterator[Visit]:
    """The page of a detector that finds 100 objects in each image."""
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=MANY)
    try:
        yield page
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def found(client: Client, path: Path) -> list[dict[str, Any]]:
    """Return the boxes that the server itself finds in a file."""
    boxes: list[dict[str, Any]] = asked(client, path, model="scenes")["boxes"]
    return boxes


def find(page: Visit, *paths: Path) -> None:
    """Choose files, and wait until the boxes are drawn."""
    page.classify(*paths)
    page.wait(READY)


def test_it_says_what_the_model_does(page: Visit) -> None:
    """What is for labels is not offered."""
    assert page.text("#about").startswith(
        "Finds disc and square in images, and draws a box around each object. Operating point: f1."
    )
    assert not page.shown("#options")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["0.png", "turned.jpg"])
def test_boxes_are_drawn_where_they_are(
    page: Visit, finder: Client, scenes: Path, name: str, width: int
) -> None:
    """In the picture as it is seen, of any shape, and after the window has changed its size."""
    find(page, scenes / name)
    boxes = [one["box"] for one in found(finder, scenes / name)]
    page.browser.resize(width)
    page.wait(f"Math.abs({DRAWN}[0][2] - {boxes[0][2]}) < 1")
    drawn = page.evaluate(DRAWN)
    assert len(boxes) == len(drawn) > 1
    for one, box in zip(drawn, boxes, strict=True):
        assert one == pytest.approx(box, abs=1)


def test_each_box_has_its_label_and_a_line_in_the_list(
    page: Visit, finder: Client, scenes: Path
) -> None:
    """With the probability; the list also has the place. It is not called a classification."""
    find(page, scenes / "0.png")
    boxes = found(finder, scenes / "0.png")
    said = [f"{one['label']} {percent(one['probability'])}" for one in boxes]
    tags = page.evaluate("[...document.querySelectorAll('.tag')].map((tag) => tag.textContent)")
    assert sorted(tags) == sorted(text.replace(" ", "", 1) for text in said)
    lines = page.texts("#found li")
    x1, y1, x2, y2 = boxes[0]["box"]
    place = f"{round(x2 - x1)} {TIMES} {round(y2 - y1)} at {round(x1)}, {round(y1)}"
    assert lines[0] == f"{said[0]} {place}"
    assert len(lines) == len(said)
    assert page.text("#label") == f"{len(boxes)} objects"
    for hidden in ("#bars", "#heat", "#near", "#more-found"):
        assert not page.shown(hidden)


def test_what_was_found_is_announced_and_in_the_history(
    page: Visit, finder: Client, scenes: Path
) -> None:
    """As the number of objects of each class, the most frequent first."""
    find(page, scenes / "0.png")
    labels = [one["label"] for one in found(finder, scenes / "0.png")]
    counts = sorted(((labels.count(name), name) for name in set(labels)), reverse=True)
    text = ", ".join(name if count == 1 else f"{name} {TIMES} {count}" for count, name in counts)
    spoken = page.evaluate("document.querySelector('#spoken').textContent")
    for said in (page.text("#kinds"), page.texts(".said")[0], spoken.removeprefix("0.png: ")):
        assert said.translate({0x2068: None, 0x2069: None, 0xA0: " "}).strip() == text


def test_an_image_without_objects_says_so(page: Visit, scenes: Path) -> None:
    """Without boxes and list, also where an earlier model found some."""
    find(page, scenes / "0.png")
    page.select("#model", "strict")
    page.settle()
    assert page.text("#label") == "No objects found"
    assert page.texts(".said") == ["No objects found"]
    for hidden in ("#boxes", "#objects", "#kinds", "#covered"):
        assert not page.shown(hidden)
    assert page.violations() == []


def test_a_line_highlights_its_box(page: Visit, scenes: Path) -> None:
    """While it has the focus or the pointer; and after a click, until the next one."""
    find(page, scenes / "0.png")
    count = len(page.evaluate(LIT))
    second = [number == 1 for number in range(count)]
    page.evaluate("document.querySelectorAll('.object')[1].focus()")
    assert page.evaluate(LIT) == second and page.evaluate(MARKED)
    page.evaluate("document.activeElement.blur()")
    assert not any(page.evaluate(LIT))
    page.browser.point("#found li:nth-child(2) button")
    assert page.evaluate(LIT) == second
    page.browser.point("#label")
    assert not any(page.evaluate(LIT))
    page.click("#found li:nth-child(2) button")
    page.browser.point("#label")
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate(LIT) == second
    pressed = "document.querySelectorAll('.object')[1].getAttribute('aria-pressed')"
    assert page.evaluate(pressed) == "true"
    page.click("#found li:nth-child(2) button")
    assert page.evaluate(pressed) == "false"


def test_a_box_in_the_picture_highlights_its_line(page: Visit, scenes: Path) -> None:
    """The smallest one under the pointer."""
    find(page, scenes / "0.png")
    page.browser.point("#picture")
    assert page.evaluate(LIT).count(True) == 1
    page.browser.point("#label")
    assert not any(page.evaluate(LIT))


def test_a_picture_that_the_browser_cannot_show_has_a_list(page: Visit, scenes: Path) -> None:
    """A TIFF file has no boxes over its placeholder."""
    page.classify(scenes / "scan.tif")
    page.wait("!document.querySelector('#no-picture').hidden")
    assert len(page.texts("#found li")) > 1
    assert not page.shown("#boxes")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_page_is_sound(page: Visit, scenes: Path, width: int, scheme: str) -> None:
    """With boxes, one that is highlighted, and an error, it is accessible and fits the width."""
    page.open(width=width, scheme=scheme)
    find(page, *(scenes / name for name in ("0.png", "notes.png", "turned.jpg")))
    violations = page.violations()
    page.click("#found li:nth-child(2) button")
    violations += page.violations()
    page.evaluate("document.querySelectorAll('.entry')[1].click()")
    violations += page.violations()
    assert not page.shown("#boxes") and not page.shown("#objects")
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints() == []


@pytest.mark.parametrize("width", [1280, 360])
def test_a_hundred_boxes_fit(crowded: Visit, scenes: Path, width: int) -> None:
    """Labels cover neither each other nor what is around the picture; most lines are folded."""
    crowded.open(width=width)
    find(crowded, scenes / "0.png")
    assert len(crowded.evaluate(DRAWN)) == 100
    tags, frame = crowded.evaluate(TAGS), crowded.evaluate(FRAME)
    assert 3 < len(tags) < 100
    assert crowded.text("#covered").startswith("Labels that would cover others are left out.")
    for one, other in combinations(tags, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart
    for tag in tags:
        assert frame[0] <= tag[0] and frame[1] <= tag[1]
        assert tag[2] <= frame[2] and tag[3] <= frame[3]
    assert len(crowded.texts("#found li")) == 12
    assert crowded.text("#more-found summary") == "88 more objects"
    assert crowded.texts(".said")[0].endswith(", 9 more")
    crowded.click("#more-found summary")
    assert len(crowded.texts(".found li")) == 100
    crowded.evaluate("document.querySelectorAll('.object')[99].focus()")
    shown = "getComputedStyle(document.querySelector('.tag.lit')).visibility"
    assert crowded.evaluate(shown) == "visible"
    assert crowded.violations() == []
    assert crowded.evaluate("document.documentElement.scrollWidth") == width


def test_the_csv_file_has_a_row_for_each_box(
    page: Visit, finder: Client, scenes: Path, tmp_path: Path
) -> None:
    """An image without boxes, or that cannot be read, has one row."""
    black = tmp_path / "=black.png"
    picture(0).save(black)
    paths = [scenes / "0.png", scenes / "notes.png", black]
    find(page, *paths)
    rows = list(csv.DictReader(io.StringIO(page.save(tmp_path / "downloads")[1:])))
    wanted = [
        {
            "image": "0.png",
            **dict(zip(("x1", "y1", "x2", "y2"), map(float, one["box"]), strict=True)),
            "label": one["label"],
            "probability": one["probability"],
            "error": "",
        }
        for one in found(finder, scenes / "0.png")
    ]
    assert list(rows[0]) == list(wanted[0])
    boxes = [row for row in rows if row["image"] == "0.png"]
    for row, box in zip(boxes, wanted, strict=True):
        assert {name: type(box[name])(cell) for name, cell in row.items()} == box
    (unreadable,) = [row for row in rows if row["image"] == "notes.png"]
    assert unreadable["label"] == unreadable["x1"] == ""
    assert unreadable["error"] == "it is not an image of a known format"
    assert {row["image"] for row in rows} == {"0.png", "notes.png", "'=black.png"}


def test_an_image_without_boxes_has_a_row(page: Visit, scenes: Path, tmp_path: Path) -> None:
    page.select("#model", "strict")
    page.classify(scenes / "0.png")
    text = page.save(tmp_path / "downloads")
    names = ("image", "x1", "y1", "x2", "y2", "label", "probability", "error")
    assert text[1:] == ",".join(map(json.dumps, names)) + '\r\n"0.png",,,,,,,\r\n'
