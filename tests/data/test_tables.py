"""Tables in CSV and Parquet, with paths or embedded images, and with bad cells."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.data.formats import is_table
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.tables import read_table
from headstart.errors import DataError, OptionError
from tests.conftest import picture


def png(seed: int) -> bytes:
    """Return a picture as the bytes of a PNG."""
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def read_csv(tmp_path: Path, text: str | bytes, name: str = "t.csv", **options) -> list[Entry]:
    """Write a CSV file and the files that it names, and read it."""
    return read_csv_source(tmp_path, text, name, **options).entries


def read_csv_source(
    tmp_path: Path, text: str | bytes, name: str = "t.csv", **options: str
) -> Source:
    """Write a CSV file and the files that it names, and read it."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    for entry in read_table(path, tmp_path / "staging", Interpretation(**options)).entries:
        if entry.path.startswith(str(tmp_path)):
            Path(entry.path).parent.mkdir(parents=True, exist_ok=True)
            Path(entry.path).touch()
    return read_table(path, tmp_path / "staging", Interpretation(**options))


def read_parquet(tmp_path: Path, table: pa.Table, **options) -> list[Entry]:
    """Write a Parquet file and read it."""
    pq.write_table(table, tmp_path / "t.parquet")
    for number in range(5):
        (tmp_path / str(number)).touch()
    source = read_table(tmp_path / "t.parquet", tmp_path / "staging", Interpretation(**options))
    return source.entries


def hugging_face(labels: list[int | None], names: list[str]) -> pa.Table:
    """Create a table in the form that the `datasets` library exports."""
    images = [{"bytes": png(row), "path": f"{row}.png"} for row in range(len(labels))]
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table({"image": images, "label": labels}).replace_schema_metadata(metadata)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", True), ("a.TSV", True), ("a.parquet", True), ("a.xlsx", False), ("csv", False)],
)
def test_a_table_is_recognised_by_its_name(name: str, expected: bool) -> None:
    """CSV, TSV and Parquet are recognised, in upper or lower case."""
    assert is_table(Path(name)) is expected


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    """Relative paths start at the table's folder; absolute paths are unchanged."""
    elsewhere = str(tmp_path / "2.png")
    first, second = read_csv(tmp_path, f"path,label\nx/1.png,a\n{elsewhere},b\n")
    assert first == Entry("x/1.png", str(tmp_path / "x/1.png"), "a")
    assert second == Entry(elsewhere, elsewhere, "b")


def test_absolute_paths_are_shortened_in_names(tmp_path: Path) -> None:
    """Images with absolute paths are named without their common folder."""
    entries = read_csv(tmp_path, "path,label\n/data/a/1.png,a\n/data/b/2.png,b\n")
    assert [entry.image for entry in entries] == ["a/1.png", "b/2.png"]
    assert [entry.path for entry in entries] == ["/data/a/1.png", "/data/b/2.png"]


def test_an_image_column_may_contain_paths(tmp_path: Path) -> None:
    """A text column `image` is read like `path`."""
    assert read_csv(tmp_path, "image,label\n1.png,a\n") == [
        Entry("1.png", str(tmp_path / "1.png"), "a")
    ]


def test_other_columns_are_ignored(tmp_path: Path) -> None:
    """Columns may be in any order, and further columns are allowed."""
    entries = read_csv(tmp_path, "age,label,who,path\n3,a,x,1.png\n")
    assert [(entry.image, entry.label, entry.group) for entry in entries] == [("1.png", "a", None)]


def test_labels_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    """Labels are exactly as in the file."""
    entries = read_csv(tmp_path, "path,label\n1.png,007\n2.png,1.0\n3.png,true\n4.png,2024-01-02\n")
    assert [entry.label for entry in entries] == ["007", "1.0", "true", "2024-01-02"]


@pytest.mark.parametrize("cell", ["", "  ", "nan", "NaN", "NULL", "n/a", '""'])
def test_a_missing_label_in_csv_is_rejected(tmp_path: Path, cell: str) -> None:
    """The row is kept, with the reason."""
    entries = read_csv(tmp_path, f"path,label\n1.png,{cell}\n2.png,a\n")
    assert [(entry.image, entry.rejected) for entry in entries] == [
        ("1.png", "its label is missing"),
        ("2.png", None),
    ]


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.int64()])
def test_a_missing_label_in_parquet_is_rejected(tmp_path: Path, kind: pa.DataType) -> None:
    """Null is a missing label in a column of any type."""
    table = pa.table({"path": ["1.png"], "label": pa.array([None], kind)})
    assert read_parquet(tmp_path, table)[0].rejected == "its label is missing"


def test_numeric_labels_in_parquet_have_no_fraction(tmp_path: Path) -> None:
    """pandas converts integers with gaps to floats: 1.0 is class 1, and NaN is missing."""
    table = pa.table({"path": ["1", "2", "3"], "label": [1.0, float("nan"), 2.5]})
    assert [(entry.label, entry.rejected) for entry in read_parquet(tmp_path, table)] == [
        ("1", None),
        (None, "its label is missing"),
        ("2.5", None),
    ]


def test_a_missing_path_is_rejected(tmp_path: Path) -> None:
    """The image is named by its row number."""
    entries = read_csv(tmp_path, "path,label\n1.png,a\n,b\n")
    assert entries[1] == Entry("row 2", "", "b", rejected="its path is missing")


def test_split_and_group_columns_are_read(tmp_path: Path) -> None:
    """Split names are case-insensitive, and an empty cell means no split."""
    text = "path,label,split,group\n1,a,Train,p1\n2,a,VALIDATION,p2\n3,a,test,\n4,a,,p1\n"
    assert [(entry.split, entry.group) for entry in read_csv(tmp_path, text)] == [
        ("train", "p1"),
        ("val", "p2"),
        ("test", None),
        (None, "p1"),
    ]


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    """The message has the row and the value of the cell."""
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path, "path,label,split\n1.png,a,train\n2.png,a,later\n")
    assert str(caught.value) == (
        f"The split in line 3 of '{tmp_path / 't.csv'}' is not understood: 'later' is "
        "not train, val or test. Correct it, or remove the column."
    )


def test_the_group_option_names_a_column(tmp_path: Path) -> None:
    """Any column can be the group."""
    text = "path,label,patient,group\n1,a,7,x\n2,a,8,x\n"
    assert [entry.group for entry in read_csv(tmp_path, text, group="patient")] == ["7", "8"]


def test_the_group_option_may_be_a_pattern_of_the_path(tmp_path: Path) -> None:
    """It replaces columns that would be the groups; a column of that name comes first."""
    text = "path,label,patient\np7_1,a,x\np7_2,a,x\np8_1,a,x\n"
    source = read_csv(tmp_path, text, group="(p[0-9])_")
    assert [entry.group for entry in source] == ["p7", "p7", "p8"]
    named = read_csv(tmp_path, "path,label,(p)\np1,a,x\n", group="(p)")
    assert [entry.group for entry in named] == ["x"]
    with pytest.raises(OptionError, match="matches no image's path"):
        read_csv(tmp_path, text, group="(q[0-9])")


def test_an_unknown_group_column_is_an_error(tmp_path: Path) -> None:
    """The message lists the available columns."""
    with pytest.raises(OptionError) as caught:
        read_csv(tmp_path, "path,label\n1,a\n", group="patient")
    assert str(caught.value) == (
        f"--group 'patient' is not a column of '{tmp_path / 't.csv'}'. It has: path, label."
    )


def test_a_missing_label_column_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    """The nearest column is suggested."""
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path, "path,lable,width\n1,a,3\n")
    assert str(caught.value) == (
        f"Table '{tmp_path / 't.csv'}' has no column 'label'. Did you mean 'lable'? It has: path, "
        "lable, width. Rename the right one to 'label'. If each label has a column, pass --labels."
    )


def test_a_missing_image_column_is_an_error(tmp_path: Path) -> None:
    """The message lists the available columns."""
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path, "where,label\n1,a\n")
    assert str(caught.value) == (
        f"Table '{tmp_path / 't.csv'}' has no column 'path' or 'image'. It has: where, label. "
        "Rename the right one to 'path'."
    )


def test_a_repeated_column_is_an_error(tmp_path: Path) -> None:
    """It would be ambiguous."""
    with pytest.raises(DataError, match=f"^Table '{tmp_path / 't.csv'}' "):
        read_csv(tmp_path, "path,path,label\n1,2,a\n")


def test_a_tab_separated_table_is_read(tmp_path: Path) -> None:
    """TSV cells may contain commas."""
    entries = read_csv(tmp_path, "path\tlabel\n1,5.png\ta\n", "t.tsv")
    assert [(entry.image, entry.label) for entry in entries] == [("1,5.png", "a")]


def test_a_csv_file_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """A byte order mark, CRLF line ends and quotes are not part of the values."""
    text = b'\xef\xbb\xbf"path","label"\r\n"1, 2.png","0012"\r\n'
    assert read_csv(tmp_path, text) == [Entry("1, 2.png", str(tmp_path / "1, 2.png"), "0012")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is empty"),
        (b"path,label\n1,a,b\n", "line 2 has 3 cells, and the header 2 columns"),
    ],
    ids=["empty", "ragged"],
)
def test_a_csv_that_cannot_be_parsed_is_an_error(tmp_path: Path, text: bytes, reason: str) -> None:
    """The message says what is wrong and where."""
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path, text)
    assert str(caught.value) == f"Table '{tmp_path / 't.csv'}' cannot be read: {reason}."


def test_a_table_without_read_permission_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A permission error is reported with the table's name."""
    (tmp_path / "t.csv").write_text("path,label\n1,a\n")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=f"^Table '{tmp_path / 't.csv'}' cannot be read: "):
        read_table(tmp_path / "t.csv", tmp_path / "staging", Interpretation())


def test_hugging_face_images_and_class_names_are_read(tmp_path: Path) -> None:
    """Embedded images are written to files, and class numbers become names."""
    entries = read_parquet(tmp_path, hugging_face([1, 0], ["cat", "dog"]))
    assert [(entry.image, entry.label) for entry in entries] == [("0.png", "dog"), ("1.png", "cat")]
    assert [Path(entry.path).read_bytes() for entry in entries] == [png(0), png(1)]
    assert all(Path(entry.path).is_relative_to(tmp_path / "staging") for entry in entries)


@pytest.mark.parametrize("number", [-1, 2, None])
def test_a_class_number_without_a_name_is_rejected(tmp_path: Path, number: int | None) -> None:
    """Hugging Face tables use -1 for images without a label; it is not a class."""
    entries = read_parquet(tmp_path, hugging_face([0, number], ["cat", "dog"]))
    assert (entries[0].label, entries[0].rejected) == ("cat", None)
    assert entries[1].rejected is not None


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_plain_binary_column_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    """Images without names are named by their row."""
    table = pa.table({"image": pa.array([png(1), png(2)], kind), "label": ["a", "b"]})
    entries = read_parquet(tmp_path, table)
    assert [entry.image for entry in entries] == ["row 1", "row 2"]
    assert [Path(entry.path).read_bytes() for entry in entries] == [png(1), png(2)]


def test_embedded_images_without_bytes_are_rejected(tmp_path: Path) -> None:
    """Null bytes and null structs are rejected, and rows keep their order."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [{"bytes": None, "path": "1.png"}, {"bytes": png(2), "path": None}, None]
    table = pa.table({"image": pa.array(cells, kind), "label": ["a", "b", "c"]})
    entries = read_parquet(tmp_path, table)
    assert [(entry.image, entry.label) for entry in entries] == [
        ("1.png", "a"),
        ("row 2", "b"),
        ("row 3", "c"),
    ]
    assert entries[0].rejected == f"the file '{tmp_path / '1.png'}' does not exist"
    assert entries[1].rejected is None
    assert entries[2].rejected is not None


def test_embedded_images_are_written_once(tmp_path: Path) -> None:
    """Reading the same table again writes nothing."""
    table = pa.table({"image": [png(1)], "label": ["a"]})
    path = Path(read_parquet(tmp_path, table)[0].path)
    before = path.stat().st_mtime_ns
    assert Path(read_parquet(tmp_path, table)[0].path) == path
    assert path.stat().st_mtime_ns == before


def test_rows_keep_their_numbers_across_batches(tmp_path: Path) -> None:
    """No row of a table longer than a batch is lost."""
    table = pa.table({"image": [b"%d" % row for row in range(600)], "label": ["a"] * 600})
    entries = read_parquet(tmp_path, table)
    assert [Path(entry.path).read_bytes() for entry in entries] == table["image"].to_pylist()
    assert entries[599].image == "row 600"


def test_an_invalid_parquet_file_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    path = tmp_path / "t.parquet"
    path.write_text("hello, this is text")
    with pytest.raises(DataError, match=f"^Table '{path}' cannot be read: Parquet magic bytes"):
        read_table(path, tmp_path / "staging", Interpretation())


def test_a_parquet_file_with_damaged_pages_is_an_error(tmp_path: Path) -> None:
    """Damage that is detected only while reading is reported with the file's name."""
    path = tmp_path / "t.parquet"
    table = pa.table({"path": [f"{row}.png" for row in range(3000)], "label": ["a", "b"] * 1500})
    pq.write_table(table, path, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[10:400] = b"\xff" * 390
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"^Table '{path}' cannot be read: "):
        read_table(path, tmp_path / "staging", Interpretation())


def test_damaged_hugging_face_metadata_is_ignored(tmp_path: Path) -> None:
    """Without class names, labels stay numbers."""
    table = hugging_face([0, 1], ["cat", "dog"]).replace_schema_metadata({"huggingface": "{"})
    assert [entry.label for entry in read_parquet(tmp_path, table)] == ["0", "1"]


def test_lists_of_labels_are_an_error(tmp_path: Path) -> None:
    """Each image has one label if the user says so."""
    with pytest.raises(DataError, match=r"'label' of .* has several labels in a cell"):
        read_parquet(
            tmp_path,
            pa.table({"path": ["1"], "label": [["a", "b"]]}),
            labelling=Labelling("single"),
        )


def test_numbers_of_classes_whose_names_are_numbers(tmp_path: Path) -> None:
    """A number is always a position, never a name."""
    names = ["1", "2", "3", "4", "5"]
    labels = [entry.label for entry in read_parquet(tmp_path, hugging_face([0, 1, 4], names))]
    assert labels == ["1", "2", "5"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_split_is_found_by_the_values_of_any_kind_of_text(
    tmp_path: Path, kind: pa.DataType
) -> None:
    """As pandas and polars write them."""
    phase = pa.array(["train", "test"]).cast(kind)
    entries = read_parquet(
        tmp_path, pa.table({"path": ["0", "1"], "label": ["a", "b"], "phase": phase})
    )
    assert [entry.split for entry in entries] == ["train", "test"]


def test_flags_of_an_unusual_name_are_an_error(tmp_path: Path) -> None:
    """Whether they are text or not."""
    table = pa.table({"path": ["0", "1"], "label": ["a", "b"], "in_test": [False, True]})
    with pytest.raises(DataError, match=r"^The column 'in_test' of .* looks like a split\. "):
        read_parquet(tmp_path, table)


def test_an_empty_split_is_said(tmp_path: Path) -> None:
    """The split is then made by Headstart."""
    source = read_csv_source(tmp_path, "path,label,split\n1,a,\n2,b,\n")
    assert source.understood == (
        "Columns: images from 'path', labels from 'label'.",
        "Empty columns: split.",
    )


def test_columns_without_a_name_do_not_matter(tmp_path: Path) -> None:
    """Spreadsheets add them at the end."""
    source = read_csv_source(tmp_path, "path,label,,\n1,a,,\n2,b,,\n")
    assert [entry.label for entry in source.entries] == ["a", "b"]
    assert source.understood == ("Columns: images from 'path', labels from 'label'.",)


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    """The message does not speak of folders."""
    with pytest.raises(DataError, match=r"t\.csv' has no rows below the names of its columns\.$"):
        read_csv(tmp_path, "path,label\n")


def test_paths_in_a_struct_without_bytes_are_found(tmp_path: Path) -> None:
    """Hugging Face's libraries do not embed images unless they are asked to."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [{"bytes": None, "path": "0"}, {"bytes": None, "path": "gone.png"}]
    table = pa.table({"image": pa.array(cells, kind), "label": ["a", "b"]})
    found, missing = read_parquet(tmp_path, table)
    assert (found.path, found.rejected) == (str(tmp_path / "0"), None)
    assert missing.rejected == f"the file '{tmp_path / 'gone.png'}' does not exist"
