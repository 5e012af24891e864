"""The ways by which images come to the page: dropped, pasted, photographed."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import COLOURS, picture
from tests.report.browser import Browser
from tests.server.page.visit import CAMERA, Visit


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
