"""Tables for notebooks."""

import re

from headstart.notebook import html_table


def unstyled(html: str) -> str:
    """Return HTML without the style of its elements."""
    return re.sub(r' style="[^"]*"', "", html)


def test_a_table() -> None:
    """The caption, the columns and the rows, in this order; numbers are right-aligned."""
    rows = [["red", "3"], ["blue", "4"]]
    left, right = 'style="text-align: left"', 'style="text-align: right"'
    assert html_table("Two classes", ["class", "images>"], rows) == (
        f"<table><caption {left}>Two classes</caption>"
        f"<thead><tr><th {left}>class</th><th {right}>images</th></tr></thead><tbody>"
        f"<tr><td {left}>red</td><td {right}>3</td></tr>"
        f"<tr><td {left}>blue</td><td {right}>4</td></tr></tbody></table>"
    )


def test_all_text_is_escaped() -> None:
    """Names cannot add elements to the page."""
    table = html_table("<i>", ["<b> x"], [["<script>"]])
    assert ">&lt;i&gt;</caption>" in table
    assert ">&lt;b&gt; x</th>" in table
    assert ">&lt;script&gt;</td>" in table


def test_a_long_table_is_cut() -> None:
    """The last row has the number of rows that are not shown."""
    table = html_table("Many", ["class"], [[str(number)] for number in range(1002)], limit=2)
    assert table.count("<tr>") == 4
    assert ">… and 1,000 more</td></tr></tbody>" in table
