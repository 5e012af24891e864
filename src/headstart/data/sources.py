"""List the images of folders, tables and archives as entries."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.data import archives, tables
from headstart.data.formats import SUFFIXES
from headstart.data.manifest import SPLIT_NAMES, Entry
from headstart.data.paths import printable, walk_files
from headstart.errors import DataError, OptionError


@dataclass(frozen=True)
class Source:
    """The images of a source, before any file is opened.

    Attributes:
        name: A short name for the data, from its path.
        entries: One entry per image, in a fixed order.
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
        DataError: It does not exist, is of an unknown kind, or has no images.
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
            f"'{data}' is not a folder, a table (.csv, .parquet) or an archive (.zip, .tar)."
        )
    if not entries:
        raise DataError(
            f"'{data}' has no images. Pass a folder with one subfolder per class, "
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


def _folder_entries(folder: Path, data: Path) -> list[Entry]:
    """Read a folder of class folders, or of split folders of class folders."""
    splits = _split_folders(folder)
    entries: list[Entry] = []
    has_class_folders = False
    for file in filter(_is_candidate, walk_files(folder)):
        parts = file.relative_to(folder).parts
        split = splits.get(parts[0]) if len(parts) > 1 else None
        inner = parts[1:] if split else parts
        has_class_folders = has_class_folders or len(inner) > 1
        entries.append(_entry(file, "/".join(parts), inner, split))
    if entries and not has_class_folders:
        raise DataError(
            f"'{data}' has images but no class folders. Put each image into a folder named "
            "after its class, or pass a CSV file with the columns 'path' and 'label'."
        )
    return entries


def _split_folders(folder: Path) -> dict[str, str]:
    """Map folder names to splits, if there are a train folder and a val or test folder."""
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
        and any(map(_is_candidate, walk_files(entry)))
    ]
    return found if "train" in found.values() and len(found) > 1 and not others else {}


def _entry(file: Path, name: str, inner: tuple[str, ...], split: str | None) -> Entry:
    problem = _name_problem(name)
    if problem:
        return Entry(printable(name), printable(str(file)), rejected=problem)
    label = inner[0] if len(inner) > 1 else None
    reason = None if label else "it is not in a class folder"
    return Entry(name, str(file), label=label, split=split, rejected=reason)


def _is_candidate(file: Path) -> bool:
    """Return whether a file has the suffix of an image."""
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
        raise OptionError(
            f"--group '{group}' is not a valid regular expression: {error}."
        ) from None
    if pattern.groups != 1:
        raise OptionError(
            f"--group '{group}' must have exactly one (group) to match in the path, "
            "such as '(patient[0-9]+)'. Column names are only for tables."
        )
    return pattern


def _match(pattern: re.Pattern[str], entry: Entry) -> str | None:
    match = pattern.search(entry.image)
    return match.group(1) if match else None
