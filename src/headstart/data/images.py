"""Open, check and split a set of labelled images. Every command starts here."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from headstart.arrays import Rows, Targets
from headstart.data.checks import scan
from headstart.data.manifest import rejected, usable, with_column
from headstart.data.sources import open_source
from headstart.data.splits import find_leaks, leak_free_split
from headstart.errors import DataError, OptionError
from headstart.options import DecodeLimits, OpenOptions
from headstart.task import Task
from headstart.watching import Progress


@dataclass(frozen=True)
class ImageSet:
    """A subset of a data set's images, in a fixed order.

    Attributes:
        table: The images' rows of the manifest.
        classes: All classes of the whole data set, sorted.
        task: The kind of label.
    """

    table: pa.Table
    classes: tuple[str, ...]
    task: Task

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths of the images, so that a set can be predicted like a list."""
        return iter(self.paths)

    @property
    def names(self) -> list[str]:
        """The name of each image: its path within the data."""
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
    def files(self) -> list[tuple[str, str]]:
        """Path and sha256 of each image, by which its features are found."""
        return list(zip(self.paths, self.sha256s, strict=True))

    @property
    def groups(self) -> list[str]:
        """The group of each image."""
        return list(self.table["group"].to_pylist())

    @cached_property
    def labels(self) -> Targets:
        """The labels as the task encodes them; class numbers if each image has one label."""
        return self.task.targets(self.table["label"].to_pylist(), self.classes)

    @property
    def strata(self) -> Rows:
        """The stratum of each image, by which folds and samples are balanced."""
        return self.task.strata(self.labels)

    def joined(self, other: "ImageSet") -> "ImageSet":
        """Return these images followed by those of another set."""
        table = pa.concat_tables([self.table, other.table])
        return ImageSet(table, self.classes, self.task)

    def take(self, rows: Rows) -> "ImageSet":
        """Return the images with the given row numbers."""
        return ImageSet(self.table.take(pa.array(rows)), self.classes, self.task)

    def absent(self) -> list[str]:
        """Return the classes without any image, sorted."""
        present = self.task.present(self.labels)
        return [name for number, name in enumerate(self.classes) if number not in present]


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        name: A short name, from its path.
        manifest: Everything known about every image, including rejected images.
        classes: Sorted names.
        task: The kind of label.
        warnings: Sentences for the user.
        leaks: Groups that span the given split, as names of images.
    """

    name: str
    manifest: pa.Table
    classes: tuple[str, ...]
    task: Task
    warnings: tuple[str, ...] = ()
    leaks: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def all(self) -> ImageSet:
        """Every usable image."""
        return ImageSet(usable(self.manifest), self.classes, self.task)

    @cached_property
    def train(self) -> ImageSet:
        """The training images."""
        return self._part("train")

    @cached_property
    def val(self) -> ImageSet:
        """The validation part, if the source has one."""
        return self._part("val")

    @cached_property
    def test(self) -> ImageSet:
        """The test images."""
        return self._part("test")

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """Name of each rejected image and the reason."""
        table = rejected(self.manifest)
        names, reasons = table["image"].to_pylist(), table["rejected"].to_pylist()
        return list(zip(names, reasons, strict=True))

    def _part(self, split: str) -> ImageSet:
        table = usable(self.manifest)
        part = table.filter(pc.equal(table["split"], split))
        return ImageSet(part, self.classes, self.task)


def open_images(
    data: str | os.PathLike[str],
    *,
    task: Task,
    staging: Path,
    test: float | None = None,
    group: str | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
) -> Images:
    """Open a folder, table or archive of labelled images; check every file; decide the split.

    Args:
        data: See `sources.open_source`.
        task: The kind of label.
        staging: Folder for unpacked archives and embedded images.
        test: Share of the images to hold out as test images, 0.2 by default. Must be None if the
            source has its own split.
        group: A column of the table, or a regular expression on the image's path.
        seed: Seed of the split.
        classes: The classes of a trained model. Images of other classes are rejected, and not every
            class needs to be present. Nothing is held out.
        limits: Maximum bytes and pixels per image.
        progress: Called after each image is read.

    Raises:
        DataError: No image is usable, or there are fewer than two classes.
        OptionError: `group` or `test` is invalid, or `test` has no effect.
    """
    if test is not None and not 0 <= test < 1:
        raise OptionError(f"test must be at least 0 and below 1. Got {test}.")
    source = open_source(Path(data), staging=staging, group=group)
    if test is not None and any(entry.split for entry in source.entries):
        raise OptionError(
            f"--test {test} has no effect: '{data}' already has test images, by its folders or its "
            "split column. Omit --test, or remove that split."
        )
    checked = scan(source.entries, task=task, limits=limits, progress=progress)
    manifest = checked.manifest
    if classes is not None:
        manifest = _reject_unknown_classes(manifest, task, classes)
    table = usable(manifest)
    _check_not_empty(data, table, manifest)
    names = tuple(classes) if classes else task.classes(table["label"].to_pylist())
    if classes is None and len(names) < 2:
        raise DataError(
            f"'{data}' has only one class, '{names[0]}'. A classifier needs at least two."
        )
    has_split = table["split"].null_count < table.num_rows
    if has_split:
        manifest = _complete_given_split(manifest)
        leaks = find_leaks(manifest)
    else:
        share = (OpenOptions().test if test is None else test) if classes is None else 0.0
        manifest = leak_free_split(manifest, task=task, test=share, seed=seed)
        leaks = []
    images = Images(source.name, manifest, names, task, leaks=tuple(map(tuple, leaks)))
    if classes is None and not len(images.train):
        raise DataError(f"'{data}' has no usable training images.")
    warnings = _warnings(images, len(checked.conflicts), checked.duplicates, has_split)
    return replace(images, warnings=tuple(warnings))


def _check_not_empty(data: object, table: pa.Table, manifest: pa.Table) -> None:
    if table.num_rows:
        return
    first = rejected(manifest).slice(0, 3).to_pylist()
    reasons = "; ".join(f"{row['image']}: {row['rejected']}" for row in first)
    raise DataError(
        f"'{data}' has no usable images: all {manifest.num_rows} were rejected ({reasons})."
    )


def _reject_unknown_classes(manifest: pa.Table, task: Task, classes: Sequence[str]) -> pa.Table:
    """Reject images with a class that the model does not have."""
    reasons = {
        label: f"the model has no class {unknown[0]}"
        for label in manifest["label"].unique().to_pylist()
        if (unknown := [name for name in task.classes([label or "?"]) if name not in classes])
    }
    rows = manifest.select(["label", "rejected"]).to_pylist()
    return with_column(
        manifest, "rejected", [row["rejected"] or reasons.get(row["label"]) for row in rows]
    )


def _complete_given_split(manifest: pa.Table) -> pa.Table:
    """Make images without a split training images."""
    split = pc.fill_null(manifest["split"], "train")
    return manifest.set_column(manifest.schema.get_field_index("split"), "split", split)


def _warnings(images: Images, conflicts: int, duplicates: int, has_split: bool) -> list[str]:
    warnings = []
    if conflicts:
        warnings.append(f"Rejected, because copies have different labels: {conflicts} images.")
    if duplicates and not has_split:
        warnings.append(f"Duplicates, each kept on the same side of the split: {duplicates}.")
    if images.leaks:
        warnings.append(
            f"Groups or duplicates that span the given split: {len(images.leaks)}. "
            "Test scores are optimistic."
        )
    task = images.task
    trained, tested = task.present(images.train.labels), task.present(images.test.labels)
    if tested and (missing := _names(images, trained - tested)):
        warnings.append(f"No test images of {list_names(missing)}: its accuracy is not measured.")
    if trained and (missing := _names(images, tested - trained)):
        warnings.append(f"No training images of {list_names(missing)}: it cannot be learnt.")
    if has_split and not tested:
        warnings.append("The data has no test images, so the model will not be evaluated.")
    return warnings


def _names(images: Images, numbers: set[int]) -> list[str]:
    return [images.classes[number] for number in sorted(numbers)]


def list_names(names: Sequence[str]) -> str:
    """Join names for a sentence; after the first five, only the number of the rest is shown."""
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
