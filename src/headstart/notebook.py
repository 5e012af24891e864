"""HTML for notebooks, in which objects show themselves as tables."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    trained_on: Sequence[int] = (),
    limit: int = 100,
) -> str:
    """Return a table in which all text is escaped.

    Args:
        caption: The text above the table.
        columns: Names of the columns; those that end in ">" are right-aligned, like numbers.
        rows: The cells of each row.
        trained_on: The number of training images or boxes of each row, which is a last column;
            nothing if it is unknown.
        limit: Maximum number of rows; a last row has the number of the others.
    """
    lines = list(rows)
    if trained_on:
        columns = [*columns, "trained on>"]
        lines = [(*row, f"{count:,}") for row, count in zip(lines, trained_on, strict=True)]
    aligned = ["right" if column.endswith(">") else "left" for column in columns]
    names = [column.removesuffix(">") for column in columns]
    body = [_row("td", cells, aligned) for cells in lines[:limit]]
    if len(lines) > limit:
        body.append(_row("td", [f"… and {len(lines) - limit:,} more"], aligned))
    return (
        f'<table><caption style="text-align: left">{escape(caption)}</caption>'
        f"<thead>{_row('th', names, aligned)}</thead><tbody>{''.join(body)}</tbody></table>"
    )


def _row(tag: str, cells: Sequence[str], aligned: Sequence[str]) -> str:
    """Return a row. Alignment is set in each cell, since notebooks differ in their own."""
    shown = (
        f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
        for cell, side in zip(cells, aligned, strict=False)
    )
    return f"<tr>{''.join(shown)}</tr>"
