"""The page of a gallery: search by a photo, enrol photos, remove a label."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import headstart as hs
from tests.commands.test_galleries import QUICK, photo, write_items
from tests.report.browser import Browser
from tests.server.conftest import Client, serving
from tests.server.page.test_access import LOOKS
from tests.server.page.visit import Visit

ITEMS = 6
KEY = "a-key-of-enough-characters"
_SHOWN = "!document.querySelector('#enrol').hidden"


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a gallery, the photos that it was made of, and new ones."""
    root = tmp_path_factory.mktemp("goods")
    photos = write_items(root / "photos", range(ITEMS))
    hs.Gallery.create(photos, out=root / "goods", cache=root / "cache", **QUICK)
    photo(2, 90).save(root / "known.png")
    for number in range(2):
        photo(ITEMS, 90 + number).save(root / f"stranger-{number}.png")
    (root / "notes.png").write_text("not an image")
    return root


@pytest.fixture
def visit(browser: Browser, goods: Path, tmp_path: Path) -> Iterator[Visit]:
    """The page of a gallery that may be changed; its key is known."""
    shutil.copytree(goods / "goods", tmp_path / "goods")
    with serving(tmp_path / "goods", cache=goods / "cache", key=KEY, precision="float32") as client:
        visit = Visit(browser, f"http://localhost:{client.port}/")
        _open(visit)
        yield visit


def _open(visit: Visit, **look: object) -> None:
    asked = "document.querySelector('#key')?.open"
    visit.open(ready=f"{asked} || document.querySelector('#choose')?.matches(':enabled')", **look)
    if visit.evaluate(asked):
        visit.evaluate(f"document.querySelector('#key-value').value = '{KEY}'")
        visit.click("#key .primary")
    visit.wait(f"document.querySelector('#choose').matches(':enabled') && {_SHOWN}")


def _type(visit: Visit, selector: str, text: str) -> None:
    visit.evaluate(
        f"""(() => {{
          const field = document.querySelector({selector!r});
          field.value = {text!r};
          field.dispatchEvent(new Event("input"));
        }})()"""
    )


def _said(visit: Visit, start: str) -> str:
    visit.wait(f"document.querySelector('#enrol-status').textContent.startsWith({start!r})")
    visit.settle()
    return visit.text("#enrol-status")


def test_a_photo_is_found(visit: Visit, goods: Path) -> None:
    """With its label, how sure that is, and the nearest enrolled images."""
    visit.classify(goods / "known.png")
    assert visit.text("#kind") == "Found"
    assert visit.text("#label").startswith("item-2 ")
    assert visit.texts("#item-bars .what")[0] == "item-2"
    hits = visit.texts("#hits li")
    assert len(hits) == 5
    assert all(" distance 0." in hit for hit in hits)
    assert visit.text("#about").startswith("Finds out which of 6 labels an image shows")
    assert visit.texts("#origin span")[0] == "Gallery goods"
    assert not visit.shown("#stranger") and not visit.shown("#heat") and not visit.shown("#details")
    table = visit.save(goods / "saved").splitlines()
    assert table[0].lstrip("\ufeff").startswith('"image","label","probability","unknown","nearest"')
    assert table[1].startswith('"known.png","item-2",')


def test_a_stranger_is_enrolled_and_found_then(visit: Visit, goods: Path) -> None:
    """The open image and others get a label; the visit is searched again, with previews."""
    visit.classify(goods / "stranger-0.png")
    assert visit.text("#label") == "Unknown"
    assert visit.text("#stranger").startswith("No enrolled image is near enough")
    assert visit.texts(".entry .badge") == ["Unknown"]
    assert visit.evaluate("document.querySelector('#enrol-send').disabled")
    visit.click("#enrol-opened")
    visit.add(goods / "stranger-1.png", field="#enrol-files")
    _type(visit, "#enrol-label", "Becher “Käse” / 2")
    _type(visit, "#enrol-columns", "price: 3.20")
    assert visit.text("#enrol-send") == "Enrol 2 photos"
    visit.click("#enrol-send")
    assert _said(visit, "Enrolled") == "Enrolled 2 photos as “Becher “Käse” / 2”."
    visit.wait("document.querySelector('#label').textContent.startsWith('Becher')")
    assert visit.texts("#hits .fields")[:2] == ["price 3.20"] * 2
    assert visit.evaluate("document.querySelectorAll('#hits img').length") == 2
    assert visit.text("#about").startswith("Finds out which of 7 labels")


def test_a_label_is_removed_after_a_question(visit: Visit) -> None:
    """Only a label of the gallery can be."""
    _type(visit, "#enrol-label", "item-77")
    assert visit.evaluate("document.querySelector('#enrol-remove').disabled")
    _type(visit, "#enrol-label", "item-2")
    assert visit.text("#enrol-known") == "5 images enrolled under this label."
    visit.click("#enrol-remove")
    assert visit.text("#remove-title") == "Remove “item-2”?"
    visit.press("Escape")
    visit.wait("!document.querySelector('#remove').open")
    visit.click("#enrol-remove")
    visit.click("#remove-now")
    assert _said(visit, "Removed") == "Removed “item-2” with 5 images."
    visit.wait("document.querySelector('#about').textContent.includes('which of 5 labels')")


def test_what_cannot_be_enrolled_is_said(visit: Visit, goods: Path) -> None:
    visit.add(goods / "stranger-0.png", goods / "notes.png", field="#enrol-files")
    _type(visit, "#enrol-label", "new")
    visit.click("#enrol-send")
    assert "Cannot read image 'notes.png'" in _said(visit, "Cannot")
    assert visit.text("#enrol-send") == "Enrol 2 photos"  # They are still there.


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_page_of_a_gallery_is_sound(visit: Visit, goods: Path, width: int, scheme: str) -> None:
    """It is accessible and fits the width, with a label that is found and one that is not."""
    _open(visit, width=width, scheme=scheme)
    visit.classify(goods / "known.png", goods / "stranger-0.png")
    found = visit.violations()
    visit.evaluate("document.querySelectorAll('.entry')[1].click()")
    visit.click("#enrol-opened")
    found += visit.violations()
    assert found == []
    assert visit.evaluate("document.documentElement.scrollWidth") == width


def test_without_a_key_the_page_says_how_to_allow_changes(browser: Browser, goods: Path) -> None:
    with serving(
        goods / "goods", cache=goods / "cache", precision="float32", pictures=goods / "photos"
    ) as client:
        visit = Visit(browser, f"http://localhost:{client.port}/")
        visit.open()
        visit.wait(_SHOWN)
        visit.classify(goods / "known.png")
        assert visit.text("#enrol-off").startswith("This server does not change galleries")
        assert not visit.shown("#enrol-form")
        assert visit.evaluate("document.querySelectorAll('#hits img').length") == 5
        assert visit.complaints() == []


def test_a_model_has_no_panel(page: Visit, client: Client, photos: Path) -> None:
    page.classify(photos / "red.png")
    assert not page.shown("#enrol") and not page.shown("#matches")
