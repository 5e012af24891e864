"""Folders, tables and archives of images, all turned into the same entries."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.data import archives, tables
from headstart.data.decoding import SUFFIXES
from headstart.data.manifest import SPLIT_NAMES, Entry
from headstart.data.paths import files_of, printable
from headstart.errors import DataError, OptionError


@dataclass(frozen=True)
class Source:
    """What was found, before any file was opened.

    Attributes:
        name: A short name for the data, from its path.
        entries: One for each image, in a fixed order.
    """

    name: str
    entries: list[Entry]


def open_source(data: str | Path, *, staging: Path, group: str | None = None) -> Source:
    """List the images of a folder, a table or an archive.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a CSV or
            Parquet file, or a zip or tar of a folder.
        staging: Folder for unpacked archives and embedded images.
        group: A column of the table, or a regular expression on the image's path.

    Raises:
        DataError: It does not exist, is of an unknown kind, or holds no image.
        OptionError: `group` is neither a column nor a regular expression with a group.
    """
    path = _existing(data)
    if path.is_file() and tables.is_table(path):
        entries = tables.read_table(path, staging=staging, group=group)
    elif path.is_file() and archives.is_archive(path):
        entries = _grouped(_folder_entries(archives.unpack(path, staging), path), group)
    elif path.is_dir():
        entries = _grouped(_folder_entries(path, path), group)
    else:
        raise DataError(
            f"'{data}' is no folder, no table (.csv, .parquet) and no archive (.zip, .tar)."
        )
    if not entries:
        raise DataError(
            f"'{data}' holds no images. Give a folder with one folder for each class, "
            "with files such as .jpg, .png, .webp or .tif in them."
        )
    return Source(data_name(path), entries)


def data_name(data: str | Path) -> str:
    """Return a short name for data: a folder's own, or a file's without its suffixes."""
    path = Path(data).expanduser().resolve()
    return path.name.split(".")[0] if path.is_file() else path.name


def _existing(data: str | Path) -> Path:
    path = Path(data).expanduser()
    try:
        found = path.exists()
    except OSError as error:
        raise DataError(f"Data '{data}' cannot be opened: {error.strerror}.") from None
    if not found:
        raise DataError(f"Data '{printable(str(data))}' does not exist.")
    if _name_problem(str(path.resolve())):
        raise DataError(
            f"The path of data '{printable(str(path.resolve()))}' is not valid UTF-8. "
            "Rename its folders."
        )
    return path


def _folder_entries(folder: Path, called: Path) -> list[Entry]:
    """Read a folder of class folders, or of split folders of class folders."""
    splits = _split_folders(folder)
    entries: list[Entry] = []
    inside = False
    for file in filter(_is_candidate, files_of(folder)):
        parts = file.relative_to(folder).parts
        split = splits.get(parts[0]) if len(parts) > 1 else None
        inner = parts[1:] if split else parts
        inside = inside or len(inner) > 1
        entries.append(_entry(file, "/".join(parts), inner, split))
    if entries and not inside:
        raise DataError(
            f"'{called}' has images but no class folders. Put each image into a folder named "
            "by its class, or give a CSV file with the columns 'path' and 'label'."
        )
    return entries


def _split_folders(folder: Path) -> dict[str, str]:
    """Map folder names to splits, if there are at least train and one to measure on."""
    try:
        folders = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError as error:
        raise DataError(f"Folder '{folder}' cannot be read: {error.strerror}.") from None
    found = {
        entry.name: SPLIT_NAMES[entry.name.lower()]
        for entry in folders
        if entry.name.lower() in SPLIT_NAMES
    }
    others = [
        entry
        for entry in folders
        if entry.name not in found
        and not entry.name.startswith(".")
        and any(map(_is_candidate, files_of(entry)))
    ]
    return found if "train" in found.values() and len(found) > 1 and not others else {}


def _entry(file: Path, name: str, inner: tuple[str, ...], split: str | None) -> Entry:
    problem = _name_problem(name)
    if problem:
        return Entry(printable(name), printable(str(file)), rejected=problem)
    label = inner[0] if len(inner) > 1 else None
    reason = None if label else "it lies beside the class folders, not in one of them"
    return Entry(name, str(file), label=label, split=split, rejected=reason)


def _is_candidate(file: Path) -> bool:
    """Leave out notes and tables that lie about; keep anything named like an image."""
    return file.suffix.lower() in SUFFIXES


def _name_problem(name: str) -> str | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    return None


def _grouped(entries: list[Entry], group: str | None) -> list[Entry]:
    if group is None:
        return entries
    pattern = _group_pattern(group)
    grouped = [replace(entry, group=_match(pattern, entry)) for entry in entries]
    if entries and all(entry.group is None for entry in grouped):
        raise OptionError(
            f"--group '{group}' matches no image's path. The first path is '{entries[0].image}'."
        )
    return grouped


def _group_pattern(group: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise OptionError(f"--group '{group}' is no regular expression: {error}.") from None
    if pattern.groups != 1:
        raise OptionError(
            f"--group '{group}' must have exactly one (group) to read from the path, "
            "like '(patient[0-9]+)'. For a folder it cannot be a column's name."
        )
    return pattern


def _match(pattern: re.Pattern[str], entry: Entry) -> str | None:
    match = pattern.search(entry.image)
    return match.group(1) if match else None
