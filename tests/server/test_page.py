"""The page of a server in a real browser, with real files: answers, errors, CSV, access for all."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import headstart as hs
from headstart.options import AnswerOptions
from headstart.runs.predictions import write_predictions
from tests.commands.conftest import QUICK
from tests.commands.test_several_labels import write as write_stripes
from tests.conftest import COLOURS, picture
from tests.report.browser import EXECUTABLE, Browser, open_browser
from tests.server.conftest import Client, Trained, serving
from tests.server.page_visit import CAMERA, Visit

pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="There is no Chromium: install it by `apt-get install chromium`."
)

LOOKS = [(width, scheme) for width in (1280, 390, 360) for scheme in ("light", "dark")]
KEY = "a key of the tests"
ASKED_FOR_KEY = "document.querySelector('#key')?.open"
HOSTILE = '<img src=x onerror="document.title=1">.png'
UNKNOWN = "Unknown Unlike all training images: do not rely on this label."

# A model with names that are hard to lay out.
EXTREME = """window.fetch = async (path) => {
  const classes = Array.from({length: 120}, (_, number) => "a_class_without_a_space_".repeat(4) + number);
  const model = {
    ...{name: "m".repeat(80), version: "1", task: "single", classes, backbone: "b".repeat(80)},
    ...{test: null, operating_point: "sensitivity=0.95", problem: "The newest files cannot be loaded."},
    can: {unknown: false, sets: true, max_error: false, nearest: true, pictures: false},
  };
  if (path === "models") return Response.json([model, {...model, name: "n".repeat(80)}]);
  const top = classes.slice(0, 100).map((label, rank) => ({label, probability: 0.5 / (rank + 1)}));
  const nearest = [1, 2, 3].map((distance) => ({label: classes[0], distance}));
  return Response.json([{image: "", ...top[1], top, set: [], nearest}]);
};"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files: images of both colours and of none, and what is not an image."""
    folder = tmp_path_factory.mktemp("files")
    for name, colour in COLOURS.items():
        picture(5, colour).save(folder / f"{name}.png")
    picture(6, COLOURS["red"]).save(folder / "scan.tif")
    stranger = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    stranger.putdata([(255 * (x % 2), 255, 255 * (x // 3 % 2)) for x in range(64 * 64)])
    stranger.save(folder / "stranger.png")
    (folder / "notes.png").write_text("not an image")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def page(browser: Browser, client: Client) -> Visit:
    """The page of a model that tells blue and red apart."""
    visit = Visit(browser, f"http://localhost:{client.port}/")
    visit.open()
    return visit


@pytest.fixture(scope="module")
def two_models(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of two models, one of which finds several labels."""
    root = tmp_path_factory.mktemp("several")
    table = write_stripes(root / "photos", 45)
    hs.train(table, labels="has_*", out=root / "stripes", cache=root, progress=False, **QUICK)
    with serving(trained.run, root / "stripes", cache=trained.cache) as one:
        yield one


def asked(client: Client, path: Path, **query: object) -> Any:
    """Return what the server itself answers to a file."""
    options = "&".join(f"{name}={value}" for name, value in query.items())
    return client.post(f"/predict?{options}", path.read_bytes()).json[0]


def percent(fraction: float) -> str:
    text = f"{100 * fraction:.1f}"
    if text == "100.0" and fraction < 1 - 1e-9:
        return "> 99.9%"
    return "< 0.1%" if text == "0.0" and fraction > 1e-9 else f"{text}%"


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
    assert page.evaluate(spoken) == "3 images done, 1 unknown, 1 could not be classified."
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


def saved(page: Visit, folder: Path) -> str:
    """Return the file that the button saves."""
    folder.mkdir(exist_ok=True)
    page.browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.click("#save")
    end = time.monotonic() + 10
    while not (found := list(folder.glob("*.csv"))):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found[0].read_bytes().decode("utf-8")


def test_the_csv_file_is_that_of_predict(
    page: Visit, trained: Trained, photos: Path, tmp_path: Path
) -> None:
    """Columns, labels, probabilities, sets and errors are those of `headstart predict --out`."""
    paths = [photos / f"{name}.png" for name in ("red", "notes", "stranger", "blue", "green")]
    page.classify(*paths)
    page.select("#coverage", "0.9")
    page.settle()
    written = saved(page, tmp_path / "downloads")
    assert written.startswith("\ufeff") and written.endswith("\r\n")
    mine = list(csv.DictReader(io.StringIO(written.removeprefix("\ufeff"))))
    predictor = trained.predictor
    predictions = list(predictor.predict_each(paths, AnswerOptions(top=2, coverage=0.9)))
    write_predictions(tmp_path / "theirs.csv", predictions, predictor.classes)
    with (tmp_path / "theirs.csv").open(newline="") as file:
        theirs = list(csv.DictReader(file))
    assert list(mine[0]) == list(theirs[0])
    for one, other in zip(mine, theirs, strict=True):
        assert one["image"] == Path(other["image"]).name
        for name in ("label", "set", "unknown", "error"):
            assert one[name] == other[name]
        for name in ("probability", "p_blue", "p_red"):
            assert (one[name] == "") == (other[name] == "")
            assert float(one[name] or 0) == pytest.approx(float(other[name] or 0), abs=0.01)


def test_the_csv_file_is_safe_in_a_spreadsheet(page: Visit, photos: Path, tmp_path: Path) -> None:
    """Names that look like formulas or contain quotes stay text."""
    names = ["=1+1.png", "+1.png", "-1.png", "@sum.png", 'a "b", c.png', HOSTILE]
    for name in names:
        picture(5, COLOURS["blue"]).save(tmp_path / name)
    page.classify(*(tmp_path / name for name in names))
    assert page.texts(".entry .file") == names
    assert page.evaluate("document.images.length") == 4
    rows = csv.DictReader(io.StringIO(saved(page, tmp_path / "downloads")[1:]))
    images = [row["image"] for row in rows]
    assert images == [f"'{name}" for name in names[:4]] + names[4:]


def test_files_and_folders_are_dropped_anywhere(page: Visit, photos: Path, tmp_path: Path) -> None:
    """A folder gives its images, with its name; what lies beside them is left out."""
    page.drop(photos / "red.png", photos / "notes.png")
    page.settle()
    assert page.texts(".entry .file") == ["red.png", "notes.png"]
    (tmp_path / "trip" / "day 2").mkdir(parents=True)
    picture(1, COLOURS["red"]).save(tmp_path / "trip" / "day 2" / "a.png")
    picture(2, COLOURS["blue"]).save(tmp_path / "trip" / "b10.png")
    picture(3, COLOURS["blue"]).save(tmp_path / "trip" / "b9.png")
    (tmp_path / "trip" / "labels.csv").write_text("path,label\n")
    (tmp_path / "trip" / ".hidden").touch()
    page.drop(tmp_path / "trip")
    page.wait("document.querySelectorAll('.entry').length > 2")
    page.settle()
    added = page.texts(".entry .file")[:-2]
    assert added == ["trip/b9.png", "trip/b10.png", "trip/day 2/a.png"]
    assert not page.shown("#dropping")


def test_a_picture_is_pasted(page: Visit) -> None:
    """An image from the clipboard has a name of its own."""
    page.evaluate(
        """(async () => {
          const canvas = document.createElement("canvas");
          canvas.getContext("2d").fillRect(0, 0, 300, 150);
          const blob = await new Promise((resolve) => canvas.toBlob(resolve));
          for (const number of [1, 2]) {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([blob], "image.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
          }
        })()"""
    )
    page.settle()
    assert page.texts(".entry .file") == ["pasted-2.png", "pasted-1.png"]


def test_a_photo_is_taken(page: Visit) -> None:
    """By keyboard alone. The camera is off after the photo, and when its window is closed."""
    page.evaluate(CAMERA)
    states = "window.streams.map((stream) => stream.getTracks()[0].readyState)"
    page.evaluate("document.querySelector('#photograph').focus()")
    page.press("Enter")
    page.wait("document.activeElement.id === 'shoot'")
    assert page.evaluate(states) == ["live"]
    assert page.violations() == []
    page.press("Enter")
    page.wait("document.querySelector('.entry')")
    page.settle()
    assert page.text("#name") == "photo-1.jpg"
    assert page.text("#label").startswith("red")
    assert page.evaluate(states) == ["ended"]
    assert page.focused() == "photograph"
    page.press("Enter")
    page.wait("document.activeElement.id === 'shoot'")
    page.press("Escape")
    page.wait(f"{states}[1] === 'ended'")
    assert len(page.texts(".entry")) == 1


def test_a_camera_that_may_not_be_used_is_explained(page: Visit) -> None:
    """The window says what to do."""
    page.evaluate(
        """navigator.mediaDevices.getUserMedia = async () => {
          throw new DOMException("No", "NotAllowedError");
        }; 0"""
    )
    page.click("#photograph")
    page.wait("document.querySelector('#camera-state').textContent.startsWith('The browser')")
    assert page.text("#camera-state") == (
        "The browser does not let this page use the camera. Allow it in the settings of the page."
    )


def test_without_a_camera_there_is_no_button_for_it(browser: Browser, page: Visit) -> None:
    """As where the page is reached over plain HTTP from another computer."""
    script = "Object.defineProperty(Navigator.prototype, 'mediaDevices', {value: undefined})"
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)
    try:
        page.open()
        assert not page.shown("#photograph")
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


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
    """The error says so, and a button asks again."""
    page.evaluate(
        "window.own = window.fetch; window.fetch = async () => { throw new TypeError(); }; 0"
    )
    page.classify(photos / "red.png")
    assert page.text("#error p") == "The server cannot be reached. Check that it is running."
    page.evaluate("window.fetch = window.own; 0")
    page.click("#again")
    page.settle()
    assert page.text("#label").startswith("red")


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
    rows = list(csv.DictReader(io.StringIO(saved(page, tmp_path / "downloads")[1:])))
    assert list(rows[0]) == [
        *("image", "labels", "unknown", "p_has_blue", "p_has_green", "p_has_red", "error")
    ]
    assert [row["labels"] for row in rows] == [
        "|".join(one["label"] for one in asked(two_models, path, model="stripes")["labels"])
        for path in paths
    ]


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


def test_motion_is_reduced_on_request(page: Visit, photos: Path) -> None:
    """Bars then do not grow."""
    page.classify(photos / "red.png")
    duration = "getComputedStyle(document.querySelector('.fill')).transitionDuration"
    assert page.evaluate(duration) != "0s"
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.browser.call("Emulation.setEmulatedMedia", features=[reduced])
    assert page.evaluate(duration) == "0s"


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
