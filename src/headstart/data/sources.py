"""Understand data: which images there are, with which labels, splits and groups.

What the user says about data is an `Interpretation`. Everything else that decides how it is
understood is here and in the modules that this one calls: folders (`folder_sources`, `folders`,
`layouts`), tables (`tables`, `table_files`, `delimited`, `columns`, `image_cells`, `locating`,
`exports`), boxes (`boxes/`), labels (`labelling`, `label_columns`, `label_cells`, `separators`,
`merging`), groups (`path_groups`), archives, shards, and data in object stores (`url_sources`).
"""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from headstart.data import archives, tables
from headstart.data.boxes.finding import find_boxes_of_file
from headstart.data.boxes.near_misses import json_problem
from headstart.data.boxes.sources import without_unknown_labels
from headstart.data.folder_sources import read_folder, source_of_boxes
from headstart.data.folders import name_problem
from headstart.data.formats import TABLE_SUFFIXES, is_table
from headstart.data.interpretation import Interpretation
from headstart.data.labels import normalised, read_labels, write_labels
from headstart.data.listing import Source
from headstart.data.locating import check_some_exist
from headstart.data.medical.files import is_medical_name
from headstart.data.medical.listing import with_medical_images
from headstart.data.paths import existing_path, list_names, object_url, printable
from headstart.data.shards import (
    Shard,
    is_pattern,
    is_shard,
    is_shard_name,
    local_shards,
    read_shards,
    shards_in,
)
from headstart.data.slicing import check_slices
from headstart.data.url_sources import read_url_source
from headstart.errors import DataError
from headstart.urls import is_url

_MIN_GROUPS = 2
_REMOTE_MEDICAL = "medical images are read only from this machine; copy the data here"


def open_source(
    data: str | os.PathLike[str],
    staging: Path,
    interpretation: Interpretation | None = None,
) -> Source:
    """List the images of a folder, a table or an archive.

    The source says whether its images have one label or several or boxes, see `Source.task`.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a table, a
            folder of Parquet files that are named after the parts of a split, a folder with boxes
            in a usual format, a JSON file of COCO, a YAML file of YOLO, a zip or tar of a folder,
            WebDataset shards, or the URL of a folder, a table, an archive or shards in an object
            store.
        staging: Folder for unpacked archives and embedded images.
        interpretation: How it is to be understood, if the user or a trained model says so.

    Raises:
        DataError: It does not exist, is of an unknown kind, has no images, or cannot be
            understood with certainty. A column of the slices has more than 50 values.
        OptionError: The group is neither a column nor a regular expression with a group, or an
            option for the labels has no effect. The data has no such column for the slices.
    """
    interpretation = interpretation or Interpretation()
    known = interpretation.labelling.known
    if url := object_url(data):
        source = read_url_source(url, staging, interpretation)
    else:
        source = _read_local(data, staging, interpretation)
    if not source.entries:
        raise DataError(
            f"'{data}' has no images. Pass a folder with one subfolder per class, "
            "with files such as .jpg, .png, .webp or .tif in them."
        )
    source = _without_remote_medical(source)
    source = with_medical_images(source, staging, interpretation.reading, required=not known)
    check_slices(entry.slices for entry in source.entries if not entry.rejected)
    if source.boxes and known:
        source = without_unknown_labels(source, known)
    if source.several and known:
        source = _without_unknown_labels(source, known)
    return _without_lone_train_part(source if known else _with_guess(source))


def _read_local(
    data: str | os.PathLike[str], staging: Path, interpretation: Interpretation
) -> Source:
    """List the images of data on this machine."""
    if is_pattern(os.fspath(data)) and not Path(data).exists():
        pattern = os.fspath(data)
        return read_shards(pattern, local_shards(pattern), staging, interpretation)
    path = _existing(data)
    if path.is_file() and is_table(path):
        source = tables.read_table(path, staging, interpretation)
        check_some_exist(path, source.entries)
        return source
    if shards := _shards(path):
        return read_shards(str(path), shards, staging, interpretation)
    if path.is_file() and archives.is_archive(path):
        return read_folder(archives.unpack(path, staging), path, staging, interpretation)
    if path.is_dir():
        return read_folder(path, path, staging, interpretation)
    if path.is_file() and (found := find_boxes_of_file(path)):
        if interpretation.labelling.task not in ("auto", "boxes"):
            raise DataError(f"'{data}' has boxes. Omit --task, or pass --task boxes.")
        return source_of_boxes(found.read(staging, interpretation), path, interpretation)
    raise _unknown_kind(path)


def _shards(path: Path) -> list[Shard]:
    """Return the shards of a folder, or the one that a file is; none for other data."""
    if path.is_dir():
        return list(map(Shard.of, shards_in(path)))
    return [Shard.of(path)] if is_shard_name(path.name) and is_shard(path) else []


def _without_remote_medical(source: Source) -> Source:
    """Reject medical images in object stores, as their patients would not be known."""
    entries = [
        replace(entry, rejected=_REMOTE_MEDICAL)
        if is_url(entry.path) and is_medical_name(entry.path)
        else entry
        for entry in source.entries
    ]
    return replace(source, entries=entries)


def _with_guess(source: Source) -> Source:
    """Warn of a column that may be groups; without repeated values, it is not one."""
    if source.guessed_group is None:
        return source
    values = [entry.guessed_group for entry in source.entries if not entry.rejected]
    counts = Counter(value for value in values if value is not None)
    if len(counts) < _MIN_GROUPS or max(counts.values()) < _MIN_GROUPS:
        entries = [replace(entry, guessed_group=None) for entry in source.entries]
        return replace(source, entries=entries, guessed_group=None)
    column = source.guessed_group
    warning = (
        f"The column '{column}' has {len(counts):,} different values for {counts.total():,} images;"
        f" if images with the same value belong together, keep them on one side of the split with "
        f"--group '{column}'."
    )
    return replace(source, warnings=(*source.warnings, warning))


def _without_unknown_labels(source: Source, known: Collection[str]) -> Source:
    """Write labels as a trained model does, without those that it does not have."""
    written = {normalised(name): name for name in known}
    unknown: dict[str, None] = {}
    entries = []
    for entry in source.entries:
        labels = read_labels(entry.label or "{}")
        unknown |= dict.fromkeys(name for name in labels if name not in written)
        kept = {written[name]: value for name, value in labels.items() if name in written}
        entries.append(replace(entry, label=write_labels(kept) if entry.label else None))
    found = [read_labels(entry.label) for entry in entries if entry.label]
    values = [value for labels in found for value in labels.values()]
    if unknown and all(value is None for value in values):
        raise DataError(
            f"The model has none of the labels of these images: {list_names(sorted(unknown))}. Its "
            f"labels are {list_names(sorted(known))}. Rename them, or name the columns of the "
            "labels with --labels."
        )
    sentences = []
    if unknown:
        sentences.append(
            f"Labels that the model does not have, not used: {list_names(sorted(unknown))}."
        )
    present = {name for labels in found for name in labels}
    listed = all(values)  # Labels that are not listed are absent.
    if listed and (missing := sorted(set(known) - present)):
        sentences.append(
            f"Labels of the model that no image has, taken as absent: {list_names(missing)}."
        )
    return replace(source, entries=entries, warnings=(*source.warnings, *sentences))


def _unknown_kind(path: Path) -> DataError:
    is_json = path.is_file() and path.suffix.lower() == ".json"
    if is_json and (problem := json_problem(path)):
        return DataError(f"'{path}' has no boxes that can be read: {problem}.")
    hints = {
        **dict.fromkeys((".xlsx", ".xls", ".ods"), " Save it as a CSV file."),
        **dict.fromkeys((".json", ".txt"), " Save it as a CSV file."),
        **dict.fromkeys((".7z", ".rar", ".gz", ".bz2", ".xz"), " Unpack it first."),
    }
    return DataError(
        f"'{path}' is not a folder, a table ({', '.join(TABLE_SUFFIXES)}) or an archive (.zip, "
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
