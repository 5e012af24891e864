"""HTML for notebooks, in which objects show themselves as tables."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, limit: int = 100
) -> str:
    """Return a table in which all text is escaped.

    Args:
        caption: The text above the table.
        columns: Names of the columns.
        rows: The cells of each row.
        limit: Maximum number of rows; a last row has the number of the others.
    """
    lines = list(rows)
    body = [_row("td", cells) for cells in lines[:limit]]
    if len(lines) > limit:
        body.append(_row("td", [f"… and {len(lines) - limit:,} more"]))
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead>{_row('th', columns)}</thead><tbody>{''.join(body)}</tbody></table>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
