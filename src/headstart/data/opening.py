"""Check and split the images that a source lists. Every command starts here."""

import os
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from headstart.data.backgrounds import background_warnings
from headstart.data.checks import CheckFiles, Scan, check_files, scan
from headstart.data.findings import (
    describe_rejections,
    find_warnings,
    test_part_warnings,
    unusable_classes,
    with_known_classes,
)
from headstart.data.images import Images
from headstart.data.label_findings import check_learnable, describe_labels, label_warnings
from headstart.data.listing import Source
from headstart.data.manifest import rejected, usable
from headstart.data.splits import find_leaks, leak_free_split
from headstart.errors import DataError, OptionError
from headstart.options import DecodeLimits, OpenOptions
from headstart.task import Task
from headstart.watching import Progress


def images_of(
    source: Source,
    data: str | os.PathLike[str],
    *,
    task: Task,
    test: float | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    limits: DecodeLimits | None = None,
    progress: Progress | None = None,
    check: CheckFiles = check_files,
) -> Images:
    """Check every file that a source lists, and decide the split.

    Args:
        source: The opened source.
        data: What the user passed, for messages.
        task: The kind of label, of the name that the source gives as its task.
        test: Share of the images to hold out as test images, 0.2 by default. If the source has
            its own split without a test part, that share of its training part is held out, and
            nothing by default. Must be None if the source has a test part.
        seed: Seed of the split.
        classes: The classes of a trained model. Images of other classes are rejected, and not every
            class needs to be present. Nothing is held out.
        limits: Maximum bytes and pixels per image.
        progress: Called after each image is read.
        check: Reads and decodes the files.

    Raises:
        DataError: No image is usable, or nothing distinguishes them: there are fewer than two
            classes, or no label is present in some training images and absent in others.
        OptionError: `test` has no effect.
    """
    share = _share_held_out(data, source, test) if classes is None else 0.0
    checked = scan(
        source.entries,
        task=task,
        copies_are_one=source.copies_are_one,
        limits=limits,
        progress=progress,
        check=check,
    )
    manifest = checked.manifest
    if classes is not None:
        manifest = with_known_classes(manifest, task, classes)
    names = tuple(classes) if classes is not None else _classes(data, source, manifest, task)
    _check_not_empty(data, manifest)
    manifest, leaks = _split(manifest, task, share, seed)
    understood = _understood(source, checked, share)
    images = Images(
        *(source.name, manifest, names, task, understood),
        leaks=leaks,
        copies=checked.copies,
        split_given=bool(source.splits),
    )
    if classes is None and not len(images.train):
        raise DataError(
            f"'{data}' has no usable training images: the given split assigns every usable image "
            "to another part."
        )
    warnings = [*source.warnings, *find_warnings(images, checked, source)]
    if source.several:
        images = replace(images, understood=(*understood, describe_labels(images, source.several)))
    if source.several and classes is None:
        check_learnable(data, images)
        warnings += label_warnings(images)
    if classes is None:
        warnings += test_part_warnings(images)
        blank_on = images.train.table["blank_on"].to_pylist()
        warnings += background_warnings(images.train.names, blank_on)
    return replace(images, warnings=tuple(warnings))


def _understood(source: Source, checked: Scan, held_out: float) -> tuple[str, ...]:
    """Describe how the source was read, and what was made of it."""
    sentences = list(source.understood)
    if source.splits and held_out:
        sentences.append(
            f"Test images: {held_out:.0%} of the training part, held out by Headstart."
        )
    elif held_out:
        sentences.append("Split: made by Headstart.")
    if checked.merged:
        sentences.append(f"Copies of an image in several folders, merged: {checked.merged:,}.")
    return tuple(sentences)


def _share_held_out(data: object, source: Source, test: float | None) -> float:
    """Return the share of the images to hold out as test images."""
    if test is None:
        return 0.0 if source.splits else OpenOptions().test
    if "test" in source.splits:
        raise OptionError(
            f"--test {test} has no effect: '{data}' already has test images, by its folders or its "
            "split column. Omit --test, or remove that split."
        )
    return test


def _classes(data: object, source: Source, manifest: pa.Table, task: Task) -> tuple[str, ...]:
    """Return the classes of the usable images, and check that there are enough.

    One is enough if each image may have several labels, as it may be present or absent.
    """
    images = usable(manifest)
    names = task.classes(images["label"].to_pylist())
    if source.boxes and not names and images.num_rows:
        raise DataError(
            f"No usable image of '{data}' has a box; they were read from {source.boxes}."
        )
    if source.several and not names and images.num_rows:
        raise DataError(
            f"No image of '{data}' has a label; they were looked for in {source.several}."
        )
    if len(names) != 1 or source.several or source.boxes:
        return names
    rejected = "".join(f" {sentence}" for sentence in unusable_classes(manifest, task))
    raise DataError(
        f"'{data}' has only one class, '{names[0]}'.{rejected} A classifier needs at least two."
    )


def _check_not_empty(data: object, manifest: pa.Table) -> None:
    if usable(manifest).num_rows:
        return
    raise DataError(
        f"'{data}' has no usable images: all {manifest.num_rows:,} were rejected. "
        f"{describe_rejections(rejected(manifest))}"
    )


def _split(
    manifest: pa.Table, task: Task, held_out: float, seed: int
) -> tuple[pa.Table, tuple[tuple[str, ...], ...]]:
    """Hold out test images, or complete a given split, and find what leaks across a given one."""
    given = usable(manifest)["split"]
    if given.null_count == len(given):
        return leak_free_split(manifest, task=task, test=held_out, seed=seed), ()
    split = pc.fill_null(manifest["split"], "train")
    manifest = manifest.set_column(manifest.schema.get_field_index("split"), "split", split)
    if held_out:
        manifest = leak_free_split(manifest, task=task, test=held_out, seed=seed)
    return manifest, tuple(map(tuple, find_leaks(manifest)))
