"""The standalone script beside an exported model, and how to run it as another program would."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import JsonValue

from headstart.arrays import Floats, Pixels
from headstart.errors import ExportError
from headstart.predictor.card import escaped

SCRIPT = "predict.py"
FIRST_LINE = '"""Predict with the model beside this file'
BATCH = 16
"""The number of images that the script passes to the model at a time."""

_RUN = """
import runpy, sys
from pathlib import Path

import numpy as np

script, images, *batches = sys.argv[1:]
_, run = runpy.run_path(script)["load"](Path(script).parent)
images = np.load(images)
for batch in map(int, batches):
    starts = range(0, len(images), batch)
    parts = [list(map(np.asarray, run(images[start : start + batch]))) for start in starts]
    np.savez(f"{batch}.npz", *map(np.concatenate, zip(*parts)))
"""

# So many characters of paths fit on any command line.
_CHARACTERS = 20_000


def script(values: Mapping[str, object]) -> str:
    """Return the script for a model. It contains only what that model needs."""
    return templates().get_template("predict.py.jinja").render(values)


def detecting_script(values: Mapping[str, object]) -> str:
    """Return the script for a detector."""
    return templates().get_template("detect.py.jinja").render(values)


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
        lines = _run(command).splitlines()
        if len(lines) != len(names):
            raise ExportError(
                f"The exported model gave {len(lines):,} answers for {len(names):,} images."
            )
        yield from map(json.loads, lines)


def run_network(
    folder: Path, images: Pixels, work: Path, *, batches: Sequence[int]
) -> list[list[Floats]]:
    """Return the outputs of the exported file as its runtime computes them, for each batch size.

    It runs in a process of its own, through the function of the script.

    Args:
        folder: The exported file with its script.
        images: The input of the network, (images, size, size, 3).
        work: A folder for files.
        batches: The numbers of images to pass at a time.

    Raises:
        ExportError: It fails.
    """
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "images.npy", images)
    arguments = [str((folder / SCRIPT).absolute()), "images.npy", *map(str, batches)]
    _run([sys.executable, "-I", "-c", _RUN, *arguments], work)
    outputs = []
    for batch in batches:
        with np.load(work / f"{batch}.npz") as file:
            outputs.append(list(file.values()))
    return outputs


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Return what a program prints.

    Raises:
        ExportError: It fails; the last line of its error is repeated.
    """
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False, cwd=folder
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ExportError(f"The exported model cannot be run: {reason}")
    return done.stdout


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
