"""Why files that may be meant as boxes are not read as such."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from headstart.data.boxes.box_columns import missing_box_columns
from headstart.data.boxes.coco import KEYS, find_coco, looks_like_coco
from headstart.data.boxes.folder_files import FolderFiles
from headstart.data.boxes.tables import BoxTables, box_columns_of, reason_in
from headstart.data.boxes.voc import find_voc
from headstart.data.boxes.yolo import expected_label_file, find_labels, find_yolo
from headstart.data.boxes.yolo_names import read_names
from headstart.data.formats import TABLE_SUFFIXES
from headstart.data.paths import list_names
from headstart.data.table_files import open_table
from headstart.errors import DataError

# Files of each kind that are looked at: some tools write one for each image.
_PROBED = 20


def why_no_boxes(folder: Path) -> list[str]:
    """Return the reasons why no boxes were found in a folder with images, as clauses."""
    files = FolderFiles.of(folder)
    return list(_reasons(files)) if files.images else []


def boxes_without_images(folder: Path) -> str | None:
    """Return the formats of the boxes in a folder without images; None if it has other files."""
    files = FolderFiles.of(folder)
    return None if files.images else _without_images(files)


def skipped_files(files: FolderFiles, tables: BoxTables) -> list[str]:
    """Return why files that are surely meant as boxes are not read, although others are."""
    problems = dict(tables.unreadable)
    for file in files.with_suffix(".json"):
        if not looks_like_coco(file) and _has_key(file) and (reason := _syntax_error(file)):
            problems[file] = reason
    return [f"'{files.name(file)}' is not read: {reason}." for file, reason in problems.items()]


def json_problem(file: Path) -> str | None:
    """Return why a JSON file is not one of COCO's boxes; None if it is not like one at all."""
    if reason := _syntax_error(file):
        return reason
    document = json.loads(file.read_bytes())
    if isinstance(document, list):
        return f"it is a list, and COCO's JSON is an object with the lists {list_names(KEYS)}"
    missing = [key for key in KEYS if key not in document] if isinstance(document, dict) else KEYS
    if len(missing) == len(KEYS):
        return None
    return f"it has no list {list_names(missing)}, which COCO's JSON of boxes needs"


def table_problem(file: Path) -> str | None:
    """Return why a table has no boxes; None if it has them, or is not like a table of boxes."""
    try:
        schema = open_table(file).schema
    except DataError as error:
        return reason_in(error)
    if box_columns_of(schema) or not (found := missing_box_columns(schema.names)):
        return None
    present, missing = found
    return f"it has the columns {list_names(present)} of boxes, but not {list_names(missing)}"


def _reasons(files: FolderFiles) -> Iterator[str]:
    for file in files.with_suffix(".json")[:_PROBED]:
        if reason := json_problem(file):
            yield f"'{files.name(file)}': {reason}"
    for file in files.with_suffix(*TABLE_SUFFIXES)[:_PROBED]:
        if reason := table_problem(file):
            yield f"'{files.name(file)}': {reason}"
    try:
        names = read_names(files)
    except DataError as error:
        yield str(error).rstrip(".")
        return
    if names.files and not find_yolo(files):
        image = files.images[0]
        expected = files.name(expected_label_file(image, files.root))
        yield (
            f"'{files.name(names.files[0])}' names classes of YOLO, but no image has a label file "
            f"with boxes: that of '{files.name(image)}' would be '{expected}'"
        )


def _without_images(files: FolderFiles) -> str | None:
    """Return which boxes a folder without images has; None if it has none."""
    found = {
        "COCO's JSON": find_coco(files),
        "Pascal VOC's XML files": find_voc(files),
        "YOLO's label files": find_labels(files),
    }
    kinds = [f"{kind} ({_named(some, files)})" for kind, some in found.items() if some]
    return " and in ".join(kinds) or None


def _named(some: Sequence[Path], files: FolderFiles) -> str:
    return list_names([files.name(file) for file in some], 1)


def _syntax_error(file: Path) -> str | None:
    try:
        content = file.read_bytes()
        if not content.strip():
            return "it is empty"
        json.loads(content)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"it is not valid JSON: {error}"
    return None


def _has_key(file: Path) -> bool:
    try:
        content = file.read_bytes()
    except OSError:
        return False
    return any(f'"{key}"'.encode() in content for key in KEYS)
