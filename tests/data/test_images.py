"""Opening a data set: from a path to checked, split images and what the user should know."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.data.images import Images, open_images
from headstart.errors import DataError, OptionError
from headstart.options import DecodeLimits
from tests.conftest import TASK, picture


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Images]:
    """Give `open_images` with a staging folder of its own."""
    return lambda data, **options: open_images(
        data, task=TASK, staging=tmp_path / "staging", **options
    )


def save(folder: Path, *names: str, first: int = 0) -> Path:
    """Save a different picture under each name."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(first + number).save(folder / name)
    return folder


def test_a_folder_is_opened_and_split(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """All images are on one side or the other, classes sorted."""
    images = opened(make_folder(20, ("red", "blue")))
    assert (images.name, images.classes) == ("photos", ("blue", "red"))
    assert len(images.all) == 40
    assert (images.rejected, images.warnings, images.leaks) == ([], (), ())
    assert sorted(images.train.names + images.test.names) == sorted(images.all.names)
    assert set(images.train.labels) == set(images.test.labels) == {0, 1}
    assert len(images.val) == 0


def test_an_image_set_s_columns_belong_together(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """Names, paths, labels and hashes are of the same images, in one order."""
    folder = make_folder(3)
    part = opened(folder).all
    assert part.names == [f"{c}/{n:03d}.png" for c in ("blue", "red") for n in range(3)]
    assert part.paths == [str(folder / name) for name in part.names]
    assert part.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(set(part.sha256s)) == len(set(part.groups)) == len(part) == 6


def test_bad_files_are_rejected_and_the_rest_is_used(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """Every file is either used or named with its reason."""
    folder = make_folder(6)
    good = (folder / "red/000.png").read_bytes()
    (folder / "red/text.jpg").write_text("hello")
    (folder / "red/empty.png").touch()
    (folder / "blue/gone.png").symlink_to(folder / "nothing.png")
    (folder / "blue/half.png").write_bytes(good[: len(good) // 2])
    (folder / "stray.png").write_bytes(good + b"\0")
    (folder / os.fsdecode(b"blue/caf\xe9.png")).write_bytes(good)
    images = opened(folder)
    reasons = dict(images.rejected)
    assert reasons.pop("blue/half.png").startswith("it is damaged (")
    assert reasons == {
        "blue/caf\\xe9.png": "its name is not valid UTF-8; rename it",
        "blue/gone.png": "the file does not exist",
        "red/empty.png": "the file is empty",
        "red/text.jpg": "it is not an image of a known format",
        "stray.png": "it lies beside the class folders, not in one of them",
    }
    assert len(images.all) == 12
    assert images.manifest.num_rows == 18


def test_limits_are_applied(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """An image over the limit of pixels is rejected by name."""
    folder = make_folder(3)
    Image.new("RGB", (100, 100)).save(folder / "red" / "big.png")
    images = opened(folder, limits=DecodeLimits(max_pixels=64 * 64))
    assert images.rejected == [("red/big.png", "100 x 100: more pixels than the limit of 4,096")]


def test_data_below_a_folder_that_is_not_utf8_is_an_error(
    tmp_path: Path, opened: Callable[..., Images]
) -> None:
    """A home folder in an old encoding is named in a text that can be printed."""
    folder = save(tmp_path / os.fsdecode(b"caf\xe9"), "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    with pytest.raises(DataError, match="not valid UTF-8") as caught:
        opened(folder)
    assert str(caught.value).isprintable()
    assert "caf\\xe9" in str(caught.value)


def test_names_of_250_characters_are_used(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """Long names are read like others."""
    long = "x" * 246 + ".png"
    images = opened(save(tmp_path / "d", f"a/{long}", f"b/{long}"))
    assert images.all.names == [f"a/{long}", f"b/{long}"]


def test_nothing_usable_is_an_error(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """It names the first three and counts all."""
    for name in ("1", "2", "3", "4"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "x.jpg").touch()
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "d")
    assert str(caught.value) == (
        f"'{tmp_path / 'd'}' holds no usable image: all 4 were rejected "
        "(1/x.jpg: the file is empty; 2/x.jpg: the file is empty; 3/x.jpg: the file is empty)."
    )


@pytest.mark.parametrize("packed", [False, True])
def test_one_class_only_is_an_error(
    tmp_path: Path,
    make_folder: Callable[..., Path],
    opened: Callable[..., Images],
    packed: bool,
) -> None:
    """There is nothing to tell apart, in a folder as in an archive of it."""
    data = make_folder(3, ("red",))
    if packed:
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            for file in data.rglob("*.png"):
                archive.write(file, file.relative_to(data))
        data = tmp_path / "d.zip"
    with pytest.raises(DataError) as caught:
        opened(data)
    assert str(caught.value) == (
        f"'{data}' has one class only, 'red'. There must be at least two to tell apart."
    )


def test_a_class_with_one_image_is_learnt_from(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """It stands in training, and the user is told that it is not measured."""
    folder = make_folder(10)
    save(folder, "odd/1.png", first=5000)
    images = opened(folder)
    assert "odd/1.png" in images.train.names
    assert images.warnings == ("No test image of 'odd': how well that is told is not measured.",)


def test_conflicts_are_rejected_and_told(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """An image under two labels is left out under both."""
    folder = make_folder(8)
    (folder / "blue/copy.png").write_bytes((folder / "red/000.png").read_bytes())
    images = opened(folder)
    reason = "copies of the image have different labels: blue and red"
    assert images.rejected == [("blue/copy.png", reason), ("red/000.png", reason)]
    assert images.warnings == (
        "Left out, because the same image stands under two labels: 2 images.",
    )


@pytest.mark.parametrize("seed", range(5))
def test_copies_stay_on_one_side(
    make_folder: Callable[..., Path], opened: Callable[..., Images], seed: int
) -> None:
    """Exact and re-encoded copies are never measured on when learnt from."""
    folder = make_folder(8)
    for number in range(8):
        original = folder / f"red/{number:03d}.png"
        (folder / f"red/copy{number}.png").write_bytes(original.read_bytes())
        Image.open(original).save(folder / f"red/encoded{number}.jpg", quality=90)
    images = opened(folder, seed=seed, test=0.5)
    assert images.warnings == ("Copies of other images, kept on one side of the split: 16.",)
    tested = set(images.test.names)
    for number in range(8):
        names = (f"red/{number:03d}.png", f"red/copy{number}.png", f"red/encoded{number}.jpg")
        assert len({name in tested for name in names}) == 1
    assert not set(images.train.groups) & set(images.test.groups)


def test_flat_images_of_different_colour_are_different_images(
    tmp_path: Path, opened: Callable[..., Images]
) -> None:
    """Plain colours are not copies of one another; there is a test part."""
    for label, first in (("dark", 0), ("light", 150)):
        (tmp_path / "d" / label).mkdir(parents=True)
        for step in range(10):
            level = first + step * 10
            Image.new("L", (32, 32), level).save(tmp_path / "d" / label / f"{step}.png")
    images = opened(tmp_path / "d", test=0.5)
    assert len(set(images.test.labels.tolist())) == 2


def test_leaks_across_a_given_split_are_told(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """The split stays as given, and each copy across it is named."""
    names = [f"{part}/{c}/{n}.png" for part in ("train", "test") for c in "ab" for n in range(3)]
    folder = save(tmp_path / "d", *names)
    for number in range(2):
        original = folder / f"train/a/{number}.png"
        (folder / f"test/a/copy{number}.png").write_bytes(original.read_bytes())
    images = opened(folder)
    assert images.leaks == (
        ("train/a/0.png", "test/a/copy0.png"),
        ("train/a/1.png", "test/a/copy1.png"),
    )
    assert images.warnings == (
        (
            "Groups or copies that the given split has torn apart: 2. "
            "What is measured on them is too good."
        ),
    )
    assert all(name.startswith("train/") for name in images.train.names)
    assert all(name.startswith("test/") for name in images.test.names)


def test_a_given_split_is_kept_and_completed(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """Images that a table puts nowhere are learnt from."""
    save(tmp_path, *(f"{number}.png" for number in range(6)))
    parts = ["train", "", "val", "test", "train", "test"]
    rows = [f"{number}.png,{'ab'[number % 2]},{part}" for number, part in enumerate(parts)]
    (tmp_path / "t.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    images = opened(tmp_path / "t.csv")
    assert images.train.names == ["0.png", "1.png", "4.png"]
    assert images.val.names == ["2.png"]
    assert images.test.names == ["3.png", "5.png"]


def test_a_given_split_without_training_images_is_an_error(
    tmp_path: Path, opened: Callable[..., Images]
) -> None:
    """There is nothing to learn from."""
    save(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text("path,label,split\n1.png,a,test\n2.png,b,test\n")
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "t.csv")
    assert str(caught.value) == f"'{tmp_path / 't.csv'}' has no usable image in its train part."


def test_classes_on_one_side_alone_are_told(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """A class that is never measured and one that is never learnt."""
    names = [f"train/{c}/1.png" for c in "abcdefg"] + ["test/a/2.png", "test/new/3.png"]
    assert opened(save(tmp_path / "d", *names)).warnings == (
        (
            "No test image of 'b', 'c', 'd', 'e', 'f' and 1 more: "
            "how well that is told is not measured."
        ),
        "No training image of 'new': it cannot be learnt.",
    )


def test_the_user_s_groups_stay_together(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """All images of a patient are on one side, in every class."""
    names = [f"{c}/p{p}_{n}.png" for c in ("ill", "well") for p in range(12) for n in range(3)]
    images = opened(save(tmp_path / "d", *names), group=r"/(p\d+)_", test=0.4)

    def patients(part: list[str]) -> set[str]:
        return {name.split("/")[1].split("_")[0] for name in part}

    assert not patients(images.train.names) & patients(images.test.names)
    assert patients(images.train.names + images.test.names) == {f"p{p}" for p in range(12)}
    assert len(images.test) > 0


def test_more_images_do_not_move_the_old_ones(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """A split survives new photos of the same classes."""
    folder = make_folder(30)
    before = opened(folder)
    save(folder, *(f"red/new{number}.png" for number in range(15)), first=9000)
    after = opened(folder)
    assert len(after.all) == 75
    assert set(before.test.names) <= set(after.test.names)
    assert set(before.train.names) <= set(after.train.names)


def test_a_group_that_grows_stays_on_its_side(
    tmp_path: Path, opened: Callable[..., Images]
) -> None:
    """A new photo of a known patient does not move the patient to the other side."""
    names = [f"{c}/p{p}{c}_0.png" for c in ("ill", "well") for p in range(20)]
    folder = save(tmp_path / "d", *names)
    before = opened(folder, group=r"(p\d+\w+)_", test=0.4)
    save(folder, *(name.replace("_0", "_1") for name in names), first=9000)
    after = opened(folder, group=r"(p\d+\w+)_", test=0.4)
    assert set(before.test.names) <= set(after.test.names)
    assert set(before.train.names) <= set(after.train.names)


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_share_has_no_effect_beside_a_split(
    tmp_path: Path, opened: Callable[..., Images], kind: str
) -> None:
    """Data with a split of its own takes no share, not even the default one if it is given."""
    names = [f"{part}/{label}/a.png" for part in ("train", "test") for label in ("blue", "red")]
    data = save(tmp_path / "d", *names)
    if kind == "table":
        rows = [f"d/{name},{name.split('/')[1]},{name.split('/')[0]}" for name in names]
        data = tmp_path / "d.csv"
        data.write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(OptionError) as caught:
        opened(data, test=0.2)
    assert str(caught.value) == (
        f"--test 0.2 has no effect: '{data}' says which images are for the test, by its folders "
        "or its split column. Leave --test out, or remove that split."
    )
    assert len(opened(data).test) == 2


def test_no_test_part_is_made_when_none_is_wanted(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """test=0 keeps every image for training, without a warning."""
    images = opened(make_folder(5), test=0)
    assert (len(images.train), len(images.test)) == (10, 0)
    assert images.warnings == ()


@pytest.mark.parametrize("test", [-0.1, 1.0, 1.5, float("nan")])
def test_an_impossible_share_is_an_error(opened: Callable[..., Images], test: float) -> None:
    """It says what is possible, before any file is touched."""
    with pytest.raises(OptionError) as caught:
        opened("nowhere", test=test)
    assert str(caught.value) == f"test must be at least 0 and below 1. Got {test}."


def test_a_csv_of_missing_files_names_them(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """Paths that lead nowhere and labels that are missing are rejected, the rest is used."""
    save(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text("path,label\n1.png,a\n2.png,b\ngone.png,a\n1.png,nan\n")
    images = opened(tmp_path / "t.csv")
    assert images.all.names == ["1.png", "2.png"]
    assert images.rejected == [
        ("gone.png", "the file does not exist"),
        ("1.png", "its label is missing"),
    ]


def test_a_hugging_face_table_is_opened(tmp_path: Path, opened: Callable[..., Images]) -> None:
    """Embedded images with named classes are used like files; a bad one is named."""
    save(tmp_path, *(f"{number}.png" for number in range(6)))
    cells = [
        {"bytes": (tmp_path / f"{number}.png").read_bytes(), "path": f"{number}.png"}
        for number in range(6)
    ]
    cells.append({"bytes": b"no image", "path": "bad.png"})
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table({"image": cells, "label": [0, 1, 0, 1, 0, 1, 0]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    images = opened(tmp_path / "t.parquet")
    assert images.classes == ("cat", "dog")
    assert images.all.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert images.rejected == [("bad.png", "it is not an image of a known format")]


def test_a_trained_model_s_classes_decide(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """Other labels are rejected, absent ones are no problem, and nothing is kept for a test."""
    images = opened(make_folder(2), classes=("red", "yellow"))
    assert images.classes == ("red", "yellow")
    assert images.all.labels.tolist() == [0, 0]
    assert images.rejected == [
        ("blue/000.png", "the model has no class blue"),
        ("blue/001.png", "the model has no class blue"),
    ]
    assert len(images.test) == 0


def test_the_same_data_gives_the_same_result(
    tmp_path: Path, make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """Opening twice, and opening a copy elsewhere, gives the same split."""
    folder = make_folder(10)
    first, second = opened(folder), opened(folder)
    assert first.manifest.equals(second.manifest)
    moved = opened(folder.rename(tmp_path / "elsewhere"))
    assert moved.test.names == first.test.names


def test_progress_counts_every_image(
    make_folder: Callable[..., Path], opened: Callable[..., Images]
) -> None:
    """It ends at the number of images."""
    calls: list[tuple[int, int]] = []
    opened(make_folder(4), progress=lambda done, count: calls.append((done, count)))
    assert calls == [(number, 8) for number in range(1, 9)]
