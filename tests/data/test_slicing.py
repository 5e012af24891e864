"""The columns by which results are sliced, from the option to the images."""

import re
from pathlib import Path

import pytest

from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.manifest import Entry
from headstart.data.merging import merge_rows
from headstart.data.slicing import (
    check_slices,
    read_slices,
    select_slices,
    sliced_columns,
    write_slices,
)
from headstart.data.sources import open_source
from headstart.errors import DataError, OptionError
from tests.conftest import picture

TABLE = "path,label,Sex,age\na.png,cat,f,63\nb.png,dog,,63.5\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of two images with two more columns."""
    for number, name in enumerate("ab"):
        picture(number).save(tmp_path / f"{name}.png")
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path / "table.csv"


def test_the_option_names_columns() -> None:
    """Names are separated by commas; spaces around them do not count."""
    assert sliced_columns(None) == ()
    assert sliced_columns("sex, site,sex,") == ("sex", "site")
    with pytest.raises(OptionError, match=r"^--slices ',' names no column\. Pass names, "):
        sliced_columns(",")


def test_values_are_written_and_read() -> None:
    """An image without a value has "", and one without any text too."""
    text = write_slices({"sex": "f", "site": ""})
    assert text == '{"sex":"f","site":""}'
    assert read_slices([text, None]) == {"sex": ["f", ""], "site": ["", ""]}
    assert read_slices([None]) == {}
    assert select_slices(text, ["sex"]) == '{"sex":"f"}'
    assert select_slices(None, ["sex"]) is None


def test_a_table_has_the_values_of_its_columns(table: Path, tmp_path: Path) -> None:
    """Each entry has those of the columns that are asked for, in any case of their names."""
    source = open_source(table, tmp_path, Interpretation(slices=("sex", "age")))
    assert [entry.slices for entry in source.entries] == [
        '{"Sex":"f","age":"63"}',
        '{"Sex":"","age":"63.5"}',
    ]
    assert source.understood[0].endswith("slices from 'Sex', 'age'.")
    assert [entry.slices for entry in open_source(table, staging=tmp_path).entries] == [None] * 2


def test_a_pattern_of_labels_leaves_out_slices(tmp_path: Path) -> None:
    """A column that is sliced by is not a label, even if the pattern matches it."""
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("path,x_a,x_site\na.png,1,north\n")
    interpretation = Interpretation(Labelling("auto", "x_*"), slices=("x_site",))
    source = open_source(tmp_path / "table.csv", tmp_path, interpretation)
    assert source.entries[0].label == '{"x_a":1}'


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("site", "--slices 'site' is not a column of '{}'. It has: path, label, Sex, age."),
        ("path", "--slices names 'path', which is the column of the images of '{}'."),
        ("label", "--slices names 'label', which is a column of the labels of '{}'."),
    ],
)
def test_a_column_that_cannot_be_used(table: Path, column: str, message: str) -> None:
    """The error lists the columns that there are."""
    with pytest.raises(OptionError, match=f"^{re.escape(message.format(table))}$"):
        open_source(table, table.parent, Interpretation(slices=(column,)))


def test_a_folder_has_no_columns(tmp_path: Path) -> None:
    """The error says what to pass."""
    (tmp_path / "photos/cat").mkdir(parents=True)
    picture(0).save(tmp_path / "photos/cat/a.png")
    message = (
        f"--slices 'sex,age' names columns of a table, and '{tmp_path / 'photos'}' is not a table. "
        "Pass a table with these columns, such as a CSV file."
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        open_source(tmp_path / "photos", tmp_path, Interpretation(slices=("sex", "age")))


def test_a_column_with_more_than_50_values() -> None:
    """50 are enough for a column, 51 are too many."""
    check_slices([write_slices({"age": str(age)}) for age in range(50)])
    message = r"^Column 'age' has 51 different values, too many for slices\."
    with pytest.raises(DataError, match=message):
        check_slices([write_slices({"age": str(age)}) for age in range(51)])


def test_rows_of_an_image_in_different_slices() -> None:
    """An image of a long table whose rows disagree is rejected."""
    rows = [Entry("a", "a", '{"x":1}', slices='{"sex":"f"}')]
    rows.append(Entry("a", "a", '{"y":1}', slices='{"sex":"m"}'))
    (merged,) = merge_rows(rows)
    assert merged.rejected == "its rows are in different slices"
