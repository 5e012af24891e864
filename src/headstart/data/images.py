"""A set of labelled images, opened, checked and split: what every command starts from."""

import os
from collections.abc import Sequence
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
    """Some images of a data set, in a fixed order.

    Attributes:
        table: Rows of the manifest.
        classes: Every class of the whole data set, sorted.
        task: The kind of label.
    """

    table: pa.Table
    classes: tuple[str, ...]
    task: Task

    def __len__(self) -> int:
        return int(self.table.num_rows)

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
        """What is to be predicted, as the task encodes it; for one label the class numbers."""
        return self.task.targets(self.table["label"].to_pylist(), self.classes)

    @property
    def strata(self) -> Rows:
        """The stratum of each image, by which folds and samples are balanced."""
        return self.task.strata(self.labels)

    def joined(self, other: "ImageSet") -> "ImageSet":
        """Return these images and then the others."""
        table = pa.concat_tables([self.table, other.table])
        return ImageSet(table, self.classes, self.task)

    def take(self, rows: Rows) -> "ImageSet":
        """Return some of the images, by their row numbers."""
        return ImageSet(self.table.take(pa.array(rows)), self.classes, self.task)

    def absent(self) -> list[str]:
        """Return the classes that no image has, sorted."""
        present = self.task.present(self.labels)
        return [name for number, name in enumerate(self.classes) if number not in present]


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        name: A short name, from its path.
        manifest: Everything known about every image, the rejected ones too.
        classes: Sorted names.
        task: The kind of label.
        warnings: What the user should know, in sentences.
        leaks: Groups of copies that a given split separates.
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
        """The images to learn from."""
        return self._part("train")

    @cached_property
    def val(self) -> ImageSet:
        """The validation part, if the source has one."""
        return self._part("val")

    @cached_property
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
        test: Share to keep for the test, 0.2 by default; a source with a split of its own takes
            none.
        group: A column of the table, or a regular expression on the image's path.
        seed: Of the split.
        classes: The classes of a trained model. Others are rejected; none needs to be present.
        limits: Most bytes and pixels of one image.
        progress: Called after each image that was read.

    Raises:
        DataError: Nothing usable is left, or there are fewer than two classes to learn.
        OptionError: A wrong `group`, or a `test` that is wrong or has no effect.
    """
    if test is not None and not 0 <= test < 1:
        raise OptionError(f"test must be at least 0 and below 1. Got {test}.")
    source = open_source(Path(data), staging=staging, group=group)
    if test is not None and any(entry.split for entry in source.entries):
        raise OptionError(
            f"--test {test} has no effect: '{data}' says which images are for the test, by its "
            "folders or its split column. Leave --test out, or remove that split."
        )
    looked = scan(source.entries, task=task, limits=limits, progress=progress)
    manifest = looked.manifest
    if classes is not None:
        manifest = _reject_others(manifest, task, classes)
    table = usable(manifest)
    _require_images(data, table, manifest)
    names = tuple(classes) if classes else task.classes(table["label"].to_pylist())
    if classes is None and len(names) < 2:
        raise DataError(
            f"'{data}' has one class only, '{names[0]}'. There must be at least two to tell apart."
        )
    given = table["split"].null_count < table.num_rows
    if given:
        manifest = _complete_given_split(manifest)
        leaks = find_leaks(manifest)
    else:
        share = (OpenOptions().test if test is None else test) if classes is None else 0.0
        manifest = leak_free_split(manifest, task=task, test=share, seed=seed)
        leaks = []
    images = Images(source.name, manifest, names, task, leaks=tuple(map(tuple, leaks)))
    if classes is None and not len(images.train):
        raise DataError(f"'{data}' has no usable image in its train part.")
    warnings = _warnings(images, len(looked.conflicts), looked.duplicates, given)
    return replace(images, warnings=tuple(warnings))


def _require_images(data: object, table: pa.Table, manifest: pa.Table) -> None:
    if table.num_rows:
        return
    first = rejected(manifest).slice(0, 3).to_pylist()
    reasons = "; ".join(f"{row['image']}: {row['rejected']}" for row in first)
    raise DataError(
        f"'{data}' holds no usable image: all {manifest.num_rows} were rejected ({reasons})."
    )


def _reject_others(manifest: pa.Table, task: Task, classes: Sequence[str]) -> pa.Table:
    """Reject images that have a class which the model does not know."""
    reasons = {
        label: f"the model has no class {strange[0]}"
        for label in manifest["label"].unique().to_pylist()
        if (strange := [name for name in task.classes([label or "?"]) if name not in classes])
    }
    rows = manifest.select(["label", "rejected"]).to_pylist()
    return with_column(
        manifest, "rejected", [row["rejected"] or reasons.get(row["label"]) for row in rows]
    )


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
    task = images.task
    trained, tested = task.present(images.train.labels), task.present(images.test.labels)
    if tested and (missing := _names(images, trained - tested)):
        out.append(f"No test image of {listed(missing)}: how well that is told is not measured.")
    if trained and (missing := _names(images, tested - trained)):
        out.append(f"No training image of {listed(missing)}: it cannot be learnt.")
    if given and not tested:
        out.append("The data has no test part, so how good the model is will not be measured.")
    return out


def _names(images: Images, numbers: set[int]) -> list[str]:
    return [images.classes[number] for number in sorted(numbers)]


def listed(names: Sequence[str]) -> str:
    """Put names into a sentence, the first five of them."""
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
