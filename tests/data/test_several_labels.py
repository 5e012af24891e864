"""Tables and folders of images with several labels each, in every form that is read."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.labels import read_labels
from headstart.data.listing import Source
from headstart.data.sources import open_source
from headstart.errors import DataError, OptionError
from tests.conftest import picture

AUTO, MULTI, SINGLE = Labelling(), Labelling("multi"), Labelling("single")


def read(path: Path, labelling: Labelling = AUTO) -> Source:
    """Open a source whose images exist; tables name them by numbers."""
    for number in range(1, 7):
        (path.parent / str(number)).touch()
    return open_source(path, path.parent / "staging", Interpretation(labelling))


def csv(tmp_path: Path, text: str, *labelling: Labelling, **options) -> Source:
    """Read a CSV file of images with the names 1 to 6."""
    (tmp_path / "t.csv").write_text(text)
    return read(tmp_path / "t.csv", *labelling, **options)


def parquet(
    tmp_path: Path, labels: pa.Array, feature: object = None, column: str = "labels", **options
) -> Source:
    """Read a Parquet file with labels of a type, and with what Hugging Face says about them."""
    table = pa.table({"path": [str(row + 1) for row in range(len(labels))], column: labels})
    if feature is not None:
        info = json.dumps({"info": {"features": {column: feature}}})
        table = table.replace_schema_metadata({"huggingface": info})
    pq.write_table(table, tmp_path / "t.parquet")
    return read(tmp_path / "t.parquet", **options)


def labels(source: Source) -> list[dict[str, bool | None]]:
    """Return the labels of each image."""
    assert source.task == "multi"
    return [read_labels(entry.label or "") for entry in source.entries]


def present(source: Source) -> list[list[str]]:
    """Return the labels that are present in each image; no others are known."""
    found = labels(source)
    assert all(value is True for each in found for value in each.values())
    return [list(each) for each in found]


# A column 'labels' -----------------------------------------------------------------------------


def test_labels_are_separated_in_a_cell(tmp_path: Path) -> None:
    """Spaces and empty parts do not matter; an empty cell is an image without labels."""
    source = csv(tmp_path, "path,Labels\n1,b|a\n2,\n3, c | a |\n4,NaN\n")
    assert present(source) == [["a", "b"], [], ["a", "c"], []]
    assert source.several == "'Labels'"
    assert source.understood == ("Columns: images from 'path', labels from 'Labels'.",)
    assert source.warnings == ()
    assert not any(entry.rejected for entry in source.entries)


@pytest.mark.parametrize("separator", [";", ",", " / "])
def test_the_separator_is_an_option(tmp_path: Path, separator: str) -> None:
    """Any text may separate labels."""
    text = f'path,labels\n1,"b{separator}a"\n2,c\n'
    labelling = Labelling(label_separator=separator)
    assert present(csv(tmp_path, text, labelling)) == [["a", "b"], ["c"]]


def test_one_label_per_image_is_read_from_the_column_labels_if_the_user_says_so(
    tmp_path: Path,
) -> None:
    """With --task single, its name does not matter."""
    source = csv(tmp_path, "path,labels\n1,a\n2,b\n", SINGLE)
    assert (source.task, [entry.label for entry in source.entries]) == ("single", ["a", "b"])


def test_several_labels_in_a_cell_are_not_one(tmp_path: Path) -> None:
    """They are no class of their own."""
    with pytest.raises(DataError) as caught:
        csv(tmp_path, "path,labels\n1,a\n2,a|b\n", SINGLE)
    assert str(caught.value) == (
        f"The column 'labels' of '{tmp_path / 't.csv'}' has several labels in a cell, such as "
        "'a|b'. Pass --task multi."
    )


def test_label_and_labels_are_ambiguous(tmp_path: Path) -> None:
    """The user chooses between one label and several."""
    text = "path,label,labels\n1,x,a|b\n2,y,b\n"
    with pytest.raises(DataError) as caught:
        csv(tmp_path, text)
    assert str(caught.value) == (
        f"Table '{tmp_path / 't.csv'}' has the columns 'label' and 'labels'. Pass --task single to "
        "use 'label', or --task multi to use 'labels'."
    )
    assert present(csv(tmp_path, text, MULTI)) == [["a", "b"], ["b"]]
    assert [entry.label for entry in csv(tmp_path, text, SINGLE).entries] == ["x", "y"]


def test_lists_of_python_in_a_cell_are_an_error(tmp_path: Path) -> None:
    """pandas writes lists so; each would be a label of its own."""
    with pytest.raises(DataError) as caught:
        csv(tmp_path, "path,labels\n1,a\n2,\"['a', 'b']\"\n")
    assert str(caught.value) == (
        f"The labels ['a', 'b'] in row 2 of '{tmp_path / 't.csv'}' are written as a list of "
        "Python. Write them as a|b."
    )


def test_json_lines(tmp_path: Path) -> None:
    """Lists are lists; a missing list is an image without labels, and text is separated."""
    rows = [{"path": "1", "labels": ["b", "a|c"]}, {"path": "2", "labels": []}, {"path": "3"}]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert present(read(path)) == [["a|c", "b"], [], []]
    path.write_text('{"path": "1", "labels": "a|b"}')
    assert present(read(path)) == [["a", "b"]]


# Lists in Parquet ------------------------------------------------------------------------------

NAMES = {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"}


@pytest.mark.parametrize("column", ["labels", "label"])
@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())])
def test_lists_of_text(tmp_path: Path, column: str, kind: pa.DataType) -> None:
    """Lists are several labels, whatever the column is called. A null is no label."""
    cells = pa.array([["b", "a"], [], None, ["a", None]], kind)
    assert present(parquet(tmp_path, cells, column=column)) == [["a", "b"], [], [], ["a"]]


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": NAMES, "_type": "Sequence"},
        {"feature": NAMES, "length": -1, "_type": "List"},
        [NAMES],
    ],
)
@pytest.mark.parametrize("column", ["labels", "label"])
def test_lists_of_class_numbers(tmp_path: Path, feature: object, column: str) -> None:
    """The names are in the metadata, in the forms of several versions of `datasets`."""
    source = parquet(tmp_path, pa.array([[2, 0, 2], [], [1]]), feature, column)
    assert present(source) == [["cat", "owl"], [], ["dog"]]


def test_a_number_that_is_not_a_class_is_rejected(tmp_path: Path) -> None:
    """Only the image with it."""
    source = parquet(tmp_path, pa.array([[0], [3, 1]]), {"feature": NAMES, "_type": "List"})
    assert [entry.rejected for entry in source.entries] == [
        None,
        "its label 3 is not one of the table's classes",
    ]


def test_a_class_label_in_the_column_labels_is_one_label(tmp_path: Path) -> None:
    """Some data sets of Hugging Face with one label per image call it so."""
    source = parquet(tmp_path, pa.array([1, 0]), NAMES)
    assert (source.task, [entry.label for entry in source.entries]) == ("single", ["dog", "cat"])
    assert present(parquet(tmp_path, pa.array([1, 0]), NAMES, labelling=MULTI)) == [
        ["dog"],
        ["cat"],
    ]


def test_lists_of_numbers_without_names(tmp_path: Path) -> None:
    """The numbers are the names; a list with a value for each label is noticed."""
    assert present(parquet(tmp_path, pa.array([[7, 3], [3]]))) == [["3", "7"], ["3"]]
    with pytest.raises(DataError, match=r"^The list in 'labels' in row 2 of .* same number twice"):
        parquet(tmp_path, pa.array([[0, 1], [0, 0]]))


@pytest.mark.parametrize(
    "cells", [[[0.5, 1.0]], [[True, False]], [[{"label": "a"}]], [{"label": "a"}], [[["a"]]]]
)
def test_other_types_are_an_error(tmp_path: Path, cells: list[object]) -> None:
    """Probabilities, flags and structures are not lists of labels."""
    with pytest.raises(DataError, match=r"^The cells of 'labels' in .* are of the type "):
        parquet(tmp_path, pa.array(cells))


def test_files_of_the_parts_of_a_split(tmp_path: Path) -> None:
    """All Parquet files of a folder have their labels in the same form."""
    for name, cells in (("train", [["a"], ["a", "b"]]), ("test", [["b"]])):
        paths = [str(tmp_path / str(number)) for number in range(len(cells))]
        pq.write_table(pa.table({"path": paths, "labels": cells}), tmp_path / f"{name}.parquet")
    source = read(tmp_path)
    assert [entry.split for entry in source.entries] == ["test", "train", "train"]
    assert present(source) == [["b"], ["a"], ["a", "b"]]
    pq.write_table(pa.table({"path": ["1"], "label": ["b"]}), tmp_path / "test.parquet")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"The tables of '{tmp_path}' differ in where their labels are: compare 'test.parquet' and "
        "'train.parquet'."
    )


# A column for each label -----------------------------------------------------------------------

COLUMNS = "path,finding_mass,finding_edema,age\n1,1,0,63\n2,,-1,40\n3,yes,False,51\n4,1.0,NaN,3\n"


@pytest.mark.parametrize(
    "named", ["finding_*", "finding_mass, finding_edema", "FINDING_MASS,*_e?*"]
)
def test_a_column_for_each_label(tmp_path: Path, named: str) -> None:
    """Columns keep their full names; blank is unknown, and so is uncertain."""
    source = csv(tmp_path, COLUMNS, Labelling(labels=named))
    assert labels(source) == [
        {"finding_edema": False, "finding_mass": True},
        {"finding_edema": None, "finding_mass": None},
        {"finding_edema": False, "finding_mass": True},
        {"finding_edema": None, "finding_mass": True},
    ]
    assert source.several == "'finding_mass', 'finding_edema'"
    assert source.understood == (
        "Columns: images from 'path', labels from 'finding_mass', 'finding_edema'.",
        "Unused columns: age.",
        "Uncertain values: 1, taken as unknown.",
    )


@pytest.mark.parametrize(
    ("uncertain", "value"), [("unknown", None), ("present", True), ("absent", False)]
)
def test_uncertain_values(tmp_path: Path, uncertain: str, value: bool | None) -> None:
    """The user says what -1 means."""
    labelling = Labelling(labels="a", uncertain=uncertain)
    source = csv(tmp_path, "path,a\n1,-1\n2,-1.0\n3,1\n", labelling)
    assert [each["a"] for each in labels(source)] == [value, value, True]
    assert source.understood[-1] == f"Uncertain values: 2, taken as {uncertain}."


def test_columns_of_numbers_and_flags(tmp_path: Path) -> None:
    """In Parquet, values have types."""
    table = pa.table(
        {
            "path": ["1", "2", "3"],
            "a": [1, 0, None],
            "b": [True, False, None],
            "c": [1.0, -1.0, None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    source = read(tmp_path / "t.parquet", Labelling(labels="a,b,c"))
    assert labels(source) == [
        {"a": True, "b": True, "c": True},
        {"a": False, "b": False, "c": None},
        {"a": None, "b": None, "c": None},
    ]


def test_another_value_is_an_error(tmp_path: Path) -> None:
    """The message has the row and the column."""
    with pytest.raises(DataError) as caught:
        csv(tmp_path, "path,a,b\n1,1,0\n2,1,maybe\n", Labelling(labels="a,b"))
    assert str(caught.value) == (
        f"The value 'maybe' of 'b' in row 2 of '{tmp_path / 't.csv'}' is not understood. Use 1 or "
        "yes (present), 0 or no (absent), blank (unknown) or -1 (uncertain), or name the columns "
        "of the labels with --labels."
    )


def test_a_pattern_matches_no_column_of_another_meaning(tmp_path: Path) -> None:
    """Image, split and group are never labels; a column 'label' is unused."""
    text = "path,label,split,patient,a,b\n1,x,train,p,1,0\n2,y,test,q,0,1\n"
    source = csv(tmp_path, text, Labelling(labels="*"))
    assert [sorted(each) for each in labels(source)] == [["a", "b"]] * 2
    assert [(entry.split, entry.group) for entry in source.entries] == [
        ("train", "p"),
        ("test", "q"),
    ]


def test_flags_named_as_labels_are_not_a_split(tmp_path: Path) -> None:
    """A column that would otherwise look like a part of the split may be a label."""
    source = csv(tmp_path, "path,test_positive\n1,1\n2,0\n", Labelling(labels="test_*"))
    assert labels(source) == [{"test_positive": True}, {"test_positive": False}]
    assert source.splits == set()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("a,edma", "--labels 'edma' matches no column of '{}'. Did you mean 'edema'? It has: "),
        ("x_*", "--labels 'x_*' matches no column of '{}'. It has: 'path', 'edema', 'a'."),
        (",", "--labels ',' names no column. Pass names, separated by commas."),
        ("path", "--labels names 'path', which is the column of the images of '{}'."),
    ],
)
def test_names_of_no_labels_are_an_error(tmp_path: Path, named: str, message: str) -> None:
    """What the user names must be columns."""
    with pytest.raises(OptionError) as caught:
        csv(tmp_path, "path,edema,a\n1,1,0\n", Labelling(labels=named))
    assert str(caught.value).startswith(message.format(tmp_path / "t.csv"))


def test_a_column_with_a_comma_in_its_name(tmp_path: Path) -> None:
    """The whole text is looked for first."""
    source = csv(tmp_path, 'path,"mass, left"\n1,1\n', Labelling(labels="mass, left"))
    assert labels(source) == [{"mass, left": True}]


# A row for each label --------------------------------------------------------------------------


def test_the_rows_of_an_image_are_merged(tmp_path: Path) -> None:
    """With --task multi; a row without a label adds none."""
    text = "path,label\n1,a\n2,c\n1,b\n3,\n1,a\n"
    source = csv(tmp_path, text, MULTI)
    assert [entry.image for entry in source.entries] == ["1", "2", "3"]
    assert present(source) == [["a", "b"], ["c"], []]
    assert source.understood[-1] == "Rows: 5, for 3 images."
    single = csv(tmp_path, text)
    assert (single.task, len(single.entries)) == ("single", 5)
    (warning,) = single.warnings
    assert warning == (
        "Images with different labels in several rows: 1. If an image may have several labels, "
        "pass --task multi."
    )
    assert csv(tmp_path, text, SINGLE).warnings == ()


def test_a_row_for_each_image_needs_no_merging(tmp_path: Path) -> None:
    """With --task multi, a column 'label' may also have several labels in a cell."""
    source = csv(tmp_path, "path,label\n1,a|b\n2,c\n", MULTI)
    assert present(source) == [["a", "b"], ["c"]]
    assert source.understood == ("Columns: images from 'path', labels from 'label'.",)


def test_rows_of_an_image_in_different_parts_are_rejected(tmp_path: Path) -> None:
    """It is unclear where the image belongs; a missing file is rejected row by row."""
    text = (
        "path,label,split,group\n1,a,train,g\n1,b,test,g\n2,a,train,g\n2,b,train,h\n"
        "gone,a,train,\ngone,b,train,\n"
    )
    source = csv(tmp_path, text, MULTI)
    assert [(entry.image, entry.rejected) for entry in source.entries] == [
        ("1", "its rows are in different parts of the split"),
        ("2", "its rows are in different groups"),
        *[("gone", f"the file '{tmp_path / 'gone'}' does not exist")] * 2,
    ]


def test_repeated_rows_of_lists_are_not_merged(tmp_path: Path) -> None:
    """Each has all labels of the image; whether they agree is checked later."""
    source = csv(tmp_path, "path,labels\n1,a|b\n1,a\n", MULTI)
    assert present(source) == [["a", "b"], ["a"]]


# Folders ---------------------------------------------------------------------------------------


def folder(tmp_path: Path, *names: str) -> Path:
    """Save the picture of the first letter of each file under its name."""
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(ord(path.name[0])).save(path)
    return tmp_path / "photos"


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    """With --task multi, copies of an image are one image, which the source says."""
    photos = folder(tmp_path, "cat/x.png", "dog/x.png", "dog/y.png")
    source = read(photos, MULTI)
    assert (source.several, source.copies_are_one) == ("the folders", True)
    assert present(source) == [["cat"], ["dog"], ["dog"]]
    assert read(photos).task == read(photos, SINGLE).task == "single"


# Options without effect ------------------------------------------------------------------------

TEXT, FLAGS = "path,labels\n1,a|b\n2,b\n", "path,a,b\n1,1,0\n2,0,1\n"


@pytest.mark.parametrize(
    ("labelling", "text", "message"),
    [
        (
            Labelling(uncertain="absent"),
            TEXT,
            "--uncertain 'absent' has no effect without --labels",
        ),
        (
            Labelling(labels="a,b", label_separator=";"),
            FLAGS,
            "--label-separator ';' has no effect with a column for each label",
        ),
        (
            Labelling("single", labels="a,b"),
            FLAGS,
            "--labels 'a,b' has no effect with one label per image",
        ),
        (
            Labelling(label_separator=";"),
            "path,label\n1,a\n2,b\n",
            "--label-separator ';' has no effect with one label per image",
        ),
        (
            Labelling(uncertain="unknown"),
            "path,label\n1,a\n2,b\n",
            "--uncertain 'unknown' has no effect with one label per image",
        ),
    ],
)
def test_options_without_effect_in_a_table(
    tmp_path: Path, labelling: Labelling, text: str, message: str
) -> None:
    """They are errors, also with their default value."""
    with pytest.raises(OptionError) as caught:
        csv(tmp_path, text, labelling)
    assert str(caught.value) == f"{message}. Remove it."


@pytest.mark.parametrize("task", ["auto", "multi"])
@pytest.mark.parametrize("option", ["labels", "label_separator", "uncertain"])
def test_options_without_effect_in_a_folder(tmp_path: Path, option: str, task: str) -> None:
    """Its labels are the names of folders."""
    labelling = Labelling(task, **{option: "present"})
    message = " 'present' has no effect for a folder, whose folders are the labels. Remove it."
    with pytest.raises(OptionError) as caught:
        read(folder(tmp_path, "cat/x.png", "dog/y.png"), labelling)
    assert str(caught.value) == f"--{option.replace('_', '-')}{message}"


def test_a_separator_has_no_effect_on_lists(tmp_path: Path) -> None:
    """Lists are separated already."""
    with pytest.raises(
        OptionError, match=r"^--label-separator ';' has no effect for lists of labels\."
    ):
        parquet(tmp_path, pa.array([["a"]]), labelling=Labelling(label_separator=";"))


# The labels of a trained model -----------------------------------------------------------------


def test_labels_that_a_model_does_not_have_are_left_out(tmp_path: Path) -> None:
    """The images are evaluated on the others; names are written as the model does."""
    source = csv(tmp_path, "path,labels\n1,é|b\n2,c\n", Labelling("multi", known=("b", "e\u0301")))
    assert present(source) == [["b", "e\u0301"], []]
    assert source.warnings == ("Labels that the model does not have, not used: 'c'.",)


def test_the_columns_of_a_model_are_found(tmp_path: Path) -> None:
    """A table in which each label of the model has a column needs no --labels."""
    labelling = Labelling("multi", known=("a", "b", "c"))
    source = csv(tmp_path, "path,a,b,age\n1,1,0,7\n2,-1,1,8\n", labelling)
    assert labels(source) == [{"a": True, "b": False, "c": None}, {"a": None, "b": True, "c": None}]
    assert source.warnings == ("No column of 'c': unknown in every image.",)
