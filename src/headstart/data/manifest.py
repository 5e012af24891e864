"""The manifest: one Arrow table with everything known about every image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA = pa.schema(
    {
        "image": pa.string(),  # its name: the path within the data
        "path": pa.string(),  # where its bytes are
        "label": pa.string(),
        "split": pa.string(),  # train, val or test; null until it is decided
        "group": pa.string(),  # images that must stay on one side of a split
        "sha256": pa.string(),
        "perceptual_hash": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "mode": pa.string(),
        "rejected": pa.string(),  # why it is not used; null where it is
    }
)


# The names that folders and tables give to the parts, and ours for them.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Entry:
    """One row of a source, before the file is read.

    Attributes:
        image: Its name: the path within the data.
        path: Where its bytes are.
        label: The class, or None where the source gives none.
        split: "train", "val" or "test" where the source says so.
        group: The user's own group, if any.
        rejected: Why the source itself rejects it.
    """

    image: str
    path: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    rejected: str | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a file once it was read.

    Attributes:
        sha256: Of the file's bytes, in hexadecimal digits.
        perceptual_hash: See `hashing.perceptual_hash`.
        width: In pixels, as stored (before EXIF orientation).
        height: In pixels, as stored.
        mode: Pillow's name of the pixel format.
        rejected: Why the file cannot be used.
    """

    sha256: str | None = None
    perceptual_hash: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    rejected: str | None = None


def manifest_of(entries: Sequence[Entry], facts: Sequence[Facts]) -> pa.Table:
    """Join what the source says with what the files say."""
    rows = [
        asdict(fact) | asdict(entry) | {"rejected": entry.rejected or fact.rejected}
        for entry, fact in zip(entries, facts, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


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
