"""Which columns of a table have the labels: by their usual names, or as the user names them."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from headstart.data.paths import list_names
from headstart.errors import OptionError, suggestion

_WILDCARDS = "*?["


def named_label_columns(
    path: Path, names: Sequence[str], labels: str, reserved: Collection[str]
) -> tuple[str, ...]:
    """Return the columns that the user named: names or patterns, separated by commas.

    Args:
        path: The table, for error messages.
        names: All columns.
        labels: What the user passed.
        reserved: Columns that no pattern matches, such as that of the images.

    Raises:
        OptionError: A name or a pattern matches no column.
    """
    wanted = [labels] if labels in names else [part.strip() for part in labels.split(",")]
    found: dict[str, None] = {}
    for part in filter(None, wanted):
        matching = _matching(part, names, reserved)
        if not matching:
            hint = suggestion(part, filter(None, names))
            raise OptionError(
                f"--labels '{part}' matches no column of '{path}'.{hint} It has: "
                f"{list_names(list(names), 20)}."
            )
        found |= dict.fromkeys(matching)
    if not found:
        raise OptionError(f"--labels '{labels}' names no column. Pass names, separated by commas.")
    return tuple(found)


def _matching(part: str, names: Sequence[str], reserved: Collection[str]) -> list[str]:
    if part in names:
        return [part]
    alike = [name for name in names if name.lower() == part.lower()]
    if len(alike) == 1:
        return alike
    if not any(sign in part for sign in _WILDCARDS):
        return []
    return [name for name in names if name and name not in reserved and fnmatchcase(name, part)]
