"""Understand data: which images there are, with which labels, splits and groups.

Everything that decides how data is understood is here and in the modules that this one calls:
folders (`folders`, `layouts`), tables (`tables`, `table_files`, `delimited`, `columns`,
`image_cells`, `locating`, `exports`), boxes (`boxes/`), labels (`labelling`, `label_columns`,
`label_cells`, `separators`, `merging`), groups (`path_groups`) and archives.
"""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from headstart.data import archives, tables
from headstart.data.boxes.annotations import BoxSet
from headstart.data.boxes.finding import find_boxes, find_boxes_of_file, may_be_label
from headstart.data.boxes.near_misses import boxes_without_images, json_problem, why_no_boxes
from headstart.data.boxes.sources import box_source, without_unknown_labels
from headstart.data.exports import find_exported, read_exported
from headstart.data.folders import list_folder, name_problem
from headstart.data.formats import TABLE_SUFFIXES, is_table
from headstart.data.labelling import Labelling
from headstart.data.labels import normalised, read_labels, write_labels
from headstart.data.listing import Source
from headstart.data.locating import check_some_exist
from headstart.data.medical.listing import table_of_medical_images, with_medical_images
from headstart.data.medical.volumes import Reading
from headstart.data.path_groups import grouped_by_path
from headstart.data.paths import data_name, existing_path, list_names, printable
from headstart.data.slicing import check_slices
from headstart.errors import DataError, OptionError

_MIN_GROUPS = 2
_MIN_CLASSES = 2


def open_source(
    data: str | os.PathLike[str],
    *,
    staging: Path,
    group: str | None = None,
    known: Collection[str] = (),
    labelling: Labelling | None = None,
    slices: Sequence[str] = (),
    reading: Reading | None = None,
) -> Source:
    """List the images of a folder, a table or an archive.

    The source says whether its images have one label or several or boxes, see `Source.task`.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a table, a
            folder of Parquet files that are named after the parts of a split, a folder with boxes
            in a usual format, a JSON file of COCO, a YAML file of YOLO, or a zip or tar of a
            folder.
        staging: Folder for unpacked archives and embedded images.
        group: A column of the table, or a regular expression on the image's path.
        known: The classes of a trained model, if there is one.
        labelling: What the user says about the labels.
        slices: The columns of the table by which results are sliced.
        reading: How medical images are read, if the user or a trained model says so.

    Raises:
        DataError: It does not exist, is of an unknown kind, has no images, or cannot be
            understood with certainty. A column of `slices` has more than 50 values.
        OptionError: `group` is neither a column nor a regular expression with a group, or an option
            for the labels has no effect. The data has no such column of `slices`.
    """
    path, labelling = _existing(data), labelling or Labelling()
    if path.is_file() and is_table(path):
        source = tables.read_table(
            path, staging=staging, group=group, labelling=labelling, known=known, slices=slices
        )
        check_some_exist(path, source.entries)
    elif path.is_file() and archives.is_archive(path):
        source = _read_folder(
            archives.unpack(path, staging), path, staging, group, known, labelling, slices
        )
    elif path.is_dir():
        source = _read_folder(path, path, staging, group, known, labelling, slices)
    elif path.is_file() and (found := find_boxes_of_file(path)):
        if labelling.task not in ("auto", "boxes"):
            raise DataError(f"'{data}' has boxes. Omit --task, or pass --task boxes.")
        boxes = found.read(staging=staging, group=group, slices=slices)
        source = _source_of_boxes(boxes, path, group, labelling)
    else:
        raise _unknown_kind(path)
    if not source.entries:
        raise DataError(
            f"'{data}' has no images. Pass a folder with one subfolder per class, "
            "with files such as .jpg, .png, .webp or .tif in them."
        )
    source = with_medical_images(source, staging, reading, required=not known)
    check_slices(entry.slices for entry in source.entries if not entry.rejected)
    if source.boxes and known:
        source = without_unknown_labels(source, known)
    if source.several and known:
        source = _without_unknown_labels(source, known)
    return _without_lone_train_part(source if known else _with_guess(source))


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


def _read_folder(
    folder: Path,
    data: Path,
    staging: Path,
    group: str | None,
    known: Collection[str],
    labelling: Labelling,
    slices: Sequence[str],
) -> Source:
    """List the images of a folder, with their boxes if it has some, or of the tables in it."""
    if files := find_exported(folder):
        return read_exported(
            *(data, folder, files),
            staging=staging,
            group=group,
            labelling=labelling,
            known=known,
            slices=slices,
        )
    found = find_boxes(folder)
    if labelling.task == "boxes" and found is None:
        raise _no_boxes(folder, data)
    classes = _class_folders(folder, data, known) if found else set()
    if found and labelling.task in ("auto", "boxes"):
        boxes = found.read(staging=staging, group=group, slices=slices)
        if labelling.task == "boxes" or not classes:
            return _source_of_boxes(boxes, data, group, labelling)
        if 2 * boxes.annotated >= len(found.files.images):
            source = _source_of_boxes(boxes, data, group, labelling)
            sentence = (
                f"The folders {list_names(sorted(classes), 3)} might be labels: to use them, pass "
                "--task single."
            )
            return replace(source, understood=(*source.understood, sentence))
    if table := table_of_medical_images(folder):
        try:
            read = tables.read_table(
                table, staging=staging, group=group, labelling=labelling, known=known, slices=slices
            )
            check_some_exist(table, read.entries)
        except DataError:
            if not _has_folders(folder):  # Otherwise, they are the labels.
                raise
        else:
            sentence = f"The table is '{printable(table.relative_to(folder).as_posix())}'."
            return replace(read, name=data_name(data), understood=(sentence, *read.understood))
    if slices:
        raise OptionError(
            f"--slices '{','.join(slices)}' names columns of a table, and '{data}' is not a table. "
            "Pass a table with these columns, such as a CSV file."
        )
    labelling.check("for a folder, whose folders are the labels")
    if found and not classes:
        raise DataError(
            f"'{data}' has no class folders, but boxes in {found.kind}. Omit --task, or pass "
            "--task boxes."
        )
    source = grouped_by_path(_list_folder(folder, data, known, labelling), group)
    if found:
        sentence = f"The boxes in {found.kind} are not read: to use them, pass --task boxes."
        source = replace(source, understood=(*source.understood, sentence))
    return _with_several(source) if labelling.task == "multi" else source


def _no_boxes(folder: Path, data: Path) -> DataError:
    if kinds := boxes_without_images(folder):
        return _no_images(data, kinds)
    if reasons := why_no_boxes(folder):
        return DataError(f"'{data}' has no boxes that can be read: {'; '.join(reasons)}.")
    return DataError(
        f"'{data}' has no boxes. Pass a folder with images and files of COCO, Pascal VOC or YOLO, "
        "or a table with the columns path, x1, y1, x2, y2 and label."
    )


def _list_folder(folder: Path, data: Path, known: Collection[str], labelling: Labelling) -> Source:
    """List a folder of class folders; if it has fewer than two, boxes may have been meant.

    Raises:
        DataError: See `list_folder`, or files that may be meant as boxes cannot be read.
    """
    may_be_boxes = labelling.task == "auto" and not known
    try:
        source = list_folder(folder, data, known)
    except DataError as error:
        if may_be_boxes and (kinds := boxes_without_images(folder)):
            raise _no_images(data, kinds) from None
        if may_be_boxes and (reasons := why_no_boxes(folder)):
            raise _neither(data, reasons) from None
        raise error from None
    few = len({entry.label for entry in source.entries if entry.label}) < _MIN_CLASSES
    if may_be_boxes and few and (reasons := why_no_boxes(folder)):
        raise _neither(data, reasons)
    return source


def _no_images(data: Path, kinds: str) -> DataError:
    return DataError(
        f"'{data}' has no images, but boxes in {kinds}. Put the images there, or pass the folder "
        "that has both."
    )


def _neither(data: Path, reasons: Sequence[str]) -> DataError:
    return DataError(
        f"'{data}' has neither several class folders nor boxes that can be read: "
        f"{'; '.join(reasons)}."
    )


def _class_folders(folder: Path, data: Path, known: Collection[str]) -> set[str]:
    """Return the names of class folders, if there are several or a trained model has one."""
    try:
        entries = list_folder(folder, data, known).entries
    except DataError:
        return set()
    labels = {entry.label for entry in entries if entry.label and may_be_label(entry.label)}
    return labels if len(labels) > 1 or labels & set(known) else set()


def _source_of_boxes(boxes: BoxSet, data: Path, group: str | None, labelling: Labelling) -> Source:
    """Return the source of boxes in a folder or a file.

    Raises:
        DataError: None of the images exist, or none has a box.
        OptionError: An option for labels or groups has no effect.
    """
    labelling.check("for boxes")
    source = box_source(data_name(data), boxes)
    by_column = any(entry.group for entry in source.entries)
    return source if by_column else grouped_by_path(source, group)


def _has_folders(folder: Path) -> bool:
    return sum(inside.is_dir() for inside in folder.iterdir()) > 1


def _with_several(source: Source) -> Source:
    """Return the source of a folder, of which an image may be in the folders of several labels."""
    entries = [
        replace(entry, label=write_labels({entry.label: True}) if entry.label else None)
        for entry in source.entries
    ]
    return replace(source, entries=entries, several="the folders", copies_are_one=True)


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
