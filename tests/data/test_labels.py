"""Class names: missing cells, Unicode forms, and names that are too alike."""

import unicodedata

import pytest

from headstart.data.labels import cell_text, read_labels, similar_names, write_labels


@pytest.mark.parametrize(
    "cell", [None, float("nan"), "", "  ", "nan", "NaN", "NULL", "N/A", "#N/A", "<NA>", "NA"]
)
def test_missing_cells(cell: object) -> None:
    """Everything that pandas, R, Excel and databases write for nothing is missing."""
    assert cell_text(cell) is None


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        *(("007", "007"), (7, "7"), (7.0, "7"), (2.5, "2.5"), (True, "True")),
        *((" cat ", "cat"), ("None", "None"), ("na", "na")),
        (unicodedata.normalize("NFD", "é"), "é"),
    ],
)
def test_cells_are_text(cell: object, text: str) -> None:
    """Zeros stay, whole numbers have no fraction, and letters with accents are composed."""
    assert cell_text(cell) == text


def test_similar_names() -> None:
    """People do not mean differences in case, spaces, underscores, zeros or compatible forms."""
    names = [
        "1.0",
        "01",
        "1.50",
        "1.05",
        "Dots",
        "dots",
        "big cat",
        "Big_Cat",
        "ﬁsh",
        "fish",
        "a",
        "-1",
        "1",
    ]
    assert similar_names(names) == [
        ["01", "1", "1.0"],
        ["Big_Cat", "big cat"],
        ["Dots", "dots"],
        ["fish", "ﬁsh"],
    ]


def test_labels_of_an_image_are_json() -> None:
    """Names are sorted and stay as they are; unknown is null."""
    labels = {"mass": None, "Ödem": True, "a|b": False}
    text = write_labels(labels)
    assert text == '{"a|b":0,"mass":null,"Ödem":1}'
    assert read_labels(text) == labels
    assert all(value is None or isinstance(value, bool) for value in read_labels(text).values())


def test_an_image_without_labels_is_an_empty_object() -> None:
    """No label is present."""
    assert write_labels({}) == "{}"
    assert read_labels("{}") == {}
