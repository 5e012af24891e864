"""Separators of labels: signs that another one was meant, or that a name has one in it."""

from collections.abc import Iterable
from pathlib import Path

from headstart.data.labels import SEPARATOR, read_labels
from headstart.data.paths import list_names
from headstart.errors import DataError

_USUAL = ("|", ";", ",")
_PAIRS = ("()", "[]", "{}", '""')


def separator_warnings(
    table: Path, column: str, labels: Iterable[str], separator: str | None
) -> list[str]:
    """Return a sentence for each sign that labels were not separated as they should be.

    Args:
        table: The path of the table, for error messages.
        column: The column of the labels.
        labels: The labels of each image, as `labels.write_labels` writes them.
        separator: The separator that the user named, if any.

    Raises:
        DataError: No cell has the usual separator, but some have another one.
    """
    found = [list(read_labels(text)) for text in labels]
    names = sorted({name for each in found for name in each})
    used = separator or SEPARATOR
    others = {name: sign for name in names for sign in _USUAL if sign != used and sign in name}
    if others and separator is None and all(len(each) < 2 for each in found):
        name, sign = next(iter(others.items()))
        raise DataError(
            f"No cell of '{column}' in '{table}' has the separator '{used}', but some have "
            f"'{sign}', such as '{name}'. If it separates labels, pass --label-separator '{sign}'. "
            f"If it is a part of a label's name, pass --label-separator '{used}'."
        )
    warnings = []
    if others:
        warnings.append(
            f"Labels with a usual separator in their names: {list_names(list(others))}. The labels "
            f"in a cell are separated by '{used}'."
        )
    if torn := [name for name in names if _is_torn(name)]:
        warnings.append(
            f"Labels with an unpaired bracket or quotation mark: {list_names(torn)}. If '{used}' "
            "is a part of their names, write another separator and pass it as --label-separator."
        )
    return warnings


def _is_torn(name: str) -> bool:
    """Return whether a name has only one of a pair of brackets or quotation marks."""
    return any(
        name.count(pair[0]) % 2
        if pair[0] == pair[1]
        else name.count(pair[0]) != name.count(pair[1])
        for pair in _PAIRS
    )
