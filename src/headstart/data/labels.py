"""Class names as people write them: missing ones, Unicode forms, and names that are too alike."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

# As written by pandas, R, Excel and databases. "None" is not among them: it may be a class.
_MISSING = frozenset(("", "nan", "null", "n/a", "#n/a", "<na>"))
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)


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
