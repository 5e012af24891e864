"""The columns of a table are found by their usual names, and no split is ignored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from headstart.data.columns import Columns, choose_columns
from headstart.data.interpretation import Interpretation
from headstart.errors import DataError, OptionError

TABLE = Path("t.csv")


def choose(names: Sequence[str], group: str | None = None, **values: Sequence[str]) -> Columns:
    """Choose columns; the values of those that are not named are many."""
    interpretation = Interpretation(group=group)
    return choose_columns(TABLE, names, interpretation, values=lambda name: values.get(name, ()))


@pytest.mark.parametrize("name", ["path", "Image", "file_name", "FILEPATH", "img", "Image ID"])
def test_images(name: str) -> None:
    """Case, spaces and underscores do not matter."""
    assert choose([name, "label"]).image == name


@pytest.mark.parametrize("name", ["label", "Class", "target", "CATEGORY", "class_name"])
def test_labels(name: str) -> None:
    """Case, spaces and underscores do not matter."""
    assert choose(["path", name]).labels == (name,)


@pytest.mark.parametrize("name", ["group", "patient_id", "PatientID", "Subject", "patient"])
def test_groups(name: str) -> None:
    """Patients and subjects must stay on one side of a split."""
    assert choose(["path", "label", name]).group == name


def test_path_is_preferred() -> None:
    """Among several columns for the image, the first of the known names is taken."""
    assert choose(["filename", "img", "path", "label"]).image == "path"


def test_label_is_preferred() -> None:
    """Other columns that may be labels are unused then."""
    columns = choose(["path", "class", "label", "width"])
    assert (columns.labels, columns.unused) == (("label",), ("class", "width"))


def test_ambiguous_labels_are_an_error() -> None:
    """Headstart does not choose between two."""
    with pytest.raises(DataError) as caught:
        choose(["path", "class", "category"])
    assert str(caught.value) == (
        "Table 't.csv' has several columns that may be the label: class, category. "
        "Rename the right one to 'label'."
    )


@pytest.mark.parametrize("name", ["split", "Set", "subset", "PARTITION", "data_split"])
def test_splits(name: str) -> None:
    """A column of the names of parts."""
    columns = choose(["path", "label", name])
    assert columns.split == {name: None}
    assert [columns.split_of({name: cell}) for cell in ("Train", "valid", "TEST", None)] == [
        "train",
        "val",
        "test",
        None,
    ]


def test_a_split_is_found_by_its_values() -> None:
    """Whatever the column is called."""
    columns = choose(["path", "label", "phase"], phase=["test", "train"])
    assert columns.split == {"phase": None}


@pytest.mark.parametrize("values", [["first", "second"], ["train"], ["test", "control"], []])
def test_other_values_are_not_a_split(values: list[str]) -> None:
    """A column such as `phase` may mean something else."""
    columns = choose(["path", "label", "phase"], phase=values)
    assert (columns.split, columns.unused) == ({}, ("phase",))


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ({"is_valid": ("True", "False", "1", "no", "")}, ["val", "train", "val", "train", None]),
        ({"is_test": ("0", "1"), "is_valid": ("1", "0")}, ["val", "test"]),
        ({"isTrain": ("true", "false")}, ["train", "test"]),
    ],
)
def test_flags(rows: Mapping[str, Sequence[str]], parts: list[str | None]) -> None:
    """Columns of true and false mark the images of a part."""
    columns = choose(["path", "label", *rows])
    cells = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    assert [columns.split_of(row) for row in cells] == parts


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"is_test": "maybe", "is_valid": "0"}, "'maybe' in is_test is neither true nor false"),
        ({"is_test": "1", "is_valid": "1"}, "it is marked as test and as val"),
    ],
)
def test_flags_that_are_not_understood(row: Mapping[str, str], problem: str) -> None:
    """A contradiction is an error."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        choose(["path", "label", "is_test", "is_valid"]).split_of(row)


def test_folds_are_refused() -> None:
    """The message says what to do."""
    with pytest.raises(DataError, match=r"numbers the folds of a cross-validation.*'split'"):
        choose(["path", "label", "Fold"])


def test_folds_beside_a_split_are_unused() -> None:
    """The split is clear."""
    assert choose(["path", "label", "fold", "split"]).unused == ("fold",)


@pytest.mark.parametrize("name", ["split_v2", "train_test_split", "TestSet", "my partition"])
def test_a_column_that_looks_like_a_split_is_an_error(name: str) -> None:
    """It is never ignored."""
    with pytest.raises(DataError) as caught:
        choose(["path", "label", name])
    assert str(caught.value) == (
        f"The column '{name}' of 't.csv' looks like a split. Rename it to 'split' and use the "
        "values train, val and test, or remove it."
    )


@pytest.mark.parametrize("name", ["folder", "test_date", "splitting", "latest"])
def test_a_column_that_only_sounds_like_a_split_is_unused(name: str) -> None:
    """Words count, not letters."""
    assert choose(["path", "label", name]).unused == (name,)


@pytest.mark.parametrize("values", [["PublicTest", "Training"], ["eval", "test", "train"]])
def test_values_of_a_split_that_are_not_understood_are_an_error(values: list[str]) -> None:
    """A training part beside them says that it is a split."""
    with pytest.raises(DataError) as caught:
        choose(["path", "label", "usage"], usage=values)
    assert str(caught.value) == (
        f"The column 'usage' of 't.csv' looks like a split, but has the value '{values[0]}'. "
        "Rename it to 'split' and use the values train, val and test, or remove it."
    )


@pytest.mark.parametrize("name", ["in_test_set", "forTraining", "test_flag"])
def test_flags_of_unusual_names_are_an_error(name: str) -> None:
    """A column of true and false that names a part is not ignored."""
    with pytest.raises(DataError, match=f"^The column '{name}' of 't.csv' looks like a split. Re"):
        choose(["path", "label", name], **{name: ["0", "1"]})


@pytest.mark.parametrize("names", [("set", "subset"), ("subset", "is_test")])
def test_two_names_of_a_split_are_an_error(names: Sequence[str]) -> None:
    """Unless one of them is `split`."""
    with pytest.raises(DataError, match="several columns that may be its split"):
        choose(["path", "label", *names])
    assert choose(["path", "label", *names, "split"]).split == {"split": None}


def test_two_groups_are_an_error() -> None:
    """Unless one of them is `group`, or is named."""
    names = ["path", "label", "patient_id", "subject"]
    with pytest.raises(DataError) as caught:
        choose(names)
    assert str(caught.value) == (
        "Table 't.csv' has several columns that may be the groups: patient_id, subject. Pass "
        "--group 'patient_id', for example."
    )
    assert choose([*names, "Group"]).group == "Group"
    assert choose(names, group="subject").group == "subject"


def test_columns_without_a_name_are_skipped() -> None:
    """Spreadsheets and pandas write them."""
    assert choose(["", "", "path", "label"]).unused == ()


def test_a_missing_header_is_an_error() -> None:
    """The first image is not taken for the name of a column."""
    with pytest.raises(DataError) as caught:
        choose(["im/0.png", "cat"])
    assert str(caught.value) == (
        "Table 't.csv' has no line with the names of its columns. Insert a first line such as "
        "'path,label'."
    )


def test_two_splits_are_an_error() -> None:
    """Headstart does not choose between two."""
    with pytest.raises(DataError, match="several columns that may be its split: is_test, phase"):
        choose(["path", "label", "is_test", "phase"], phase=["test", "train"])


def test_the_group_option_ignores_case() -> None:
    """It names a column."""
    assert choose(["path", "label", "Patient"], group="patient").group == "Patient"


def test_an_unknown_group_is_an_error() -> None:
    """The message lists the columns."""
    with pytest.raises(OptionError, match="It has: path, label"):
        choose(["path", "label"], group="patient")


@pytest.mark.parametrize(
    ("name", "guessed"),
    [
        ("patient_no", True),
        ("CaseID", True),
        ("Study UID", True),
        ("patient_age", False),
        ("number", False),
        ("notes", False),
    ],
)
def test_a_column_that_may_be_groups(name: str, guessed: bool) -> None:
    """An unused column that identifies a subject may be groups, unless there are groups."""
    assert choose(["path", "label", name]).guessed_group == (name if guessed else None)
    assert choose(["path", "label", "group", name]).guessed_group is None
