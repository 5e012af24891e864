"""Understand a folder: class folders, images with boxes, or the tables in it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from headstart.data import tables
from headstart.data.boxes.annotations import BoxSet
from headstart.data.boxes.finding import find_boxes, may_be_label
from headstart.data.boxes.near_misses import boxes_without_images, why_no_boxes
from headstart.data.boxes.sources import box_source
from headstart.data.exports import find_exported, read_exported
from headstart.data.folders import list_folder
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.labels import write_labels
from headstart.data.listing import Source
from headstart.data.locating import check_some_exist
from headstart.data.medical.listing import table_of_medical_images
from headstart.data.path_groups import grouped_by_path
from headstart.data.paths import data_name, list_names, printable
from headstart.errors import DataError, OptionError

_MIN_CLASSES = 2


def read_folder(
    folder: Path, data: Path | str, staging: Path, interpretation: Interpretation
) -> Source:
    """List the images of a folder, with their boxes if it has some, or of the tables in it."""
    labelling = interpretation.labelling
    if files := find_exported(folder):
        return read_exported(data, folder, files, staging, interpretation)
    found = find_boxes(folder)
    if labelling.task == "boxes" and found is None:
        raise _no_boxes(folder, data)
    classes = _class_folders(folder, data, labelling.known) if found else set()
    if found and labelling.task in ("auto", "boxes"):
        boxes = found.read(staging, interpretation)
        if labelling.task == "boxes" or not classes:
            return source_of_boxes(boxes, data, interpretation)
        if 2 * boxes.annotated >= len(found.files.images):
            source = source_of_boxes(boxes, data, interpretation)
            sentence = (
                f"The folders {list_names(sorted(classes), 3)} might be labels: to use them, pass "
                "--task single."
            )
            return replace(source, understood=(*source.understood, sentence))
    if read := _read_medical_table(folder, data, staging, interpretation):
        return read
    check_class_folders(data, interpretation)
    if found and not classes:
        raise DataError(
            f"'{data}' has no class folders, but boxes in {found.kind}. Omit --task, or pass "
            "--task boxes."
        )
    source = grouped_by_path(_list_folder(folder, data, labelling), interpretation.group)
    if found:
        sentence = f"The boxes in {found.kind} are not read: to use them, pass --task boxes."
        source = replace(source, understood=(*source.understood, sentence))
    return with_several_labels(source) if labelling.task == "multi" else source


def _read_medical_table(
    folder: Path, data: Path | str, staging: Path, interpretation: Interpretation
) -> Source | None:
    """List the images of the table of a folder of medical images.

    None if it has no table, or if the table cannot be read and folders may be the labels.
    """
    table = table_of_medical_images(folder)
    if table is None:
        return None
    try:
        source = tables.read_table(table, staging, interpretation)
        check_some_exist(table, source.entries)
    except DataError:
        if not _has_folders(folder):
            raise
        return None
    sentence = f"The table is '{printable(table.relative_to(folder).as_posix())}'."
    return replace(source, name=data_name(data), understood=(sentence, *source.understood))


def check_class_folders(data: Path | str, interpretation: Interpretation) -> None:
    """Check that no option is for a table, as folders are the labels.

    Raises:
        OptionError: One is.
    """
    if slices := interpretation.slices:
        raise OptionError(
            f"--slices '{','.join(slices)}' names columns of a table, and '{data}' is not a table. "
            "Pass a table with these columns, such as a CSV file."
        )
    interpretation.labelling.check("for a folder, whose folders are the labels")


def _no_boxes(folder: Path, data: Path | str) -> DataError:
    if kinds := boxes_without_images(folder):
        return _no_images(data, kinds)
    if reasons := why_no_boxes(folder):
        return DataError(f"'{data}' has no boxes that can be read: {'; '.join(reasons)}.")
    return DataError(
        f"'{data}' has no boxes. Pass a folder with images and files of COCO, Pascal VOC or YOLO, "
        "or a table with the columns path, x1, y1, x2, y2 and label."
    )


def _list_folder(folder: Path, data: Path | str, labelling: Labelling) -> Source:
    """List a folder of class folders; if it has fewer than two, boxes may have been meant.

    Raises:
        DataError: See `list_folder`, or files that may be meant as boxes cannot be read.
    """
    may_be_boxes = labelling.task == "auto" and not labelling.known
    try:
        source = list_folder(folder, data, labelling.known)
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


def _no_images(data: Path | str, kinds: str) -> DataError:
    return DataError(
        f"'{data}' has no images, but boxes in {kinds}. Put the images there, or pass the folder "
        "that has both."
    )


def _neither(data: Path | str, reasons: Sequence[str]) -> DataError:
    return DataError(
        f"'{data}' has neither several class folders nor boxes that can be read: "
        f"{'; '.join(reasons)}."
    )


def _class_folders(folder: Path, data: Path | str, known: Collection[str]) -> set[str]:
    """Return the names of class folders, if there are several or a trained model has one."""
    try:
        entries = list_folder(folder, data, known).entries
    except DataError:
        return set()
    labels = {entry.label for entry in entries if entry.label and may_be_label(entry.label)}
    return labels if len(labels) > 1 or labels & set(known) else set()


def source_of_boxes(boxes: BoxSet, data: Path | str, interpretation: Interpretation) -> Source:
    """Return the source of boxes in a folder or a file.

    Raises:
        DataError: None of the images exist, or none has a box.
        OptionError: An option for labels or groups has no effect.
    """
    interpretation.labelling.check("for boxes")
    source = box_source(data_name(data), boxes)
    by_column = any(entry.group for entry in source.entries)
    return source if by_column else grouped_by_path(source, interpretation.group)


def _has_folders(folder: Path) -> bool:
    return sum(inside.is_dir() for inside in folder.iterdir()) > 1


def with_several_labels(source: Source) -> Source:
    """Return the source of a folder, of which an image may be in the folders of several labels."""
    entries = [
        replace(entry, label=write_labels({entry.label: True}) if entry.label else None)
        for entry in source.entries
    ]
    return replace(source, entries=entries, several="the folders", copies_are_one=True)
