"""A file of JSON lines to which lines are only added, so that nothing is lost."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue

from headstart.errors import OutputError, reason_of

JsonRow = dict[str, JsonValue]


class JsonLog:
    """Rows, each on the disk before it counts.

    A last line that was cut off, as by a crash or a full disk, is left out, and stays alone on its
    line when further rows follow.

    Args:
        path: The file.
        noun: What the rows are, capitalised, for messages: "Annotations".

    Attributes:
        damaged: The number of lines that `read` could not read.
    """

    def __init__(self, path: Path, noun: str) -> None:
        self.damaged = 0
        self._path, self._noun = path, noun
        self._cut_off = False

    def read(self) -> Iterator[JsonRow]:
        """Yield the rows.

        Raises:
            OutputError: The file cannot be read.
        """
        try:
            data = self._path.read_bytes() if self._path.exists() else b""
        except OSError as error:
            raise OutputError(
                f"{self._noun} '{self._path}' cannot be read: {reason_of(error)}."
            ) from None
        self._cut_off = bool(data) and not data.endswith(b"\n")
        for line in data.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                yield row
            else:
                self.damaged += bool(line.strip())

    def append(self, rows: Sequence[JsonRow]) -> None:
        """Add rows, and return when they are on the disk.

        Raises:
            OutputError: They cannot be written, and none of them counts.
        """
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        data = ("\n" * self._cut_off + text).encode(errors="replace")
        try:
            with self._path.open("ab") as file:
                self._cut_off = True
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self._noun} cannot be written to '{self._path}': {reason_of(error)}."
            ) from None
        self._cut_off = False
