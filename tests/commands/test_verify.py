"""Verification of pairs, from a table to what is printed."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import astronaut, chelsea

import headstart as hs
from headstart.cli import main
from headstart.errors import DataError, OptionError, UnknownBackbone
from tests.commands.test_galleries import QUICK, write_items
from tests.conftest import TINY

ITEMS = 8


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("pairs") / "goods", range(ITEMS), range(3))


def rows_of(goods: Path) -> list[list[object]]:
    """Return pairs of the same item and of different ones, in four folds."""
    rows: list[list[object]] = []
    for item in range(ITEMS):
        other = (item + 1) % ITEMS
        for number in range(2):
            own = f"goods/item-{item}/{item}-{number}.png"
            rows.append([own, f"goods/item-{item}/{item}-{number + 1}.png", 1, item // 2])
            rows.append([own, f"goods/item-{other}/{other}-{number}.png", 0, item // 2])
    return rows


def write(goods: Path, name: str, rows: Sequence[Sequence[object]], *more: str) -> Path:
    path = goods.parent / name
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path1", "path2", "same", "fold", *more], *rows])
    return path


def verify(model: str, table: Path, **options: object) -> dict[str, object]:
    settings = {name: value for name, value in QUICK.items() if name != "model"}
    return hs.verify(model, table, **(settings | options)).to_json()


def test_pairs_of_items_are_told_apart(goods: Path, cache: Path) -> None:
    """By a backbone, and by a gallery with the embedding that it has chosen."""
    table = write(goods, "pairs.csv", rows_of(goods))
    found = verify(TINY, table, cache=cache)
    assert (found["pairs"], found["same"], len(found["folds"])) == (32, 16, 4)
    assert found["accuracy"] > 0.9 and found["eer"] < 0.1 and found["folds_given"]
    gallery = hs.Gallery.create(goods, out=goods.parent / "gallery", cache=cache, **QUICK)
    by_gallery = verify(str(gallery.folder), table, cache=cache)
    assert by_gallery["accuracy"] > 0.9


def test_the_command_line(goods: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, JSON for programs, error rates by group."""
    rows = [
        [*row, "day" if number % 4 < 2 else "night"] for number, row in enumerate(rows_of(goods))
    ]
    table = write(goods, "sliced.csv", rows, "light")

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["gallery", "verify", TINY, str(table), "--weights", "random", *arguments])
        assert end.value.code == 0
        return capsys.readouterr().out

    common = ["--cache", str(cache), "--precision", "float32", "--slices", "light"]
    shown = run(*common)
    assert "equal error rate" in shown and "over 4 folds" in shown and "night" in shown
    assert "16 pairs of different items are too few" in shown
    found = json.loads(run(*common, "--json"))
    assert [one["value"] for one in found["slices"]] == ["day", "night"]
    assert found["tar_at_far"] == {}


def test_unreadable_images_count_as_wrong(goods: Path, cache: Path) -> None:
    (goods.parent / "broken.png").write_bytes(b"Not an image.")
    rows = [*rows_of(goods), ["broken.png", "goods/item-0/0-0.png", 1, 0]]
    found = verify(TINY, write(goods, "broken.csv", rows), cache=cache)
    assert found["not_comparable"] == 1
    assert found["rejected"][0]["reason"] == "it is not an image of a known format"
    assert found["folds"][0] <= 8 / 9


def change(rows: list[list[object]], column: int, value: object) -> list[list[object]]:
    return [[*row[:column], value, *row[column + 1 :]] for row in rows]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (lambda rows: change(rows, 2, 1), "All pairs of .* show the same item"),
        (lambda rows: change(rows, 3, "x"), "are in one fold"),
        (lambda rows: change(rows, 2, "maybe"), "Line 2 .* has 'maybe' as 'same'"),
        (lambda rows: change(rows, 0, "none.png"), r"1 of the 25 images .* does not exist"),
        (lambda rows: change(rows, 1, ""), "Line 2 .* has no path"),
        (lambda rows: [], "has no pairs"),
        (lambda rows: [[*row[:3], row[2]] for row in rows], "all pairs are of one kind"),
    ],
)
def test_bad_tables(goods: Path, rows, problem: str) -> None:
    table = write(goods, "bad.csv", rows(rows_of(goods)))
    with pytest.raises(DataError, match=problem):
        verify(TINY, table)


def test_missing_columns_are_named(goods: Path) -> None:
    path = goods.parent / "names.csv"
    path.write_text("path1,other\na.png,b.png\n")
    with pytest.raises(DataError, match=r"has no column 'path2'\. It has: path1, other"):
        verify(TINY, path)
    table = write(goods, "pairs.csv", rows_of(goods))
    with pytest.raises(OptionError, match="--slices 'age' is not a column"):
        verify(TINY, table, slices="age")
    with pytest.raises(DataError, match="is not a table of pairs"):
        verify(TINY, goods)


def test_faces_of_one_person(tmp_path: Path, cache: Path) -> None:
    """Photos without a face are an answer, and a crowd is said."""
    shot = Image.fromarray(astronaut())
    for number, degrees in enumerate((0, 8, -8)):
        (tmp_path / "people/eileen").mkdir(parents=True, exist_ok=True)
        shot.rotate(degrees).save(tmp_path / f"people/eileen/{number}.png")
    (tmp_path / "people/chelsea").mkdir()
    Image.fromarray(chelsea()).save(tmp_path / "people/chelsea/cat.png")
    gallery = hs.Gallery.create(
        tmp_path / "people",
        out=tmp_path / "gallery",
        model="dlib-face",
        cache=cache,
        progress=False,
    )
    assert gallery.labels() == {"eileen": 3}
    shot.resize((400, 400)).save(tmp_path / "new.png")
    found, cat = gallery.search([tmp_path / "new.png", tmp_path / "people/chelsea/cat.png"])
    assert (found.label, cat.error) == ("eileen", "no face is found in it")
    assert found.hits[0].distance < 0.1
    with pytest.raises(
        UnknownBackbone, match="compares faces in galleries and pairs, and cannot be"
    ):
        hs.train(tmp_path / "people", backbone="dlib-face", progress=False)


def test_faces_with_another_backbone(tmp_path: Path, cache: Path) -> None:
    """Only the face is seen, by a gallery that is opened again too: its frame may change."""
    shot = Image.fromarray(astronaut())
    for label, degrees in (("whole", 0), ("turned", 30)):
        (tmp_path / "people" / label).mkdir(parents=True)
        shot.rotate(degrees).save(tmp_path / "people" / label / "photo.png")
    framed = Image.new("RGB", (700, 600), "blue")
    framed.paste(shot, (150, 60))
    framed.save(tmp_path / "framed.png")
    made = hs.Gallery.create(
        tmp_path / "people", out=tmp_path / "faces", crop="face", cache=cache, **QUICK
    )
    again = hs.Gallery(made.folder, cache=cache, precision="float32")
    for gallery in (made, again):
        assert gallery.search(tmp_path / "framed.png").hits[0].distance < 0.02
