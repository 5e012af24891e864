"""Where a run goes: decided, and reserved, before any work is done."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headstart.errors import OutputError
from headstart.record import FILE


def choose_folder(out: Path | None, name: str, *, overwrite: bool) -> Path:
    """Decide where a run goes, before any work is done.

    Args:
        out: What the user asked for, or None for runs/NAME, or runs/NAME-2 and so on.
        name: Of the data.
        overwrite: Whether an earlier run may be replaced.

    Raises:
        OutputError: The folder exists, or is no run although it may be replaced.
    """
    if out is None:
        return _next_free(re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")
    if out.resolve() == Path.cwd():
        raise OutputError(f"Output '{out}' is the folder you stand in. Name a folder within it.")
    parent = next(one for one in out.resolve().parents if one.exists())
    if not parent.is_dir():
        raise OutputError(f"Output '{out}' cannot be written: Not a directory.")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"Output '{out}' cannot be written: Permission denied.")
    if out.exists() and not _is_empty(out):
        if not overwrite:
            raise OutputError(
                f"Output '{out}' already exists. Pass --overwrite (overwrite=True) to replace it."
            )
        if not (out / FILE).is_file():
            raise OutputError(
                f"Output '{out}' exists and is no run of headstart, so it is not replaced. "
                "Choose another folder."
            )
    return out


@contextmanager
def reserved_folder(out: Path | None, name: str, *, overwrite: bool) -> Iterator[Path]:
    """Choose a folder, and remove it again if nothing came to be written into it."""
    run = choose_folder(out, name, overwrite=overwrite)
    try:
        yield run
    finally:
        with suppress(OSError):
            run.rmdir()  # Only if it is empty.


def _next_free(stem: str) -> Path:
    """Make the first of runs/NAME, runs/NAME-2, … that is not there: another run cannot take it."""
    for number in range(1, 10**6):
        run = Path("runs", stem if number == 1 else f"{stem}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"Output '{run}' cannot be written: {error.strerror}.") from None
        return run
    raise OutputError(f"There are a million runs of '{stem}'. Pass --out.")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
