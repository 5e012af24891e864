"""Plans: written, edited, read and carried out on a copy."""

import csv
from pathlib import Path

import pytest

import headstart as hs
from headstart.data.plan import TABLE, Step, apply_plan, read_plan, write_plan
from headstart.errors import DataError, OutputError
from tests.conftest import COLOURS, picture


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write images of two classes in two parts."""
    for part in ("train", "test"):
        for label, shift in (("blue", 0), ("red", 50)):
            folder = tmp_path / "data" / part / label
            folder.mkdir(parents=True)
            for number in range(3):
                seed = number + shift + 100 * (part == "test")
                picture(seed, COLOURS[label]).save(folder / f"{number}.png")
    return tmp_path / "data"


def plan(path: Path, *rows: str) -> Path:
    """Write a plan by hand."""
    path.write_text("\n".join(("image,action,new_label,new_split", *rows)) + "\n")
    return path


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Names with commas, quotes and markup stay, and no cell is a formula."""
    steps = [
        Step('a,"b".png', "=SUM(A1)", "train", "relabel", "+1", "", "why; not"),
        Step("<b>\N{GRINNING FACE}.png", "-", "", "drop"),
    ]
    write_plan(tmp_path / "plan.csv", steps)
    assert read_plan(tmp_path / "plan.csv") == steps
    with (tmp_path / "plan.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_a_plan_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """With semicolons, capital letters, and columns that it does not need left out."""
    (tmp_path / "p.csv").write_text("image;action;new_label\na.png;Drop;\nb.png;;\n")
    assert [step.action for step in read_plan(tmp_path / "p.csv")] == ["drop", "keep"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,remove,,", "action 'remove' is not one of keep, drop, move, relabel"),
        ("a.png,relabel,,", "action relabel needs a label in the column new_label"),
        ("a.png,move,,holdout", "needs train, val or test in the column new_split. Got 'holdout'"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    """Line 3 is the second row below the header."""
    with pytest.raises(DataError, match=f"line 3: .*{message}"):
        read_plan(plan(tmp_path / "plan.csv", "b.png,keep,,", row))


def test_an_image_that_is_named_twice_is_an_error(tmp_path: Path) -> None:
    """Which of the two counts would be a guess."""
    with pytest.raises(DataError, match=r"line 3: 'a\.png' is named twice"):
        read_plan(plan(tmp_path / "plan.csv", "a.png,drop,,", "a.png,keep,,"))


def test_a_plan_is_carried_out_on_a_copy(data: Path, tmp_path: Path) -> None:
    """Images are dropped, moved and relabelled; the rest and the originals stay as they are."""
    steps = [
        Step("train/blue/0.png", "blue", "train", "drop"),
        Step("train/blue/1.png", "blue", "train", "relabel", "red"),
        Step("test/red/0.png", "red", "test", "move", new_split="train"),
    ]
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    images = hs.open_images(data, progress=False)
    out = tmp_path / "copy"
    counts = apply_plan(images.manifest, steps, out, several=False, plan=tmp_path / "p")
    assert counts == {"keep": 9, "drop": 1, "move": 1, "relabel": 1}
    assert {path: path.read_bytes() for path in data.rglob("*.png")} == before
    copied = hs.open_images(out / TABLE, progress=False)
    assert (len(copied.train), len(copied.test)) == (6, 5)
    assert copied.all.counts() == (4, 7)


@pytest.mark.parametrize("image", ["../outside.png", "/etc/passwd", "train/blue/9.png"])
def test_images_outside_the_data_are_an_error(data: Path, tmp_path: Path, image: str) -> None:
    """And nothing is written."""
    images = hs.open_images(data, progress=False)
    steps = [Step(image, "", "", "drop")]
    with pytest.raises(DataError, match="not in the data"):
        apply_plan(images.manifest, steps, tmp_path / "copy", several=False, plan=tmp_path / "p")
    assert not (tmp_path / "copy").exists()


def test_an_existing_folder_is_not_written_to(data: Path, tmp_path: Path) -> None:
    """Not even an empty one."""
    images = hs.open_images(data, progress=False)
    with pytest.raises(OutputError, match="already exists"):
        apply_plan(images.manifest, [], data, several=False, plan=tmp_path / "p")
