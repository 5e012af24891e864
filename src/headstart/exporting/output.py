"""The folder of an export: it is written completely or not at all, and replaces no other files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.errors import OutputError, reason_of
from headstart.exporting.formats import FORMATS
from headstart.exporting.script import FIRST_LINE, SCRIPT
from headstart.files import atomic_replace
from headstart.options import ExportOptions

README = "README.md"


@contextmanager
def new_export(options: ExportOptions) -> Iterator[tuple[Path, Path]]:
    """Yield a folder that becomes the export if there is no error, and another for other files.

    Raises:
        OutputError: The folder exists, or it cannot be written.
    """
    out = options.out.absolute()
    check_output(out, overwrite=options.overwrite)
    try:
        with TemporaryDirectory() as work, atomic_replace(out) as partial:
            partial.mkdir()
            yield partial, Path(work)
    except OSError as error:
        raise OutputError(f"Output '{out}' cannot be written: {reason_of(error)}.") from None


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Check that an export may be written to a folder, before anything slow.

    Raises:
        OutputError: It exists and is not an earlier export, or `overwrite` is false.
    """
    try:
        if not folder.exists():
            return
        is_ours = folder.is_dir() and _is_export(folder)
    except OSError as error:
        raise OutputError(f"Output '{folder}' cannot be read: {reason_of(error)}.") from None
    if not overwrite:
        raise OutputError(f"Output '{folder}' already exists. Pass --overwrite to replace it.")
    if not is_ours:
        raise OutputError(
            f"Output '{folder}' is not an earlier export, so it was not replaced. "
            "Choose another folder."
        )


def file_sizes(folder: Path) -> tuple[tuple[str, int], ...]:
    """Return name and bytes of each file in a folder."""
    return tuple((file.name, file.stat().st_size) for file in sorted(folder.iterdir()))


def _is_export(folder: Path) -> bool:
    """Return whether a folder is empty, or has the files of an export and no others."""
    names = {file.name for file in folder.iterdir()}
    files = {SCRIPT, README, *(kind.file for kind in FORMATS.values()), "model.bin"}
    begun = (folder / SCRIPT).read_text("utf-8", "replace") if SCRIPT in names else ""
    return not names or (names <= files and begun.startswith(FIRST_LINE))
