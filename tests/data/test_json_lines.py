"""Files of JSON lines are tables, in which text stays text."""

from pathlib import Path

import pyarrow as pa
import pytest

from headstart.data.interpretation import Interpretation
from headstart.data.json_lines import read_json_lines
from headstart.data.tables import read_table


def write(tmp_path: Path, text: str) -> Path:
    """Write a file."""
    (tmp_path / "t.jsonl").write_text(text)
    return tmp_path / "t.jsonl"


def test_rows_may_lack_keys(tmp_path: Path) -> None:
    """Empty lines are skipped, and a byte order mark."""
    path = write(tmp_path, '\ufeff{"a": "007"}\n\n{"a": "2020-01-01", "b": 1}\r\n{"b": null}\n')
    assert read_json_lines(path).to_pylist() == [
        {"a": "007", "b": None},
        {"a": "2020-01-01", "b": 1},
        {"a": None, "b": None},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1}\n[1]\n', "line 2 is not a JSON object"),
        ('{"a": 1\n', "line 1 is not a JSON object"),
        ("[" * 100_000, "line 1 is not a JSON object"),
        ('{"a": 1}\n{"a": "x"}\n', "the values of 'a' are of several kinds"),
        ('{"a": 99999999999999999999999}\n', "the values of 'a' are of several kinds"),
    ],
)
def test_other_files_are_an_error(tmp_path: Path, text: str, problem: str) -> None:
    """The line or the column is named."""
    with pytest.raises(pa.ArrowInvalid, match=f"^{problem}$"):
        read_json_lines(write(tmp_path, text))


def test_they_are_read_as_tables(tmp_path: Path) -> None:
    """As Hugging Face's folders of images have them."""
    (tmp_path / "1.png").touch()
    line = '{"file_name": "1.png", "label": %s, "split": "%s"}'
    path = write(tmp_path, "\n".join((line % (3, "train"), line % ("null", "test"))))
    entries = read_table(path, tmp_path / "staging", Interpretation()).entries
    assert [(entry.label, entry.split, entry.rejected) for entry in entries] == [
        ("3", "train", None),
        (None, "test", "its label is missing"),
    ]
