"""Signs that labels in a cell were not separated as they should be."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from headstart.data.labels import write_labels
from headstart.data.separators import separator_warnings
from headstart.errors import DataError


def warnings(*cells: Sequence[str], separator: str | None = None) -> list[str]:
    """Look for signs in the labels of several cells."""
    texts = [write_labels(dict.fromkeys(cell, True)) for cell in cells]
    return separator_warnings(Path("t.csv"), "labels", texts, separator)


def test_labels_without_signs() -> None:
    """Usual names are no sign, nor are pairs of brackets and apostrophes."""
    assert warnings(["a", "b"], [], ["mass (left)", "child's", 'a "b" c']) == []


@pytest.mark.parametrize("sign", [";", ","])
def test_another_separator_is_an_error(sign: str) -> None:
    """If no cell has the usual one, it is unclear whether the other one separates labels."""
    with pytest.raises(DataError) as caught:
        warnings([f"a{sign}b"], ["c"])
    assert str(caught.value) == (
        f"No cell of 'labels' in 't.csv' has the separator '|', but some have '{sign}', such as "
        f"'a{sign}b'. If it separates labels, pass --label-separator '{sign}'. If it is a part of "
        "a label's name, pass --label-separator '|'."
    )


@pytest.mark.parametrize(
    ("cells", "separator", "used"), [([["a;b"]], "|", "|"), ([["a;b", "c"]], None, "|")]
)
def test_separators_in_names_are_named(
    cells: list[list[str]], separator: str | None, used: str
) -> None:
    """If the user names the separator, or cells have it, others belong to the names."""
    (sentence,) = warnings(*cells, separator=separator)
    assert sentence == (
        "Labels with a usual separator in their names: 'a;b'. The labels in a cell are separated "
        f"by '{used}'."
    )


def test_torn_names_are_named() -> None:
    """A separator within brackets or quotation marks has torn a name apart."""
    (sentence,) = warnings(["opacity (left", "right)", 'a "b', "c"])
    assert sentence == (
        "Labels with an unpaired bracket or quotation mark: 'a \"b', 'opacity (left', 'right)'. If "
        "'|' is a part of their names, write another separator and pass it as --label-separator."
    )
