"""Sets of labelled images, split into parts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from headstart.arrays import Folds, Rows, Targets
from headstart.data.backgrounds import best_background
from headstart.data.contract import CURRENT, Background, Frames
from headstart.data.manifest import rejected, usable, with_column
from headstart.data.paths import list_names
from headstart.data.slicing import read_slices
from headstart.notebook import html_table
from headstart.task import Task


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

    def __repr__(self) -> str:
        return f"ImageSet({len(self):,} images; classes: {list_names(self.classes)})"

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

    @property
    def slices(self) -> dict[str, list[str]]:
        """The values of each image by which results are sliced, by the name of the column."""
        known = "slices" in self.table.column_names  # Runs of earlier versions do not have it.
        return read_slices(self.table["slices"].to_pylist() if known else ())

    @property
    def guessed_groups(self) -> tuple[str | None, ...]:
        """The value of each image in an unused column that may be groups; empty without one."""
        if "guessed_group" not in self.table.column_names:
            return ()
        values = tuple(self.table["guessed_group"].to_pylist())
        return values if any(value is not None for value in values) else ()

    @cached_property
    def labels(self) -> Targets:
        """The labels as the task encodes them; class numbers if each image has one label."""
        return self.task.targets(self.table["label"].to_pylist(), self.classes)

    @property
    def strata(self) -> Rows:
        """The stratum of each image, by which folds and samples are balanced."""
        return self.task.strata(self.labels)

    def folds(self, count: int, *, seed: int) -> Folds:
        """Return stratified folds that keep groups whole, see `Task.folds`."""
        return self.task.folds(self.labels, self.groups, folds=count, seed=seed)

    @cached_property
    def background(self) -> Background:
        """What transparent pixels are best composited on."""
        return best_background(self.table["blank_on"].to_pylist())

    @property
    def is_medical(self) -> bool:
        """Whether some of the images are DICOM files or slices of volumes."""
        return self._first_of("window") is not None

    @property
    def window(self) -> str:
        """The range of grey values that is shown of medical images, see `PixelContract`."""
        return self._first_of("window") or CURRENT.window

    @property
    def frames(self) -> Frames:
        """Which frames of medical images are used, see `PixelContract`."""
        return "middle" if self._first_of("frames") == "middle" else "each"

    def _first_of(self, column: str) -> str | None:
        if column not in self.table.column_names:  # As in runs of earlier versions.
            return None
        return next(filter(None, self.table[column].to_pylist()), None)

    def joined(self, other: "ImageSet") -> "ImageSet":
        """Return these images followed by those of another set."""
        table = pa.concat_tables([self.table, other.table])
        return ImageSet(table, self.classes, self.task)

    @cached_property
    def given_groups(self) -> tuple[str, ...]:
        """The group of each image, if the user gave groups; else empty.

        Groups that consist of copies only are named by a hash of their content.
        """
        hashes = set(self.sha256s)
        return tuple(self.groups) if any(name not in hashes for name in self.groups) else ()

    def take(self, rows: Rows) -> "ImageSet":
        """Return the images with the given row numbers."""
        return ImageSet(self.table.take(pa.array(rows)), self.classes, self.task)

    def counts(self) -> tuple[int, ...]:
        """Return the number of images in which each class is present, in their order."""
        found: Counter[int] = Counter()
        for row in range(len(self)):
            found.update(self.task.present(self.labels[row : row + 1]))
        return tuple(found[number] for number in range(len(self.classes)))

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
        understood: Sentences that say how the data was read: labels, split, groups.
        warnings: Sentences for the user.
        leaks: Groups that span the given split, as names of images.
        copies: Exact or near duplicates: the names of the images of each picture that has some.
        split_given: Whether the source has a split of its own.
    """

    name: str
    manifest: pa.Table
    classes: tuple[str, ...]
    task: Task
    understood: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    leaks: tuple[tuple[str, ...], ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()
    split_given: bool = False

    def __repr__(self) -> str:
        counts = [f"{len(images):,} {name}" for name, images in self._parts]
        counts += [f"{len(self.rejected):,} rejected"] if self.rejected else []
        classes = list_names(self.classes)
        return f"Images('{self.name}': {', '.join(counts)}; classes: {classes})"

    def _repr_html_(self) -> str:
        """Return the number of images of each class in each part, for notebooks."""
        counts = zip(*(images.counts() for _, images in self._parts), strict=True)
        rows = [
            [name, *(f"{count:,}" for count in row)]
            for name, row in zip(self.classes, counts, strict=True)
        ]
        return html_table(repr(self), ["class", *(f"{name}>" for name, _ in self._parts)], rows)

    @property
    def _parts(self) -> list[tuple[str, ImageSet]]:
        """The parts that have images."""
        parts = (("train", self.train), ("val", self.val), ("test", self.test))
        return [(name, images) for name, images in parts if len(images)]

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

    @property
    def summary(self) -> str:
        """The number of images in each part, the classes, and how the data was read."""
        parts = ((self.train, "training"), (self.val, "validation"), (self.test, "test"))
        counts = [f"{len(part):,} {name}" for part, name in parts if len(part)]
        split = f" ({', '.join(counts)})" if len(counts) > 1 else ""
        rejected = f", {len(self.rejected):,} rejected" if self.rejected else ""
        noun = "image" if len(self.all) == 1 else "images"
        return (
            f"{len(self.all):,} {noun} {self.task.counted(self.classes)}{split}{rejected}. "
            f"{self.task.before_names} {list_names(self.classes)}. "
            f"{' '.join(self.understood)}"
        )

    def with_training_groups(self, members: Rows) -> "Images":
        """Return the same images with other groups in the training part.

        Args:
            members: For each training image, the number of a training image of its group, whose
                hash names the group; shape (training images,).
        """
        hashes = self.train.sha256s
        names = iter([hashes[member] for member in members.tolist()])
        rows = self.manifest.select(["split", "group", "rejected"]).to_pylist()
        groups = [
            next(names) if row["split"] == "train" and row["rejected"] is None else row["group"]
            for row in rows
        ]
        return replace(self, manifest=with_column(self.manifest, "group", groups))

    def _part(self, split: str) -> ImageSet:
        table = usable(self.manifest)
        part = table.filter(pc.equal(table["split"], split))
        return ImageSet(part, self.classes, self.task)
