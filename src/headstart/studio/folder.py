"""The images of a project's folder, and the labels that its class folders give them."""

from pathlib import Path

from headstart.data.folders import list_folder
from headstart.data.formats import is_image_file
from headstart.data.paths import walk_files
from headstart.errors import DataError
from headstart.studio.acts import Found


def images_in(folder: Path) -> list[Found]:
    """List the images of a folder, by path, with the label and the part that its folders give.

    Hidden folders are left out, as `train` does. A single folder is no class.

    Raises:
        DataError: The folder cannot be read.
    """
    known = _labelled_in(folder)
    files = sorted(file for file in walk_files(folder) if is_image_file(file))
    names = [file.relative_to(folder).as_posix() for file in files]
    return [known.get(name, Found(name)) for name in names if _is_text(name)]


def _labelled_in(folder: Path) -> dict[str, Found]:
    """Return the images in class folders; none if it is unclear which those are."""
    try:
        entries = list_folder(folder, folder).entries
    except DataError:
        return {}
    if len({entry.label for entry in entries} - {None}) < 2:
        return {}
    names = [Path(entry.path).relative_to(folder).as_posix() for entry in entries]
    return {
        name: Found(name, (entry.label,), split=entry.split or "")
        for name, entry in zip(names, entries, strict=True)
        if entry.label is not None
    }


def _is_text(name: str) -> bool:
    """Return whether a name can be written to a journal: on Linux, names may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
