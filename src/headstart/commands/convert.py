"""Convert: write images with boxes in another format."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from headstart.data.boxes.copying import copy_image, unique_names
from headstart.data.boxes.image_sizes import ImageSize, read_sizes
from headstart.data.boxes.labels import read_boxes
from headstart.data.boxes.writing import WRITERS, WrittenImage
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.sources import open_source
from headstart.data.staging import staging_folder
from headstart.errors import DataError, OutputError, UnreadableImage
from headstart.files import atomic_create
from headstart.options import BoxFormat, ConvertOptions
from headstart.runs.folders import check_writable
from headstart.watching import Progress, Watcher


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        out: The folder.
        format: The format of the boxes.
        images: The number of images in each part of the split; in "all" without a split.
        boxes: The number of boxes.
        classes: The names of the classes.
        turned: The number of images that were written anew, upright.
        left_out: The images that were not written, with the reason.
        crowds_left_out: The number of boxes around crowds that were not written.
    """

    out: Path
    format: BoxFormat
    images: dict[str, int]
    boxes: int
    classes: tuple[str, ...]
    turned: int
    left_out: tuple[tuple[str, str], ...]
    crowds_left_out: int

    def to_json(self) -> dict[str, JsonValue]:
        """Return everything as JSON has it."""
        return {
            "out": str(self.out),
            "format": self.format,
            "images": dict(self.images),
            "boxes": self.boxes,
            "classes": list(self.classes),
            "turned": self.turned,
            "left_out": [{"image": name, "reason": reason} for name, reason in self.left_out],
            "crowds_left_out": self.crowds_left_out,
        }

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each thing that is not as it was."""
        if self.left_out:
            (name, reason), *_ = self.left_out
            yield f"Images not written: {len(self.left_out):,}. '{name}': {reason}."
        if self.turned:
            yield (
                f"Images written anew, upright, as programs disagree on the orientation in their "
                f"metadata: {self.turned:,}; JPEG with quality 95, others as PNG."
            )
        if self.crowds_left_out:
            yield (
                "Boxes around crowds, which this format does not have, left out: "
                f"{self.crowds_left_out:,}."
            )


def run_convert(
    data: str | os.PathLike[str], options: ConvertOptions, watcher: Watcher
) -> Conversion:
    """Run `convert` with validated options.

    Args:
        data: See `train`; it has boxes.
        options: What to write.
        watcher: Follows the stages.

    Raises:
        DataError: The data has no boxes, or no image can be written.
        OutputError: The folder exists, is inside the data or cannot be written.
    """
    _check_output(data, options.out)
    with watcher.stage("Reading boxes"):
        source = open_source(
            data, staging_folder(options.cache), Interpretation(Labelling("boxes"))
        )
    watcher.note(" ".join(source.understood))
    for warning in source.warnings:
        watcher.warn(warning)
    with watcher.stage("Writing images") as progress:
        conversion = convert(source, options.out, options.format, progress)
    for warning in conversion.warnings():
        watcher.warn(warning)
    return conversion


def convert(
    source: Source, out: Path, kind: BoxFormat, progress: Progress | None = None
) -> Conversion:
    """Write the images of a source with boxes, and their boxes, to a new folder.

    Files are linked to it where the file system can do that, and else copied. Images that their
    metadata turns are written anew, upright. If only some images have a part of a split, the others
    become training images, as in a training.

    Args:
        source: The images.
        out: The folder to create.
        kind: The format of the boxes.
        progress: Called after each image.

    Raises:
        DataError: No image can be written, or a label cannot.
        OutputError: The folder exists or cannot be written.
    """
    if out.exists():
        raise OutputError(f"Output '{out}' already exists. Choose a new folder.")
    part = "train" if source.splits else None
    listed = [replace(entry, split=entry.split or part) for entry in source.entries]
    entries, sizes, left_out = _usable(listed)
    if not entries:
        raise _nothing(source, left_out)
    copies = unique_names(zip(entries, sizes, strict=True))
    images = [
        WrittenImage(
            *(copy.name, entry.split, *size.seen),
            boxes=read_boxes(entry.label or "[]"),
            group=entry.group,
        )
        for entry, size, copy in zip(entries, sizes, copies, strict=True)
    ]
    written: list[WrittenImage] = []
    turned = 0
    try:
        with atomic_create(out) as folder:
            folder.mkdir()
            for entry, image, copy in zip(entries, images, copies, strict=True):
                try:
                    copy_image(entry.path, folder / image.path, turned=copy.turned)
                except UnreadableImage as error:
                    left_out.append((entry.image, error.reason))
                    continue
                turned += copy.turned
                written.append(image)
                if progress:
                    progress(len(written), len(images))
            if not written:
                raise _nothing(source, left_out)
            WRITERS[kind](folder, written)
    except OSError as error:
        raise OutputError(f"Output '{out}' cannot be written: {error.strerror}.") from None
    return _described(written, out, kind, turned, left_out)


def _described(
    images: Sequence[WrittenImage],
    out: Path,
    kind: BoxFormat,
    turned: int,
    left_out: Sequence[tuple[str, str]],
) -> Conversion:
    boxes = [box for image in images for box in image.boxes]
    crowds = sum(box.crowd for box in boxes) if kind == "yolo" else 0
    return Conversion(
        out,
        kind,
        dict(Counter(image.part or "all" for image in images)),
        len(boxes) - crowds,
        tuple(sorted({box.label for box in boxes})),
        turned,
        tuple(left_out),
        crowds,
    )


def _usable(
    entries: Sequence[Entry],
) -> tuple[list[Entry], list[ImageSize], list[tuple[str, str]]]:
    """Return the entries whose images can be read with their sizes, and why others cannot."""
    left_out = [(entry.image, entry.rejected) for entry in entries if entry.rejected]
    rest = [entry for entry in entries if not entry.rejected]
    kept, sizes = list[Entry](), list[ImageSize]()
    for entry, size in zip(rest, read_sizes([entry.path for entry in rest]), strict=True):
        if size is None:
            left_out.append((entry.image, "it cannot be read as an image"))
        else:
            kept.append(entry)
            sizes.append(size)
    return kept, sizes, left_out


def _nothing(source: Source, left_out: Sequence[tuple[str, str]]) -> DataError:
    image, reason = left_out[0]
    return DataError(f"No image of '{source.name}' can be written. '{image}': {reason}.")


def _check_output(data: str | os.PathLike[str], out: Path) -> None:
    if out.exists():
        raise OutputError(f"Output '{out}' already exists. Choose a new folder.")
    if out.resolve().is_relative_to(Path(data).resolve()):
        raise OutputError(
            f"Output '{out}' is inside the data, which is never changed. Choose a folder elsewhere."
        )
    check_writable(out)
