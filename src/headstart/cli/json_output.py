"""Results as JSON on stdout, in any encoding."""

import json
import sys
from collections.abc import Iterable

from headstart.data.paths import printable
from headstart.files import json_list


def print_json(value: object) -> None:
    """Print a value as JSON that every parser reads, whatever the encoding of stdout.

    Characters that the encoding lacks are escaped as JSON does, and bytes of file names that are
    not UTF-8 as `printable` does.
    """
    print(_text(value))  # noqa: T201


def print_json_list(values: Iterable[object]) -> None:
    """Print values as `print_json` prints a list of them, with one in memory at a time."""
    for text in json_list(map(_text, values)):
        print(text, end="")  # noqa: T201
    print()  # noqa: T201


def _text(value: object) -> str:
    text = json.dumps(_printable(value), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(_printable(value), indent=2, allow_nan=False)
    return text


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
