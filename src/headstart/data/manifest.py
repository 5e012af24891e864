"""The manifest: one Arrow table with everything known about every image."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA = pa.schema(
    {
        "image": pa.string(),  # its name: the path within the data
        "path": pa.string(),  # of the file
        "label": pa.string(),
        "split": pa.string(),  # train, val or test; null until it is decided
        "group": pa.string(),  # images that must stay on one side of a split
        "sha256": pa.string(),
        "perceptual_hash": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "mode": pa.string(),
        "has_more": pa.bool_(),  # whether other frames or pages follow the first, which is used
        "repaired": pa.string(),  # what was repaired in the file; null if nothing was
        "blank_on": pa.string(),  # backgrounds on which it is one colour; null if it is opaque
        "rejected": pa.string(),  # the reason; null if the image is used
        "slices": pa.string(),  # see slicing.write_slices; null if nothing is sliced
        "guessed_group": pa.string(),  # in a column that is not used but looks like groups
        "window": pa.string(),  # of a medical image, see contract.PixelContract; else null
        "frames": pa.string(),  # of a medical image, see contract.PixelContract; else null
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a source, before the file is read.

    Attributes:
        image: Its name: the path within the data.
        path: The path of its file.
        label: The class, if the source has one.
        split: "train", "val" or "test", if the source has a split.
        group: The user's own group, if any.
        rejected: Why the row itself is invalid, if it is.
        slices: Its values in the columns by which results are sliced, as `slicing.write_slices`
            writes them.
        guessed_group: Its value in a column that is not used but looks like groups, if there is
            one.
        window: How a medical image is read, see `contract.PixelContract`; None for others.
        frames: How a medical image is read, see `contract.PixelContract`; None for others.
    """

    image: str
    path: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    rejected: str | None = None
    slices: str | None = None
    guessed_group: str | None = None
    window: str | None = None
    frames: str | None = None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The properties of an image file that was read.

    Attributes:
        sha256: Hash of the file's bytes, in hexadecimal digits.
        perceptual_hash: See `hashing.perceptual_hash`.
        width: Stored width in pixels, before EXIF orientation.
        height: Stored height in pixels, before EXIF orientation.
        mode: Pillow's name of the pixel format.
        has_more: Whether other frames or pages follow the first one, which is used.
        repaired: What was repaired in the file, if anything.
        blank_on: The backgrounds on which it is one colour, separated by spaces, if any.
        rejected: Why the file cannot be used, if it cannot.
    """

    sha256: str | None = None
    perceptual_hash: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    has_more: bool | None = None
    repaired: str | None = None
    blank_on: str | None = None
    rejected: str | None = None


def build_manifest(entries: Sequence[Entry], infos: Sequence[FileInfo]) -> pa.Table:
    """Join the rows of a source with the properties of their files."""
    columns = {
        each.name: [getattr(one, each.name) for one in rows]
        for rows, kind in ((infos, FileInfo), (entries, Entry))
        for each in fields(kind)
    }
    columns["rejected"] = [
        entry.rejected or info.rejected for entry, info in zip(entries, infos, strict=True)
    ]
    return pa.Table.from_pydict(columns, schema=SCHEMA)


def with_column(manifest: pa.Table, name: str, values: Sequence[str | None]) -> pa.Table:
    """Return a manifest with one text column replaced."""
    index = SCHEMA.get_field_index(name)
    return manifest.set_column(index, SCHEMA.field(name), pa.array(values, pa.string()))


def usable(manifest: pa.Table) -> pa.Table:
    """Return the images that are not rejected."""
    return manifest.filter(pc.is_null(manifest["rejected"]))


def rejected(manifest: pa.Table) -> pa.Table:
    """Return the images that are rejected, each with its reason."""
    return manifest.filter(pc.is_valid(manifest["rejected"]))
