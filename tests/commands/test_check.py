"""Check: what is found in a data set, the page, the plan and the copy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.commands.check import run_check
from headstart.errors import HeadstartWarning, OptionError, OutputError
from headstart.options import CheckOptions
from headstart.watching import SilentWatcher
from tests.conftest import COLOURS, TINY, picture
from tests.detection.scenes import scenes, write_csv

NAMES = ("blue,\N{GRINNING FACE}", "<b>red")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two classes with one fault of each kind, in given parts."""
    root = tmp_path_factory.mktemp("check") / "photos"
    for shift, (name, colour) in enumerate(zip(NAMES, ("blue", "red"), strict=True)):
        for part, count in (("train", 24), ("test", 12)):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                seed = 1000 * shift + 100 * (part == "test") + number
                suffix = "png" if colour == "blue" else "jpg"
                picture(seed, COLOURS[colour]).save(folder / f"{number:02}.{suffix}", quality=95)
    blue, red = (root / "train" / name for name in NAMES)
    shutil.copy(blue / "00.png", root / "test" / NAMES[0] / "copy.png")  # a leak
    shutil.copy(blue / "01.png", red / "other.png")  # a contradiction
    picture(9999, COLOURS["red"]).save(blue / "flipped.png")  # a label error
    (red / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    Image.fromarray(np.full((64, 64, 3), 3, dtype=np.uint8)).save(blue / "empty.png")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that the tests share."""
    return tmp_path_factory.mktemp("check-cache")


def options(cache: Path, **values: object) -> CheckOptions:
    """Return options that use a tiny network."""
    return CheckOptions.of(cache=cache, backbone=TINY, weights="random", **values)


def test_each_fault_is_found(faulty: Path, cache: Path) -> None:
    """By name; what is written about it is in the JSON as well."""
    record = run_check(faulty, options(cache), SilentWatcher()).record
    train, test = f"train/{NAMES[0]}", f"test/{NAMES[0]}"
    assert record.leaks == ((f"{train}/00.png", f"{test}/copy.png"),)
    (copies,) = record.duplicates
    assert [(one.split, one.exact) for one in copies.images] == [("test", False), ("train", True)]
    (conflict,) = record.conflicts
    assert set(conflict.names) == {f"{train}/01.png", f"train/{NAMES[1]}/other.png"}
    assert conflict.labels == tuple(sorted(NAMES))
    assert f"train/{NAMES[1]}/broken.jpg" in {one.image for one in record.rejected}
    odd = {one.kind: one.images for one in record.oddities}
    assert odd["empty"] == (f"{train}/empty.png",)
    found = [one.image for one in record.label_errors]
    assert f"{train}/flipped.png" in found
    shortcut = next(one for one in record.shortcuts if one.trait == "the file format")
    assert shortcut.of == "file"
    assert shortcut.accuracy > 0.95 > 0.6 > shortcut.baseline
    values = json.loads(json.dumps(record.to_json()))
    assert values["leaks"] == [[f"{train}/00.png", f"{test}/copy.png"]]
    assert {"image", "label", "suggested", "score"} <= set(values["label_errors"][0])
    assert any("file format alone tells" in sentence for sentence in record.findings)


def test_the_page_shows_the_pictures_and_no_name_is_markup(
    faulty: Path, cache: Path, tmp_path: Path
) -> None:
    """The page is one file; an existing one is not replaced without being asked."""
    page = tmp_path / "check.html"
    run_check(faulty, options(cache, report=page), SilentWatcher())
    text = page.read_text(encoding="utf-8")
    assert "<b>red" not in text
    assert "&lt;b&gt;red" in text
    assert text.count("data:image/jpeg;base64,") >= 4
    assert "http" not in text.replace("http-equiv", "")
    with pytest.raises(OutputError, match="already exists"):
        run_check(faulty, options(cache, report=page), SilentWatcher())


def test_a_plan_removes_the_faults_from_a_copy(faulty: Path, cache: Path, tmp_path: Path) -> None:
    """What is beyond doubt is proposed; the copy has no leak, and can be trained on."""
    plan, copy = tmp_path / "plan.csv", tmp_path / "copy"
    run_check(faulty, options(cache, plan=plan), SilentWatcher())
    applied = CheckOptions.of(cache=cache, apply=plan, out=copy)
    result = run_check(faulty, applied, SilentWatcher())
    assert result.applied is not None
    assert result.applied["drop"] == 4  # broken, the leak's copy, and both sides of a contradiction
    again = hs.open_images(copy / "images.csv", progress=False)
    assert (again.leaks, again.rejected) == ((), [])
    assert len(again.test) == 25  # The training copy of the leak is dropped.
    assert result.to_json()["out"] == str(copy)


def test_without_label_errors_no_network_is_loaded(
    faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is found all the same."""
    monkeypatch.setattr("headstart.commands.check.load_backbone", None)
    values = CheckOptions.of(cache=tmp_path, no_label_errors=True)
    record = run_check(faulty, values, SilentWatcher()).record
    assert record.label_errors == ()
    assert record.accuracy is None
    assert record.leaks


def test_too_few_images_to_look_for_label_errors(tmp_path: Path) -> None:
    """One image of each class: what can be checked is, and the rest is named."""
    for number, name in enumerate(("a", "b", "c")):
        (tmp_path / "few" / name).mkdir(parents=True)
        picture(number).save(tmp_path / "few" / name / "1.png")
    with pytest.warns(HeadstartWarning, match="Label errors were not looked for"):
        record = hs.check(
            tmp_path / "few", cache=tmp_path, progress=False, backbone=TINY, weights="random"
        )
    assert [one.name for one in record.few] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"out": Path("copy")}, "without --apply"),
        ({"apply": Path("plan.csv")}, "without --out"),
        ({"overwrite": True}, "without --report or --plan"),
        ({"no_label_errors": True, "backbone": "resnet50"}, "with --no-label-errors"),
        ({"test": 0.3}, "all images are checked"),
    ],
)
def test_options_without_an_effect_are_errors(values: dict[str, object], message: str) -> None:
    """Before the data is opened."""
    with pytest.raises(OptionError, match=message):
        run_check("nowhere", CheckOptions.of(**values), SilentWatcher())


def test_several_labels_per_image(tmp_path: Path, cache: Path) -> None:
    """Each label is examined by itself, and a relabelled copy keeps what is unknown."""
    rows = ["path,sky,sea"]
    for number in range(40):
        sky = number % 2
        picture(number, COLOURS["blue" if sky else "red"]).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{sky},{'' if number == 3 else int(number % 4 == 0)}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    plan = tmp_path / "plan.csv"
    values = options(cache, labels="sky,sea", plan=plan)
    record = run_check(tmp_path / "t.csv", values, SilentWatcher()).record
    assert record.task == "multi"
    assert record.imbalance is None
    plan.write_text("image,action,new_label\n3.png,relabel,sky\n1.png,drop,\n")
    copy = CheckOptions.of(cache=cache, labels="sky,sea", apply=plan, out=tmp_path / "copy")
    run_check(tmp_path / "t.csv", copy, SilentWatcher())
    lines = (tmp_path / "copy" / "images.csv").read_text().splitlines()
    assert lines[0] == "path,sea,sky"
    assert len(lines) == 40
    assert "images/3.png,,1" in lines


def test_copies_of_images_with_boxes(tmp_path: Path) -> None:
    """They are shown with their boxes, and a copy of half the size has the same ones."""
    made = scenes(8, size=(192, 144))
    table = write_csv(tmp_path / "data", made)
    rows = table.read_text().splitlines()
    first, second, third = list(made)[:3]
    shutil.copy(tmp_path / "data" / first, tmp_path / "data/copy.png")
    shutil.copy(tmp_path / "data" / second, tmp_path / "data/other.png")
    made[third].image.resize((96, 72)).save(tmp_path / "data/half.png")
    rows += [row.replace(first, "copy.png") for row in rows if row.startswith(first)]
    rows.append("other.png,1,1,9,9,disc")
    for box in made[third].boxes:
        rows.append(",".join(["half.png", *(str(side / 2) for side in box.corners), box.label]))
    split = ["split"] + ["test" if "copy" in row else "train" for row in rows[1:]]
    lines = [f"{row},{part}" for row, part in zip(rows, split, strict=True)]
    table.write_text("\n".join(lines) + "\n")
    page = tmp_path / "page.html"
    given = CheckOptions.of(cache=tmp_path / "cache", report=page)
    record = run_check(table, given, SilentWatcher()).record
    assert record.leaks == ((first, "copy.png"),)
    assert f"1 ('{first}', 'copy.png'). Test scores are optimistic." in " ".join(record.warnings)
    assert {one.names for one in record.duplicates} == {("copy.png", first), (third, "half.png")}
    (conflict,) = record.conflicts
    assert set(conflict.names) == {second, "other.png"}
    assert "disc (1, 1, 9, 9)" in conflict.labels
    assert "disc (1, 1, 9, 9)" in page.read_text()
