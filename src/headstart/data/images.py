"""A set of labelled images, opened, checked and split: what every command starts from."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headstart.data.checks import Progress, scan
from headstart.data.manifest import rejected, usable
from headstart.data.sources import open_source
from headstart.data.splits import find_leaks, leak_free_split
from headstart.errors import DataError, OptionError
from headstart.options import DecodeLimits

Labels = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class ImageSet:
    """Some images of a data set, in a fixed order.

    Attributes:
        table: Rows of the manifest.
        classes: Every class of the whole data set, sorted.
    """

    table: pa.Table
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def names(self) -> list[str]:
        """How the user calls each image."""
        return list(self.table["image"].to_pylist())

    @property
    def paths(self) -> list[str]:
        """Where each image's bytes are."""
        return list(self.table["path"].to_pylist())

    @property
    def sha256s(self) -> list[str]:
        """The hash of each image's bytes."""
        return list(self.table["sha256"].to_pylist())

    @property
    def groups(self) -> list[str]:
        """The group of each image."""
        return list(self.table["group"].to_pylist())

    @property
    def labels(self) -> Labels:
        """The class number of each image, shape (images,)."""
        number = {name: index for index, name in enumerate(self.classes)}
        names = self.table["label"].to_pylist()
        return np.array([number[name] for name in names], dtype=np.int64)

    def joined(self, other: "ImageSet") -> "ImageSet":
        """Give these images and then the others."""
        return ImageSet(pa.concat_tables([self.table, other.table]), self.classes)

    def take(self, rows: Labels) -> "ImageSet":
        """Give some of the images, by their row numbers."""
        return ImageSet(self.table.take(pa.array(rows)), self.classes)


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        name: A short name, from its path.
        manifest: Everything known about every image, the rejected ones too.
        classes: Sorted names.
        warnings: What the user should know, in sentences.
        leaks: Groups of copies that a given split has torn apart.
    """

    name: str
    manifest: pa.Table
    classes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    leaks: tuple[tuple[str, ...], ...] = ()

    @property
    def all(self) -> ImageSet:
        """Every usable image."""
        return ImageSet(usable(self.manifest), self.classes)

    @property
    def train(self) -> ImageSet:
        """The images to learn from."""
        return self._part("train")

    @property
    def val(self) -> ImageSet:
        """The validation part, if the source has one."""
        return self._part("val")

    @property
    def test(self) -> ImageSet:
        """The images that are only measured on."""
        return self._part("test")

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """Name and reason of each image that is not used."""
        table = rejected(self.manifest)
        names, reasons = table["image"].to_pylist(), table["rejected"].to_pylist()
        return list(zip(names, reasons, strict=True))

    def _part(self, split: str) -> ImageSet:
        table = usable(self.manifest)
        return ImageSet(table.filter(pc.equal(table["split"], split)), self.classes)


def open_images(
    data: str | os.PathLike[str],
    *,
    staging: Path,
    test: float = 0.2,
    group: str | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
) -> Images:
    """Open a folder, table or archive of labelled images; check every file; decide the split.

    Args:
        data: See `sources.open_source`.
        staging: Folder for unpacked archives and embedded images.
        test: Share to keep for the test, where the source has no split of its own.
        group: A column of the table, or a regular expression on the image's path.
        seed: Of the split.
        classes: The classes of a trained model. Others are rejected; none needs to be present.
        limits: Most bytes and pixels of one image.
        progress: Called after each image that was looked into.

    Raises:
        DataError: Nothing usable is left, or there are fewer than two classes to learn.
        OptionError: A wrong `test` or `group`.
    """
    if not 0 <= test < 1:
        raise OptionError(f"test must be at least 0 and below 1. Got {test}.")
    source = open_source(Path(data), staging=staging, group=group)
    looked = scan(source.entries, limits=limits, progress=progress)
    manifest = looked.manifest if classes is None else _reject_others(looked.manifest, classes)
    table = usable(manifest)
    _require_images(data, table, manifest)
    names = tuple(classes) if classes else tuple(sorted(set(table["label"].to_pylist())))
    if classes is None and len(names) < 2:
        raise DataError(
            f"'{data}' has one class only, '{names[0]}'. There must be at least two to tell apart."
        )
    given = table["split"].null_count < table.num_rows
    if given:
        manifest = _complete_given_split(manifest)
        leaks = find_leaks(manifest)
    else:
        manifest = leak_free_split(manifest, test=test if classes is None else 0.0, seed=seed)
        leaks = []
    images = Images(source.name, manifest, names, leaks=tuple(tuple(leak) for leak in leaks))
    if classes is None and not len(images.train):
        raise DataError(f"'{data}' has no usable image in its train part.")
    warnings = _warnings(images, len(looked.conflicts), looked.duplicates, given)
    return Images(source.name, manifest, names, tuple(warnings), images.leaks)


def _require_images(data: object, table: pa.Table, manifest: pa.Table) -> None:
    if table.num_rows:
        return
    first = rejected(manifest).slice(0, 3).to_pylist()
    reasons = "; ".join(f"{row['image']}: {row['rejected']}" for row in first)
    raise DataError(
        f"'{data}' holds no usable image: all {manifest.num_rows} were rejected ({reasons})."
    )


def _reject_others(manifest: pa.Table, classes: Sequence[str]) -> pa.Table:
    known = pa.array(list(classes), pa.string())
    strange = pc.invert(pc.is_in(manifest["label"], value_set=known))
    reason = pc.binary_join_element_wise(
        "the model has no class", pc.fill_null(manifest["label"], "?"), " "
    )
    column = pc.if_else(
        pc.and_(pc.is_null(manifest["rejected"]), strange), reason, manifest["rejected"]
    )
    index = manifest.schema.get_field_index("rejected")
    return manifest.set_column(index, "rejected", column)


def _complete_given_split(manifest: pa.Table) -> pa.Table:
    """Count images that the source put nowhere as training images."""
    split = pc.fill_null(manifest["split"], "train")
    return manifest.set_column(manifest.schema.get_field_index("split"), "split", split)


def _warnings(images: Images, conflicts: int, duplicates: int, given: bool) -> list[str]:
    out = []
    if conflicts:
        out.append(f"Left out, because the same image stands under two labels: {conflicts} images.")
    if duplicates and not given:
        out.append(f"Copies of other images, kept on one side of the split: {duplicates}.")
    if images.leaks:
        out.append(
            f"Groups or copies that the given split has torn apart: {len(images.leaks)}. "
            "What is measured on them is too good."
        )
    trained = set(images.train.table["label"].to_pylist())
    tested = set(images.test.table["label"].to_pylist())
    if tested and (missing := sorted(trained - tested)):
        out.append(f"No test image of {listed(missing)}: how well that is told is not measured.")
    if trained and (missing := sorted(tested - trained)):
        out.append(f"No training image of {listed(missing)}: it cannot be learnt.")
    if given and not tested:
        out.append("The data has no test part, so how good the model is will not be measured.")
    return out


def listed(names: Sequence[str]) -> str:
    """Give names for a sentence, the first five of them."""
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
