"""Class names as people write them: missing ones, Unicode forms, and names that are too alike.

An image with several labels has them in one text, which this module alone writes and reads.
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

SEPARATOR = "|"
"""What separates the labels of an image in a text, if the user does not say."""

# As written by pandas, R, Excel and databases. "None" is not among them: it may be a class.
_MISSING = frozenset(("", "nan", "null", "n/a", "#n/a", "<na>"))
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)


def write_labels(labels: Mapping[str, bool | None]) -> str:
    """Write the labels of an image as a JSON object, such as `{"edema":1,"mass":null}`.

    Args:
        labels: Whether each label is present; None if that is unknown.
    """
    values = {name: None if value is None else int(value) for name, value in labels.items()}
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read_labels(text: str) -> dict[str, bool | None]:
    """Read what `write_labels` wrote. A label that is not in it is absent."""
    values = json.loads(text)
    return {name: None if value is None else bool(value) for name, value in values.items()}


def cell_text(cell: object) -> str | None:
    """Return the text of a cell of a table in Unicode's composed form; None if it is missing."""
    if cell is None or cell != cell:
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = normalised(str(cell).strip())
    return None if text.lower() in _MISSING or text == "NA" else text


def normalised(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), so that equal looking names are equal."""
    return unicodedata.normalize("NFC", name)


def similar_names(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that differ only in case, spaces, underscores or zeros."""
    groups = defaultdict(list)
    for name in sorted(names):
        groups[simplified(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def simplified(name: str) -> str:
    """Return a name without the differences that people often make by mistake."""
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    if _NUMBER.fullmatch(text):
        return f"{Decimal(text).normalize():f}"
    return "".join(letter for letter in text if letter not in " _\t")
