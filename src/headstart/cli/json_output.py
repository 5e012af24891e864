"""Results as JSON on stdout, in any encoding."""

import json
import sys

from headstart.data.paths import printable


def print_json(value: object) -> None:
    """Print a value as JSON that every parser reads, whatever the encoding of stdout.

    Characters that the encoding lacks are escaped as JSON does, and bytes of file names that are
    not UTF-8 as `printable` does.
    """
    text = json.dumps(_printable(value), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(_printable(value), indent=2, allow_nan=False)
    print(text)  # noqa: T201


def _printable(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable(name): _printable(item) for name, item in value.items()}
        case list() | tuple():
            return [_printable(item) for item in value]
        case _:
            return value
