"""Opening a data set: images are checked and split, and the user is warned of problems."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.data.images import Images
from headstart.errors import DataError, OptionError
from headstart.options import DecodeLimits
from tests.conftest import TASK, picture
from tests.data.opened import open_images


@pytest.fixture
def open_data(tmp_path: Path) -> Callable[..., Images]:
    """Return `open_images` with a temporary staging folder."""
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
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """Every image is on one side of the split, and classes are sorted."""
    images = open_data(make_folder(20, ("red", "blue")))
    assert (images.name, images.classes) == ("photos", ("blue", "red"))
    assert len(images.all) == 40
    assert (images.rejected, images.warnings, images.leaks) == ([], (), ())
    assert sorted(images.train.names + images.test.names) == sorted(images.all.names)
    assert set(images.train.labels) == set(images.test.labels) == {0, 1}
    assert len(images.val) == 0


def test_columns_of_an_image_set_have_the_same_order(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """Names, paths, labels and hashes are in the order of the images."""
    folder = make_folder(3)
    part = open_data(folder).all
    assert part.names == [f"{c}/{n:03d}.png" for c in ("blue", "red") for n in range(3)]
    assert part.paths == [str(folder / name) for name in part.names]
    assert part.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(set(part.sha256s)) == len(set(part.groups)) == len(part) == 6


def test_bad_files_are_rejected_and_the_rest_is_used(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
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
    images = open_data(folder)
    reasons = dict(images.rejected)
    assert reasons.pop("blue/half.png").startswith("it is damaged (")
    assert reasons == {
        "blue/caf\\xe9.png": "its name is not valid UTF-8; rename it",
        "blue/gone.png": "the file does not exist",
        "red/empty.png": "the file is empty",
        "red/text.jpg": "it is not an image of a known format",
        "stray.png": "it is not in a class folder",
    }
    assert len(images.all) == 12
    assert images.manifest.num_rows == 18


def test_limits_are_applied(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """An image over the limit of pixels is rejected by name."""
    folder = make_folder(3)
    Image.new("RGB", (100, 100)).save(folder / "red" / "big.png")
    images = open_data(folder, limits=DecodeLimits(max_pixels=64 * 64))
    assert images.rejected == [
        ("red/big.png", "it has 10,000 pixels (100 x 100), more than the limit of 4,096")
    ]


def test_data_below_a_folder_that_is_not_utf8_is_an_error(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """The message names the folder in printable characters."""
    folder = save(tmp_path / os.fsdecode(b"caf\xe9"), "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    with pytest.raises(DataError, match="not valid UTF-8") as caught:
        open_data(folder)
    assert str(caught.value).isprintable()
    assert "caf\\xe9" in str(caught.value)


def test_names_of_255_bytes_are_accepted(tmp_path: Path, open_data: Callable[..., Images]) -> None:
    """Long file names work like any others."""
    long = "ä" * 125 + "x.png"
    images = open_data(save(tmp_path / "d", f"a/{long}", f"b/{long}"))
    assert images.all.names == [f"a/{long}", f"b/{long}"]


def test_nothing_usable_is_an_error(tmp_path: Path, open_data: Callable[..., Images]) -> None:
    """The message names the first image of each reason, and counts the others."""
    for name in ("1", "2", "3", "4"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "x.jpg").touch()
    with pytest.raises(DataError) as caught:
        open_data(tmp_path / "d")
    assert str(caught.value) == (
        f"'{tmp_path / 'd'}' has no usable images: all 4 were rejected. '1/x.jpg' and 3 more: the "
        "file is empty."
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_single_class_is_an_error(
    tmp_path: Path,
    make_folder: Callable[..., Path],
    open_data: Callable[..., Images],
    packed: bool,
) -> None:
    """A folder with one class is refused, and so is an archive of it."""
    data = make_folder(3, ("red",))
    if packed:
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            for file in data.rglob("*.png"):
                archive.write(file, file.relative_to(data))
        data = tmp_path / "d.zip"
    with pytest.raises(DataError) as caught:
        open_data(data)
    assert str(caught.value) == (
        f"'{data}' has only one class, 'red'. A classifier needs at least two."
    )


def test_a_class_with_one_image_is_used_for_training(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """The image is in the training part, and a warning says that the class is not tested."""
    folder = make_folder(10)
    save(folder, "odd/1.png", first=5000)
    images = open_data(folder)
    assert "odd/1.png" in images.train.names
    assert images.warnings == ("No test images of 'odd': its accuracy is not measured.",)


def test_conflicts_are_rejected_with_a_warning(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """All copies of an image with two labels are rejected."""
    folder = make_folder(8)
    (folder / "blue/copy.png").write_bytes((folder / "red/000.png").read_bytes())
    images = open_data(folder)
    reason = "copies of the image have different labels: blue and red"
    assert images.rejected == [("blue/copy.png", reason), ("red/000.png", reason)]
    assert images.warnings == (
        f"Images not used: 2. 'blue/copy.png' and 1 more: {reason}.",
        (
            "Images that are in the folders of several classes: 2. If an image may have several "
            "labels, pass --task multi."
        ),
    )


@pytest.mark.parametrize("seed", range(5))
def test_copies_stay_on_one_side(
    make_folder: Callable[..., Path], open_data: Callable[..., Images], seed: int
) -> None:
    """Exact and re-encoded copies of a training image are never test images."""
    folder = make_folder(8)
    for number in range(8):
        original = folder / f"red/{number:03d}.png"
        (folder / f"red/copy{number}.png").write_bytes(original.read_bytes())
        Image.open(original).save(folder / f"red/encoded{number}.jpg", quality=90)
    images = open_data(folder, seed=seed, test=0.5)
    assert images.warnings == ("Duplicates, each kept on the same side of the split: 16.",)
    tested = set(images.test.names)
    for number in range(8):
        names = (f"red/{number:03d}.png", f"red/copy{number}.png", f"red/encoded{number}.jpg")
        assert len({name in tested for name in names}) == 1
    assert not set(images.train.groups) & set(images.test.groups)


def test_flat_images_of_different_colour_are_different_images(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """Images of plain colours are not duplicates, so that some can be held out."""
    for label, first in (("dark", 0), ("light", 150)):
        (tmp_path / "d" / label).mkdir(parents=True)
        for step in range(10):
            level = first + step * 10
            Image.new("L", (32, 32), level).save(tmp_path / "d" / label / f"{step}.png")
    images = open_data(tmp_path / "d", test=0.5)
    assert len(set(images.test.labels.tolist())) == 2


def test_leaks_across_a_given_split_are_reported(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """The split is kept as given, and each duplicate that spans it is named."""
    names = [f"{part}/{c}/{n}.png" for part in ("train", "test") for c in "ab" for n in range(3)]
    folder = save(tmp_path / "d", *names)
    for number in range(2):
        original = folder / f"train/a/{number}.png"
        (folder / f"test/a/copy{number}.png").write_bytes(original.read_bytes())
    images = open_data(folder)
    assert images.leaks == (
        ("train/a/0.png", "test/a/copy0.png"),
        ("train/a/1.png", "test/a/copy1.png"),
    )
    assert images.warnings == (
        (
            "Groups or duplicates that span the given split: 2 "
            "('train/a/0.png', 'test/a/copy0.png'; 'train/a/1.png', 'test/a/copy1.png'). "
            "Test scores are optimistic."
        ),
    )
    assert all(name.startswith("train/") for name in images.train.names)
    assert all(name.startswith("test/") for name in images.test.names)


def test_a_given_split_is_kept_and_completed(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """Images without a split in the table are training images."""
    save(tmp_path, *(f"{number}.png" for number in range(6)))
    parts = ["train", "", "val", "test", "train", "test"]
    rows = [f"{number}.png,{'ab'[number % 2]},{part}" for number, part in enumerate(parts)]
    (tmp_path / "t.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    images = open_data(tmp_path / "t.csv")
    assert images.train.names == ["0.png", "1.png", "4.png"]
    assert images.val.names == ["2.png"]
    assert images.test.names == ["3.png", "5.png"]


def test_a_given_split_without_training_images_is_an_error(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """A table with only test images is refused."""
    save(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text("path,label,split\n1.png,a,test\n2.png,b,test\n")
    with pytest.raises(DataError) as caught:
        open_data(tmp_path / "t.csv")
    assert str(caught.value) == (
        f"'{tmp_path / 't.csv'}' has no usable training images: the given split assigns every "
        "usable image to another part."
    )


def test_classes_on_only_one_side_are_reported(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """There are warnings for classes without test images and classes without training images."""
    names = [f"train/{c}/1.png" for c in "abcdefg"] + ["test/a/2.png", "test/new/3.png"]
    assert open_data(save(tmp_path / "d", *names)).warnings == (
        ("No test images of 'b', 'c', 'd', 'e', 'f' and 1 more: their accuracy is not measured."),
        "No training images of 'new': it cannot be learnt.",
    )


def test_the_user_s_groups_stay_together(tmp_path: Path, open_data: Callable[..., Images]) -> None:
    """All images of a patient are on one side of the split, whatever their class."""
    names = [f"{c}/p{p}_{n}.png" for c in ("ill", "well") for p in range(12) for n in range(3)]
    images = open_data(save(tmp_path / "d", *names), group=r"/(p\d+)_", test=0.4)

    def patients(part: list[str]) -> set[str]:
        return {name.split("/")[1].split("_")[0] for name in part}

    assert not patients(images.train.names) & patients(images.test.names)
    assert patients(images.train.names + images.test.names) == {f"p{p}" for p in range(12)}
    assert len(images.test) > 0


def test_more_images_do_not_move_the_old_ones(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """New photos of the same classes leave the split of the old ones unchanged."""
    folder = make_folder(30)
    before = open_data(folder)
    save(folder, *(f"red/new{number}.png" for number in range(15)), first=9000)
    after = open_data(folder)
    assert len(after.all) == 75
    assert set(before.test.names) <= set(after.test.names)
    assert set(before.train.names) <= set(after.train.names)


def test_a_group_that_grows_stays_on_its_side(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """A new photo of a known patient does not move the patient to the other side."""
    names = [f"{c}/p{p}{c}_0.png" for c in ("ill", "well") for p in range(20)]
    folder = save(tmp_path / "d", *names)
    before = open_data(folder, group=r"(p\d+\w+)_", test=0.4)
    save(folder, *(name.replace("_0", "_1") for name in names), first=9000)
    after = open_data(folder, group=r"(p\d+\w+)_", test=0.4)
    assert set(before.test.names) <= set(after.test.names)
    assert set(before.train.names) <= set(after.train.names)


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_test_share_is_refused_if_the_data_has_a_split(
    tmp_path: Path, open_data: Callable[..., Images], kind: str
) -> None:
    """Data with its own split accepts no share, not even the default value."""
    names = [f"{part}/{label}/a.png" for part in ("train", "test") for label in ("blue", "red")]
    data = save(tmp_path / "d", *names)
    if kind == "table":
        rows = [f"d/{name},{name.split('/')[1]},{name.split('/')[0]}" for name in names]
        data = tmp_path / "d.csv"
        data.write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(OptionError) as caught:
        open_data(data, test=0.2)
    assert str(caught.value) == (
        f"--test 0.2 has no effect: '{data}' already has test images, by its folders or its "
        "split column. Omit --test, or remove that split."
    )
    assert len(open_data(data).test) == 2


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_test_share_is_held_out_of_the_training_part(
    tmp_path: Path, open_data: Callable[..., Images], kind: str
) -> None:
    """With train and val only, the share comes from train; val and copies of it stay there."""
    names = [f"train/{c}/{n}.png" for c in ("blue", "red") for n in range(20)]
    names += [f"val/{c}/{n}.png" for c in ("blue", "red") for n in range(5)]
    data = save(tmp_path / "d", *names)
    shutil.copy(data / "val/red/0.png", data / "train/red/copy.png")
    names.append("train/red/copy.png")
    if kind == "table":
        rows = [f"d/{name},{name.split('/')[1]},{name.split('/')[0]}" for name in names]
        data = tmp_path / "d.csv"
        data.write_text("\n".join(["path,label,split", *rows]))
    images, again = open_data(data, test=0.5), open_data(data, test=0.5)
    assert len(images.val) == 10 and all("val/" in name for name in images.val.names)
    assert all("train/" in name for name in images.test.names)
    assert 10 <= len(images.test) <= 30 and len(images.train) + len(images.test) == 41
    assert images.test.names == again.test.names
    assert any("copy" in name for name in images.train.names)
    assert images.understood[-1] == (
        "Test images: 50% of the training part, held out by Headstart."
    )
    assert not any("test images" in warning for warning in images.warnings)


def test_without_a_test_share_the_validation_part_is_reported(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """Data with train and val only is kept as it is, and the warning says how to test."""
    names = [f"{part}/{c}/{n}.png" for part in ("train", "val") for c in "ab" for n in range(3)]
    images = open_data(save(tmp_path / "d", *names))
    assert (len(images.train), len(images.val), len(images.test)) == (6, 6, 0)
    (warning,) = images.warnings
    assert warning == (
        "The data has no test images. train reports the result on the validation part instead; "
        "with --test 0.2, it holds out a fifth of the training part for testing."
    )


def test_advice_for_training_is_not_for_a_model(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """Data that is opened for a model, whose classes are known, is not split."""
    names = [f"{part}/{c}/{n}.png" for part in ("train", "val") for c in "ab" for n in range(3)]
    images = open_data(save(tmp_path / "d", *names), classes=("a", "b"))
    assert images.warnings == ()


def test_a_test_share_of_zero_holds_nothing_out(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """test=0 keeps every image for training, without a warning."""
    images = open_data(make_folder(5), test=0)
    assert (len(images.train), len(images.test)) == (10, 0)
    assert images.warnings == ()


def test_a_csv_of_missing_files_names_them(
    tmp_path: Path, open_data: Callable[..., Images]
) -> None:
    """Missing files and missing labels are rejected; the rest is used."""
    save(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text("path,label\n1.png,a\n2.png,b\ngone.png,a\n1.png,nan\n")
    images = open_data(tmp_path / "t.csv")
    assert images.all.names == ["1.png", "2.png"]
    assert images.rejected == [
        ("gone.png", f"the file '{tmp_path / 'gone.png'}' does not exist"),
        ("1.png", "its label is missing"),
    ]


def test_a_hugging_face_table_is_opened(tmp_path: Path, open_data: Callable[..., Images]) -> None:
    """Embedded images and class names are read, and a damaged image is named."""
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
    images = open_data(tmp_path / "t.parquet")
    assert images.classes == ("cat", "dog")
    assert images.all.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert images.rejected == [("bad.png", "it is not an image of a known format")]


def test_the_classes_of_a_trained_model_apply(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """Images of other classes are rejected, classes may be absent, and nothing is held out."""
    images = open_data(make_folder(2), classes=("red", "yellow"))
    assert images.classes == ("red", "yellow")
    assert images.all.labels.tolist() == [0, 0]
    assert images.rejected == [
        ("blue/000.png", "the model has no class blue"),
        ("blue/001.png", "the model has no class blue"),
    ]
    assert len(images.test) == 0


def test_the_same_data_gives_the_same_result(
    tmp_path: Path, make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """Opening a folder again, even after it was moved, gives the same split."""
    folder = make_folder(10)
    first, second = open_data(folder), open_data(folder)
    assert first.manifest.equals(second.manifest)
    moved = open_data(folder.rename(tmp_path / "elsewhere"))
    assert moved.test.names == first.test.names


def test_progress_counts_every_image(
    make_folder: Callable[..., Path], open_data: Callable[..., Images]
) -> None:
    """Progress is reported after each image, up to the number of images."""
    calls: list[tuple[int, int]] = []
    open_data(make_folder(4), progress=lambda done, count: calls.append((done, count)))
    assert calls == [(number, 8) for number in range(1, 9)]
