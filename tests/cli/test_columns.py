"""Tables that fit the terminal."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_table, shorten


def printed(width: int, names: list[str], *rows: tuple[str, ...], optional: tuple[str, ...] = ()):
    """Return the lines of a table without empty lines."""
    out = io.StringIO()
    console = Console(file=out, width=width)
    print_table(console, names, [list(map(Text, row)) for row in rows], optional=optional)
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("width", "short"), [(9, "abcdefghi"), (8, "abcd…ghi"), (7, "abc…ghi"), (2, "a…"), (1, "…")]
)
def test_the_middle_of_a_text_is_left_out(width: int, short: str) -> None:
    """Start and end stay, as they tell files in one folder apart."""
    assert shorten("abcdefghi", width) == short


@pytest.mark.parametrize("width", range(1, 12))
def test_wide_characters_count_twice(width: int) -> None:
    """The width is that of the terminal, where a Chinese character takes two cells."""
    assert cell_len(shorten("日本語の写真です", width)) <= width


def test_numbers_are_never_shortened() -> None:
    """Texts share what the numbers leave, and narrow texts are shown whole."""
    header, rule, first, second = printed(
        30, ["name", "kind", "share>"], ("a" * 90, "dog", "12.5%"), ("b", "cat", "7.0%")
    )
    assert header == " name            kind   share"
    assert len(rule.strip()) == 28
    assert first == " aaaaaa…aaaaaa   dog    12.5%"
    assert second.split() == ["b", "cat", "7.0%"]


def test_optional_columns_are_left_out_where_they_do_not_fit() -> None:
    """They are left out in the order given, and only as many as needed."""
    names, row = ["name", "x>", "y>", "z"], ("n" * 10, "1" * 10, "2" * 10, "3" * 5)
    shown = {
        width: printed(width, names, row, optional=("y>", "x>"))[0].split()
        for width in (60, 40, 25)
    }
    assert shown == {60: ["name", "x", "y", "z"], 40: ["name", "x", "z"], 25: ["name", "z"]}


def test_a_row_may_have_fewer_cells() -> None:
    """A note below a table is a row with one cell."""
    *_, last = printed(60, ["name", "share>"], ("a", "1%"), ("… and 3 more",))
    assert last.strip() == "… and 3 more"


def test_a_table_may_be_empty() -> None:
    """Only the header is shown."""
    assert printed(60, ["name", "share>"])[0].split() == ["name", "share"]
