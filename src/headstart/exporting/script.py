"""The standalone script beside an exported model, and how to run it as another program would."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import JsonValue

from headstart.errors import ExportError
from headstart.predictor.card import escaped

SCRIPT = "predict.py"
FIRST_LINE = '"""Predict with the model beside this file'
BATCH = 16
"""The number of images that the script passes to the model at a time."""

# So many characters of paths fit on any command line.
_CHARACTERS = 20_000


def script(values: Mapping[str, object]) -> str:
    """Return the script for a model. It contains only what that model needs."""
    return templates().get_template("predict.py.jinja").render(values)


@cache
def templates() -> Environment:
    """Return the templates of the files beside an exported model."""
    environment = Environment(
        loader=PackageLoader("headstart.exporting"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["escaped"] = escaped
    return environment


def run_script(
    folder: Path, files: Sequence[Path], *, batch: int = BATCH
) -> Iterator[dict[str, JsonValue]]:
    """Yield what the script in a folder prints about each file, in order.

    It runs in a process of its own, and sees nothing of this one.

    Raises:
        ExportError: It fails.
    """
    for names in _chunks([str(file.absolute()) for file in files]):
        command = [sys.executable, "-I", str(folder / SCRIPT), "--batch", str(batch), *names]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise ExportError(f"The exported model cannot be run: {reason}")
        lines = done.stdout.splitlines()
        if len(lines) != len(names):
            raise ExportError(
                f"The exported model gave {len(lines):,} answers for {len(names):,} images."
            )
        yield from map(json.loads, lines)


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    chunk, length = list[str](), 0
    for name in names:
        if chunk and length + len(name) > _CHARACTERS:
            yield chunk
            chunk, length = [], 0
        chunk.append(name)
        length += len(name) + 3
    if chunk:
        yield chunk
