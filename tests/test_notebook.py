"""Tables for notebooks."""

from headstart.notebook import html_table


def test_a_table() -> None:
    """The caption, the columns and the rows, in this order."""
    assert html_table("Two classes", ["class", "images"], [["red", "3"], ["blue", "4"]]) == (
        "<table><caption>Two classes</caption>"
        "<thead><tr><th>class</th><th>images</th></tr></thead>"
        "<tbody><tr><td>red</td><td>3</td></tr><tr><td>blue</td><td>4</td></tr></tbody></table>"
    )


def test_all_text_is_escaped() -> None:
    """Names cannot add elements to the page."""
    table = html_table("<i>", ["<b>"], [["<script>"]])
    assert "<caption>&lt;i&gt;</caption>" in table
    assert "<th>&lt;b&gt;</th>" in table
    assert "<td>&lt;script&gt;</td>" in table


def test_a_long_table_is_cut() -> None:
    """The last row has the number of rows that are not shown."""
    table = html_table("Many", ["class"], [[str(number)] for number in range(1002)], limit=2)
    assert table.count("<tr>") == 4
    assert "<td>1</td></tr><tr><td>… and 1,000 more</td>" in table
