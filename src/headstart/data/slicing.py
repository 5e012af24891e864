"""The columns by which results are sliced, such as sex, site or scanner, as one text per image."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping

from headstart.errors import DataError, OptionError

MAX_VALUES = 50
"""The largest number of different values of a column: more are not slices but names."""


def sliced_columns(slices: str | None) -> tuple[str, ...]:
    """Return the names in the option `slices`, which separates them by commas.

    Raises:
        OptionError: It names no column.
    """
    if slices is None:
        return ()
    names = tuple(dict.fromkeys(filter(None, map(str.strip, slices.split(",")))))
    if not names:
        raise OptionError(f"--slices '{slices}' names no column. Pass names, separated by commas.")
    return names


def write_slices(values: Mapping[str, str]) -> str:
    """Write the value of an image in each column as a JSON object; "" is a missing value."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def read_slices(texts: Iterable[str | None]) -> dict[str, list[str]]:
    """Read what `write_slices` wrote for each image: its values, by the name of the column."""
    rows = [json.loads(text) if text else {} for text in texts]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, "") for row in rows] for name in names}


def select_slices(text: str | None, names: Iterable[str]) -> str | None:
    """Return what `write_slices` wrote for an image, with some of the columns only."""
    if text is None:
        return None
    values = json.loads(text)
    return write_slices({name: values[name] for name in names})


def check_slices(texts: Iterable[str | None]) -> None:
    """Check that each column has few different values.

    Raises:
        DataError: A column has more than 50.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        for name, value in json.loads(text or "{}").items():
            found[name].add(value)
    for name, values in found.items():
        check_number_of_values(name, len(values))


def check_number_of_values(name: str, count: int) -> None:
    """Check that a column has at most 50 different values.

    Raises:
        DataError: It has more.
    """
    if count > MAX_VALUES:
        raise DataError(
            f"Column '{name}' has {count:,} different values, too many for slices. Use a "
            f"column with at most {MAX_VALUES} values, such as ranges of '{name}'."
        )
