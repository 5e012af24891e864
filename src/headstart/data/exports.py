"""Data sets in several Parquet files, as Hugging Face exports them: the files name the split."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from headstart.data.formats import is_image_file
from headstart.data.interpretation import Interpretation
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.paths import data_name, list_names, walk_files
from headstart.data.split_names import split_of
from headstart.data.tables import read_table
from headstart.errors import DataError

# As in train-00000-of-00002.parquet and train_1.parquet.
_SHARD = re.compile(r"[-_.]?\d+([-_]of[-_]\d+)?([-_][0-9a-f]{16})?$")


def find_exported(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder without images, if their names are parts of a split."""
    files = []
    for file in walk_files(folder, on_unreadable=lambda _: None):
        if file.suffix.lower() == ".parquet":
            files.append(file)
        elif is_image_file(file):
            return []
    return files if files and all(map(part_of_file, files)) else []


def read_exported(
    data: Path | str,
    folder: Path,
    files: Sequence[Path],
    staging: Path,
    interpretation: Interpretation,
) -> Source:
    """Read the Parquet files of a data set, each as the part of the split that it is named after.

    Args:
        data: What the user passed: the folder, or the archive that it was unpacked from.
        folder: The folder.
        files: See `find_exported`.
        staging: Folder for embedded images.
        interpretation: How the tables are to be understood.

    Raises:
        DataError: They belong to several data sets, one has a split of its own, or see
            `tables.read_table`.
        OptionError: The group or a slice is not a column.
    """
    _check_one_data_set(data, folder, files)
    sources = {file: read_table(file, staging, interpretation) for file in files}
    entries = [entry for file, source in sources.items() for entry in _entries(file, source)]
    counts = Counter(map(part_of_file, files))
    parts = ", ".join(f"{count} {part}" for part, count in counts.items())
    sentences = dict.fromkeys(text for source in sources.values() for text in source.understood)
    split = f"Split: the names of the Parquet files ({parts})."
    warnings = dict.fromkeys(text for source in sources.values() for text in source.warnings)
    several, boxes = _same_labels(data, sources)
    guessed = next((one.guessed_group for one in sources.values() if one.guessed_group), None)
    return Source(
        *(data_name(data), entries, (split, *sentences), tuple(warnings), several),
        guessed_group=guessed,
        boxes=boxes,
    )


def _same_labels(data: object, sources: Mapping[Path, Source]) -> tuple[str | None, str | None]:
    """Return where all tables have several labels per image, and where boxes; None without them."""
    boxes = next((source.boxes for source in sources.values() if source.boxes), None)
    found = {(source.several, source.task): file for file, source in sources.items()}
    if len(found) > 1:
        first, second, *_ = found.values()
        raise DataError(
            f"The tables of '{data}' differ in where their labels are: compare '{first.name}' and "
            f"'{second.name}'."
        )
    (several, _), *_ = found
    return several, boxes


def part_of_file(file: Path) -> str | None:
    """Return the part that a file is named after, or else its folder."""
    return split_of(_SHARD.sub("", file.stem)) or split_of(file.parent.name)


def _check_one_data_set(data: object, folder: Path, files: Sequence[Path]) -> None:
    """Refuse the files of several configurations, which have the same images."""
    by_name = {file: split_of(_SHARD.sub("", file.stem)) is not None for file in files}
    around = {file.parent if named else file.parent.parent for file, named in by_name.items()}
    if len(around) > 1:
        names = [path.relative_to(folder).as_posix() for path in sorted(around)]
        raise DataError(
            f"'{data}' has the tables of several data sets, in {list_names(names)}. Pass one of "
            "these folders."
        )


def _entries(file: Path, source: Source) -> list[Entry]:
    if source.splits:
        raise DataError(
            f"It is unclear whether the split of '{file}' is in its name or in its column. Remove "
            "the column, or pass a table with the images of all parts."
        )
    part = part_of_file(file)
    return [
        replace(entry, image=f"{file.name}/{entry.image}", split=part) for entry in source.entries
    ]
