"""Galleries are evaluated, from labelled images to the page."""

import json
from pathlib import Path

import pytest

import headstart as hs
from headstart.cli import main
from headstart.errors import DataError, GalleryError, OptionError, OutputError
from tests.commands.test_galleries import QUICK, photo, write_items
from tests.report.test_page import Page

ITEMS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a gallery of some items, and with other photos of them and of others."""
    folder = tmp_path_factory.mktemp("galleries")
    write_items(folder / "goods", range(ITEMS))
    write_items(folder / "new", range(ITEMS + 2), range(10, 13))
    hs.Gallery.create(folder / "goods", out=folder / "gallery", cache=folder / "cache", **QUICK)
    return folder


@pytest.fixture
def gallery(place: Path) -> hs.Gallery:
    return hs.Gallery(place / "gallery", cache=place / "cache", precision="float32")


def test_enrolled_images_are_looked_up_among_the_others(gallery: hs.Gallery) -> None:
    found = gallery.evaluate(progress=False)
    assert (found.data, found.enrolled, found.labels) == (None, 30, ITEMS)
    assert (found.measures.queries.images, found.measures.queries.known) == (30, 30)
    assert found.measures.recall_at_1.value == 1
    assert found.measures.recall_at_1.ci95 is not None
    assert found.measures.open_set.left_out
    assert [one.label for one in found.measures.per_label] == [f"item-{n}" for n in range(ITEMS)]


def test_other_images_are_looked_up(gallery: hs.Gallery, place: Path, tmp_path: Path) -> None:
    """Labels that are not enrolled are strangers; the page shows pictures, which it is given."""
    out = tmp_path / "evaluation"
    found = gallery.evaluate(
        place / "new", out=out, pictures=place / "goods", progress=False
    ).measures
    assert (found.queries.known, found.queries.strangers) == (3 * ITEMS, 6)
    assert found.open_set.labels == 2 and not found.open_set.left_out
    values = json.loads((out / "evaluation.json").read_text())
    assert values["recall_at_1"]["value"] == found.recall_at_1.value
    page = Page((out / "report.html").read_text())
    assert page.unbalanced == []
    shown = 3 * len(found.misses) + 2 * len(found.accepted)
    assert len(page.all("img")) == shown


def test_the_answers_are_those_of_search(gallery: hs.Gallery, place: Path) -> None:
    """For each image: the same label, and unknown or not."""
    found = gallery.evaluate(place / "new", progress=False).measures
    answers: dict[str, list[int]] = {"known": [], "stranger": []}
    for path in sorted((place / "new").rglob("*.png")):
        answer = gallery.search(path)
        known = int(path.parent.name.split("-")[1]) < ITEMS
        hit = answer.label == path.parent.name if known else answer.unknown
        answers["known" if known else "stranger"].append(hit)
    assert found.own_limit.right.value == pytest.approx(sum(answers["known"]) / 18)
    assert found.own_limit.strangers_unknown.value == pytest.approx(sum(answers["stranger"]) / 6)


def test_pictures_are_found_by_name_or_by_content(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file of the name is not shown."""
    write_items(tmp_path / "mixed", range(4))
    images = sorted((tmp_path / "mixed").rglob("*.png"))
    for first, second in zip(images[::2], images[1::2], strict=True):  # So that some are missed.
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    images[0].rename(tmp_path / "mixed/item-3/moved.png")
    gallery = hs.Gallery.create(
        tmp_path / "mixed", out=tmp_path / "gallery", cache=place / "cache", **QUICK
    )
    shown = tmp_path / "shown"
    shown.mkdir()
    for number, path in enumerate(sorted((tmp_path / "mixed").rglob("*.png"))):
        (shown / f"{number}.png").write_bytes(path.read_bytes())
    (shown / "item-1").mkdir()
    photo(9, 9).save(shown / "item-1/1-0.png")
    found = gallery.evaluate(out=tmp_path / "out", pictures=shown, progress=False).measures
    assert found.misses
    page = Page((tmp_path / "out/report.html").read_text())
    assert len(page.all("img")) == 3 * len(found.misses)


def test_images_that_are_enrolled_are_left_out(gallery: hs.Gallery, place: Path) -> None:
    """Those who have enrolled all of their images hear what to do."""
    with pytest.raises(DataError, match=r"Every image of '.*goods' is enrolled in"):
        gallery.evaluate(place / "goods", progress=False)


def test_groups_of_data(gallery: hs.Gallery, place: Path, tmp_path: Path) -> None:
    """Intervals are over them."""
    rows = [
        f"{path},{path.parent.name},session {path.parent.name[-1]}{path.stem[-1] > '0'}"
        for path in sorted((place / "new").rglob("*.png"))
    ]
    table = tmp_path / "new.csv"
    table.write_text("\n".join(["path,label,session", *rows]))
    found = gallery.evaluate(table, group="session", progress=False).measures
    assert found.queries.groups == 16
    assert found.recall_at_1.method == "Wilson, groups"
    with pytest.raises(OptionError, match="--group is a column of DATA, and has no effect without"):
        gallery.evaluate(group="session", progress=False)


def test_where_the_report_may_be(gallery: hs.Gallery, place: Path, tmp_path: Path) -> None:
    """Not in the gallery, which keeps no pictures; and nothing is replaced unasked."""
    with pytest.raises(OutputError, match="is inside the gallery, which keeps no pictures"):
        gallery.evaluate(out=gallery.folder / "report", progress=False)
    with pytest.raises(OptionError, match="--pictures has no effect without a report"):
        gallery.evaluate(pictures=place, progress=False)
    with pytest.raises(OptionError, match=r"Pictures '.*nowhere' are not a folder"):
        gallery.evaluate(out=tmp_path / "out", pictures=tmp_path / "nowhere", progress=False)
    gallery.evaluate(out=tmp_path / "out", progress=False)
    with pytest.raises(OutputError, match=r"already exists\. Pass --overwrite"):
        gallery.evaluate(out=tmp_path / "out", progress=False)
    gallery.evaluate(out=tmp_path / "out", overwrite=True, progress=False)


def test_an_empty_gallery_says_so(place: Path, tmp_path: Path) -> None:
    data = write_items(tmp_path / "goods", range(2), range(2))
    gallery = hs.Gallery.create(data, out=tmp_path / "gallery", cache=place / "cache", **QUICK)
    gallery.remove(labels=["item-1"])
    with pytest.raises(GalleryError, match=r"has only one label, 'item-0'"):
        gallery.evaluate(progress=False)
    gallery.remove(labels=["item-0"])
    with pytest.raises(GalleryError, match=r"is empty.*headstart gallery add"):
        gallery.evaluate(place / "new", progress=False)


def test_the_command_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of measures, or JSON of the documented form."""

    common = ["--cache", str(place / "cache"), "--precision", "float32"]

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["gallery", "evaluate", str(place / "gallery"), *arguments, *common])
        assert end.value.code == 0
        return capsys.readouterr().out

    shown = run(str(place / "new"), "--out", str(tmp_path / "out"))
    assert "Looked up 24 images from 'new': 18 of enrolled labels, 6 of strangers." in shown
    assert "The gallery has 30 images of 6 labels." in shown
    assert "identified at 1% false accepts" in shown and "strangers called unknown" in shown
    assert "6 strangers cannot tell a share of false accepts below 17%" in shown
    assert f"report   {tmp_path / 'out'}/report.html" in shown
    own = run()
    assert "Looked up 30 images among the others" in own
    assert "Every label is found for each of its images." in own
    values = json.loads(run("--json"))
    assert set(values) >= {
        *("gallery", "data", "enrolled", "labels", "queries", "recall_at_1", "recall_at_5"),
        *("recall_at_10", "map_at_r", "open_set", "own_limit", "per_label", "confusions"),
        *("misses", "accepted", "histogram", "rejected", "notes", "headstart", "created"),
    }
    assert values["recall_at_1"]["value"] == 1
