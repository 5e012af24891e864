"""Understand data: which images there are, with which labels, splits and groups.

Everything that decides how data is understood is here and in the modules that this one calls:
folders (`folders`, `layouts`), tables (`tables`, `columns`, `delimited`, `locating`, `exports`) and
archives.
"""

import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from headstart.data import archives, tables
from headstart.data.exports import find_exported, read_exported
from headstart.data.folders import list_folder, name_problem
from headstart.data.listing import Source
from headstart.data.locating import check_some_exist
from headstart.data.manifest import Entry
from headstart.data.paths import existing_path, printable
from headstart.errors import DataError, OptionError


def open_source(
    data: str | os.PathLike[str],
    *,
    staging: Path,
    group: str | None = None,
    known: Collection[str] = (),
) -> Source:
    """List the images of a folder, a table or an archive.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a table, a
            folder of Parquet files that are named after the parts of a split, or a zip or tar of
            a folder.
        staging: Folder for unpacked archives and embedded images.
        group: A column of the table, or a regular expression on the image's path.
        known: The classes of a trained model, if there is one.

    Raises:
        DataError: It does not exist, is of an unknown kind, has no images, or cannot be
            understood with certainty.
        OptionError: `group` is neither a column nor a regular expression with a group.
    """
    path = _existing(data)
    if path.is_file() and tables.is_table(path):
        source = tables.read_table(path, staging=staging, group=group)
        check_some_exist(path, source.entries)
    elif path.is_file() and archives.is_archive(path):
        source = _read_folder(archives.unpack(path, staging), path, staging, group, known)
    elif path.is_dir():
        source = _read_folder(path, path, staging, group, known)
    else:
        raise _unknown_kind(path)
    if not source.entries:
        raise DataError(
            f"'{data}' has no images. Pass a folder with one subfolder per class, "
            "with files such as .jpg, .png, .webp or .tif in them."
        )
    return _without_lone_train_part(source)


def _read_folder(
    folder: Path, data: Path, staging: Path, group: str | None, known: Collection[str]
) -> Source:
    """List the images of a folder, or of the Parquet files in it."""
    if files := find_exported(folder):
        return read_exported(data, folder, files, staging=staging, group=group)
    return _grouped(list_folder(folder, data, known), group)


def _unknown_kind(path: Path) -> DataError:
    hints = {
        **dict.fromkeys((".xlsx", ".xls", ".ods"), " Save it as a CSV file."),
        **dict.fromkeys((".json", ".txt"), " Save it as a CSV file."),
        **dict.fromkeys((".7z", ".rar", ".gz", ".bz2", ".xz"), " Unpack it first."),
    }
    return DataError(
        f"'{path}' is not a folder, a table ({', '.join(tables.SUFFIXES)}) or an archive (.zip, "
        f".tar).{hints.get(path.suffix.lower(), '')}"
    )


def _without_lone_train_part(source: Source) -> Source:
    """Remove a split that has only a training part, so that test images can be held out."""
    if {entry.split for entry in source.entries} != {"train"}:
        return source
    sentence = "The given split has only training images, so it is not used."
    return replace(
        source,
        entries=[replace(entry, split=None) for entry in source.entries],
        understood=(*source.understood, sentence),
    )


def _existing(data: str | os.PathLike[str]) -> Path:
    path = existing_path(data)
    if name_problem(str(path.resolve())):
        raise DataError(
            f"The path of data '{printable(str(path.resolve()))}' is not valid UTF-8. "
            "Rename its folders."
        )
    return path


def _grouped(source: Source, group: str | None) -> Source:
    if group is None:
        return source
    entries, pattern = source.entries, _group_pattern(group)
    grouped = [replace(entry, group=_match(pattern, entry)) for entry in entries]
    if entries and all(entry.group is None for entry in grouped):
        raise OptionError(
            f"--group '{group}' matches no image's path. The first path is '{entries[0].image}'."
        )
    found = len({entry.group for entry in grouped if entry.group is not None})
    sentence = f"Groups: {found:,} different matches of '{group}' in the paths."
    return replace(source, entries=grouped, understood=(*source.understood, sentence))


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
