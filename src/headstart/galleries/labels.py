"""Labels that somebody types."""

import unicodedata

from headstart.errors import DataError

_LONGEST = 200


def checked_label(label: str) -> str:
    """Return a label that was typed, without spaces around it.

    Raises:
        DataError: It is empty, too long, or has characters that control a terminal.
    """
    label = unicodedata.normalize("NFC", label.strip())
    if not label or label in (".", ".."):
        raise DataError(f"The label must be the name of an item, such as a product. Got '{label}'.")
    if len(label) > _LONGEST:
        raise DataError(f"The label must have at most {_LONGEST} characters. Got {len(label):,}.")
    if any(unicodedata.category(one) == "Cc" for one in label):
        raise DataError("The label has a line break or another control character. Remove it.")
    return label
