"""Whatever people's data looks like, it is read as they meant it, or refused with a reason."""

import csv
import io
import tempfile
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.data.sources import open_source
from headstart.errors import DataError

CLASSES = [
    "cat",
    "Dog",
    "Äpfel",
    "big cat",
    "007",
    "n-1",
    "Straße",
    "猫",
    "train",
    "test",
    "images",
]
TRAIN, VAL, TEST = (
    ["train", "Training_Set", "TRAIN"],
    ["val", "valid"],
    ["test", "test_set", "Test"],
)
EXTRAS = ["images to predict", "new", "unlabelled"]
HIDDEN = ["@eaDir", ".hidden", "__MACOSX", "$RECYCLE.BIN"]

Truth = dict[str, tuple[str, str | None]]
"""The class and the part of the split of each image, by the name of its file."""


@dataclass(frozen=True)
class Data:
    """Generated data.

    Attributes:
        files: Paths of image files; what is in them does not matter here.
        truth: What they mean; files that are not in it must not be used.
    """

    files: Sequence[str]
    truth: Truth


names_of_classes = st.lists(st.sampled_from(CLASSES), min_size=2, max_size=4, unique=True)
forms = st.sampled_from(["NFC", "NFD"])
names_of_parts = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"train": st.sampled_from(TRAIN), "test": st.sampled_from(TEST)}),
    st.fixed_dictionaries(
        {
            "train": st.sampled_from(TRAIN),
            "val": st.sampled_from(VAL),
            "test": st.sampled_from(TEST),
        }
    ),
    st.fixed_dictionaries({"train": st.sampled_from(TRAIN)}),
)


@st.composite
def folders(draw: st.DrawFn) -> Data:
    """Draw class folders, with or without those of a split around or in them."""
    classes, parts, form = draw(names_of_classes), draw(names_of_parts), draw(forms)
    order = draw(st.sampled_from(["split/class", "class/split"]))
    deep = draw(st.sampled_from(["", "more/", "a b/c/"]))
    if {"train", "test"} <= set(classes):
        deep = ""  # Otherwise they look exactly like a split.
    suffix = draw(st.sampled_from([".png", ".JPG", ".jpeg", ".Tif"]))
    around = draw(st.sampled_from(["", "photos/", "x/PetImages/"]))
    files, truth = [], {}
    for part, part_folder in (parts or {"": ""}).items():
        for name in classes:
            for _ in range(draw(st.integers(1, 2))):
                file = f"{len(files)}{suffix}"
                middle = [part_folder, unicodedata.normalize(form, name)]
                middle = middle if order == "split/class" else middle[::-1]
                files.append(around + "/".join(filter(None, middle)) + f"/{deep}{file}")
                truth[file] = (unicodedata.normalize("NFC", name), part or None)
    for extra in draw(st.lists(st.sampled_from(EXTRAS + HIDDEN), max_size=2, unique=True)):
        if parts or extra in HIDDEN:
            files.append(f"{around}{extra}/extra-{len(files)}.png")
    if draw(st.booleans()):
        files.append(f"{around}stray-{len(files)}.png")
    return Data(files, truth)


def meant(data: Data, found: Truth) -> bool:
    """Return whether data was read as it was meant; a train part alone is no split."""
    if {part for _, part in data.truth.values()} == {"train"}:
        return {name: label for name, (label, _) in found.items()} == {
            name: label for name, (label, _) in data.truth.items()
        } and {part for _, part in found.values()} <= {None, "train"}
    return found == data.truth


def read(path: Path, staging: Path) -> Truth | None:
    """Read data as every command does; None if it is refused with a reason."""
    try:
        source = open_source(path, staging=staging)
    except DataError as error:
        assert len(str(error)) > 20
        return None
    used = [entry for entry in source.entries if not entry.rejected]
    return {Path(entry.image).name: (entry.label or "", entry.split) for entry in used}


def write(folder: Path, files: Sequence[str]) -> None:
    """Create empty files."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def pack(folder: Path, files: Sequence[str], separator: str) -> Path:
    """Create a zip of empty files."""
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        for file in files:
            archive.writestr(file.replace("/", separator), b"")
    return folder / "data.zip"


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(folders(), st.sampled_from(["folder", "zip", "zip with backslashes"]))
def test_folders_and_archives(data: Data, kind: str) -> None:
    """Classes and splits are never others than those that were meant."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "data")
        path.mkdir()
        if kind == "folder":
            write(path, data.files)
        else:
            path = pack(path, data.files, "\\" if "back" in kind else "/")
        found = read(path, Path(temporary, "staging"))
        assert found is None or meant(data, found)


PATHS = ["path", "Image", "file_name", "filepath", "img"]
LABELS = ["label", "Class", "TARGET", "category"]
SPLITS = ["split", "Set", "subset", "phase"]
WORDS = {"train": ["train", "Training"], "val": ["val", "VALID"], "test": ["test", "testing"]}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Data, bytes]:
    """Draw a table in one of the forms that people have."""
    classes = draw(names_of_classes)
    words = {part: draw(st.sampled_from(names)) for part, names in WORDS.items()}
    kind = draw(st.sampled_from(["none", "names", "flag"]))
    parts = draw(st.permutations(["train", "test", "train", "val", "test", "train"]))
    slash, bare = draw(st.sampled_from("/\\")), draw(st.booleans())
    split = draw(st.sampled_from(SPLITS)) if kind == "names" else "is_test"
    rows = [[draw(st.sampled_from(PATHS)), draw(st.sampled_from(LABELS))]]
    rows[0] += [split] if kind != "none" else []
    files, truth = [], {}
    for number, part in enumerate(parts):
        name, label = f"{number}.png", classes[number % len(classes)]
        files.append(f"images/{name}")
        written = files[-1].replace("/", slash).removesuffix(".png" if bare else "")
        cells = {"none": [], "names": [words[part]], "flag": [str(part == "test")]}[kind]
        rows.append([written, label, *cells])
        given_part = {"none": None, "names": part, "flag": "test" if part == "test" else "train"}
        truth[Path(name).stem] = (label, given_part[kind])
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=draw(st.sampled_from(",;\t|"))).writerows(rows)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return Data(files, truth), buffer.getvalue().encode(encoding)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(tables())
def test_tables(drawn: tuple[Data, bytes]) -> None:
    """Columns, delimiters, encodings and paths are understood; no split is lost."""
    data, content = drawn
    with tempfile.TemporaryDirectory() as temporary:
        write(Path(temporary), data.files)
        table = Path(temporary, "table.csv")
        table.write_bytes(content)
        found = read(table, Path(temporary, "staging"))
        assert found is not None
        by_stem = {Path(name.replace("\\", "/")).stem: value for name, value in found.items()}
        assert by_stem == data.truth
