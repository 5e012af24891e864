"""The folder of a run, chosen and reserved before any work is done."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headstart.errors import OptionError, OutputError
from headstart.record import FILE
from headstart.runs.unfinished import Request, find_unfinished
from headstart.watching import Note, no_note

REPORT = "report.html"
"""The name of the report in the folder of a run or an evaluation."""

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.parquet"
"""The other files in the folder of an evaluation."""

_OF_FILES = (".html", ".htm", ".json", ".csv", ".parquet", ".pdf")

RUNS = Path("runs")
"""The folder of runs for which the user has named none."""


def choose_folder(
    out: Path | None, name: str, *, overwrite: bool, resume: Request | None = None
) -> Path:
    """Choose the folder of a run, before any work is done.

    Args:
        out: The folder that the user passed, or None for runs/NAME, runs/NAME-2 and so on.
        name: The name of the data.
        overwrite: Whether an existing run may be replaced.
        resume: The request to resume, in the folder of its unfinished run; None to start anew.

    Raises:
        OutputError: The folder exists and may not be replaced, is not a run, or cannot be
            written.
    """
    if out is None:
        unfinished = find_unfinished(resume, RUNS) if resume else None
        return unfinished or _next_free(_stem(name))
    if _has_files(out):
        _check_existing(out, overwrite=overwrite, resume=resume)
    return out


def check_evaluation_folder(out: Path, *, overwrite: bool) -> None:
    """Check the folder of an evaluation, before any work is done.

    Raises:
        OptionError: It has the name of a file.
        OutputError: The folder exists and may not be replaced, is not an evaluation, or cannot be
            written.
    """
    if out.suffix.lower() in _OF_FILES:
        raise OptionError(
            f"Output '{out}' has the name of a file, but it is a folder, for {REPORT}, "
            f"{EVALUATION} and {PREDICTIONS}. Pass --out {out.with_suffix('')}"
        )
    if _has_files(out):
        _check_replaceable(out, EVALUATION, "evaluation", overwrite=overwrite)


def check_page(file: Path | None, *, overwrite: bool) -> None:
    """Check a file to be written, before any work is done.

    Raises:
        OutputError: It exists and may not be replaced, or cannot be written.
    """
    if file is None:
        return
    if file.is_dir():
        raise OutputError(f"Output '{file}' is a folder. Pass the name of a file.")
    if file.exists() and not overwrite:
        raise OutputError(
            f"Output '{file}' already exists. Pass --overwrite (overwrite=True) to replace it."
        )
    check_writable(file)


def _has_files(out: Path) -> bool:
    """Return whether a folder to be written exists and is not empty.

    Raises:
        OutputError: It is the current folder, or cannot be written.
    """
    if out.resolve() == Path.cwd():
        raise OutputError(
            f"Output '{out}' is the current folder, which cannot be replaced. Choose a subfolder."
        )
    check_writable(out)
    return out.exists() and not _is_empty(out)


def _check_existing(out: Path, *, overwrite: bool, resume: Request | None) -> None:
    """Check that a folder with files is resumed, or a run that may be replaced."""
    unfinished = Request.read(out)
    if unfinished and resume:
        if differences := unfinished.differences(resume):
            raise OutputError(
                f"Output '{out}' has an unfinished training that differs: {differences}. "
                "Use the same data and options, or choose another folder."
            )
        return
    if unfinished and not overwrite:
        raise OutputError(
            f"Output '{out}' has an unfinished training. Pass --resume (resume=True) to continue "
            "it, or --overwrite (overwrite=True) to replace it."
        )
    if resume and not overwrite:
        raise OutputError(
            f"Output '{out}' already exists and has nothing to resume. "
            "Pass --overwrite (overwrite=True) to replace it."
        )
    if not unfinished:
        _check_replaceable(out, FILE, "run", overwrite=overwrite)


def _check_replaceable(out: Path, content: str, kind: str, *, overwrite: bool) -> None:
    """Check that a folder with files may be replaced.

    Args:
        out: The folder.
        content: The file that a folder of this kind has.
        kind: "run" or "evaluation", for the message.
        overwrite: Whether an existing folder of this kind may be replaced.
    """
    if not overwrite:
        raise OutputError(
            f"Output '{out}' already exists. Pass --overwrite (overwrite=True) to replace it."
        )
    if not (out / content).is_file():
        raise OutputError(
            f"Output '{out}' exists but is not a headstart {kind}, so it was not replaced. "
            "Choose another folder."
        )


def check_writable(out: Path) -> None:
    """Check that a file or folder can be created in the first existing folder above it.

    Raises:
        OutputError: That is not a folder, or access is denied.
    """
    parent = next(folder for folder in out.resolve().parents if folder.exists())
    if not parent.is_dir():
        raise OutputError(f"Output '{out}' cannot be written: Not a directory.")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"Output '{out}' cannot be written: Permission denied.")


@contextmanager
def reserved_folder(
    out: Path | None,
    name: str,
    *,
    overwrite: bool,
    resume: Request | None = None,
    note: Note = no_note,
) -> Iterator[Path]:
    """Yield the folder of a run, and remove it afterwards if it is still empty.

    It is said if the folder is not the usual one because of an earlier run.
    """
    run = choose_folder(out, name, overwrite=overwrite, resume=resume)
    usual = run.with_name(_stem(name))
    if out is None and run != usual and not Request.read(run):
        note(f"'{usual}' exists and is kept, so this run goes to '{run}'.")
    try:
        yield run
    finally:
        with suppress(OSError):
            run.rmdir()  # Fails unless the folder is empty.


def _stem(name: str) -> str:
    """Return the name of the data as a plain name of a folder."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


def _next_free(stem: str) -> Path:
    """Create the first of runs/NAME, runs/NAME-2, … that does not exist, so that it is taken."""
    for number in range(1, 10**6):
        run = RUNS / (stem if number == 1 else f"{stem}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"Output '{run}' cannot be written: {error.strerror}.") from None
        return run
    raise OutputError(f"There are already a million runs named '{stem}'. Pass --out.")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
