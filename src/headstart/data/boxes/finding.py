"""Which format the boxes of a folder or a file have, if it has any."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from headstart.data.boxes.annotations import BoxSet
from headstart.data.boxes.coco import find_coco, looks_like_coco, read_coco
from headstart.data.boxes.folder_files import ANNOTATION_FOLDERS, IMAGE_FOLDERS, FolderFiles
from headstart.data.boxes.near_misses import skipped_files
from headstart.data.boxes.tables import BoxTables, read_box_tables
from headstart.data.boxes.voc import find_voc, read_voc
from headstart.data.boxes.yolo import find_yolo, read_yolo
from headstart.data.boxes.yolo_names import is_yolo_yaml
from headstart.data.interpretation import Interpretation
from headstart.data.split_names import split_of
from headstart.errors import DataError, OptionError

# Folders beside those of the images, which have images but are no labels.
_NO_LABELS = ("segmentationclass", "segmentationobject", "masks", "mask", "stuffthingmaps")


Read = Callable[[Path, Interpretation], BoxSet]
"""Reads boxes, with a staging folder; see `tables.read_box_table`."""


@dataclass(frozen=True)
class FoundBoxes:
    """The boxes of a folder or a file.

    Attributes:
        files: The files among which images are looked for.
        kind: The format, such as "Pascal VOC's XML files".
        reader: Reads them.
        others: The formats in which the folder also has boxes, which are not read.
        skipped: Sentences that say which files that are meant as boxes cannot be read.
    """

    files: FolderFiles
    kind: str
    reader: Read
    others: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def read(self, staging: Path, interpretation: Interpretation) -> BoxSet:
        """Return the images, and say what else there is."""
        found = self.reader(staging, interpretation)
        found = replace(found, warnings=(*found.warnings, *self.skipped))
        if not self.others:
            return found
        sentence = f"Boxes that are also in {' and in '.join(self.others)} are not read."
        return replace(found, understood=(*found.understood, sentence))


def find_boxes(folder: Path) -> FoundBoxes | None:
    """Return the boxes of a folder; None if it has none.

    A folder may have the same boxes in several formats. Of these, COCO's comes first. Tables that
    are the parts of a split come before formats of single images, and other tables last.
    """
    files = FolderFiles.of(folder)
    if not files.images:
        return None
    tables = BoxTables.of(files)
    formats = list(_formats(files, tables.found))
    if not formats:
        return None
    return replace(
        formats[0],
        others=tuple(other.kind for other in formats[1:]),
        skipped=tuple(skipped_files(files, tables)),
    )


def _formats(files: FolderFiles, tables: Sequence[Path]) -> Iterator[FoundBoxes]:
    """Yield the formats in which a folder has boxes, the preferred one first."""
    if coco := find_coco(files):
        yield FoundBoxes(files, "COCO's JSON", _plain(lambda: read_coco(coco, files)))
    if len(tables) > 1:
        yield _of_tables(tables, files)
    if voc := find_voc(files):
        yield FoundBoxes(files, "Pascal VOC's XML files", _plain(lambda: read_voc(voc, files)))
    if yolo := find_yolo(files):
        yield FoundBoxes(files, "YOLO's label files", _plain(lambda: read_yolo(yolo, files)))
    if len(tables) == 1:
        yield _of_tables(tables, files)


def _of_tables(tables: Sequence[Path], files: FolderFiles) -> FoundBoxes:
    kind = "tables" if len(tables) > 1 else "a table"
    return FoundBoxes(files, kind, partial(read_box_tables, tables, files))


def _plain(reader: Callable[[], BoxSet]) -> Read:
    """Return what reads a format without columns, by which nothing can be sliced."""

    def read(_: Path, interpretation: Interpretation) -> BoxSet:
        if slices := interpretation.slices:
            raise OptionError(
                f"--slices '{','.join(slices)}' names columns of a table, and these boxes are not "
                "in a table. Pass a table with these columns, such as a CSV file."
            )
        return reader()

    return read


def may_be_label(folder: str) -> bool:
    """Return whether a folder of images beside boxes may be a class by its name."""
    return folder.lower() not in (
        *IMAGE_FOLDERS,
        *ANNOTATION_FOLDERS,
        *_NO_LABELS,
    ) and not split_of(folder)


def find_boxes_of_file(file: Path) -> FoundBoxes | None:
    """Return the boxes of a JSON file of COCO, or of the data set of a YAML file of YOLO.

    None if it is another kind of file.

    Raises:
        DataError: It is a YAML file of YOLO whose folder has no label files.
    """
    suffix = file.suffix.lower()
    if suffix == ".json" and looks_like_coco(file):
        files = FolderFiles.around(file)
        read = _plain(lambda: read_coco([file], files, is_whole=False))
        return FoundBoxes(files, "COCO's JSON", read)
    if suffix in (".yaml", ".yml") and is_yolo_yaml(file):
        files = FolderFiles.of(file.parent)
        labels = find_yolo(files)
        if not labels:
            raise DataError(
                f"'{file}' names classes of YOLO, but '{file.parent}' has no label files with "
                "boxes beside images. Pass the folder that has images and labels."
            )
        return FoundBoxes(files, "YOLO's label files", _plain(lambda: read_yolo(labels, files)))
    return None
