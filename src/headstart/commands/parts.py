"""The images that a model is evaluated on: a part of other data, or of the data of its run."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from headstart.data.images import Images, ImageSet
from headstart.data.manifest import with_column
from headstart.data.slicing import select_slices, sliced_columns
from headstart.errors import DataError, OptionError
from headstart.options import CompareOptions, EvaluateOptions, SplitOption
from headstart.record import Record, Rejection, describe_use
from headstart.runs.images import find_changes, images_of_part, images_of_run, is_run
from headstart.tasks.loading import AnyModel
from headstart.tasks.opening import open_for_model
from headstart.watching import Watcher

PartName = Literal["all", "train", "val", "test"]

_PARTS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Part:
    """The images that a model is evaluated on.

    Attributes:
        name: "all", "train", "val" or "test".
        images: The images.
        data: A short name of the data that they are from.
        own: Whether they are a part of the run's own data, as it was in the training.
        rejected: Images that are not used, with the reasons.
        warnings: Sentences about the data, and about what training used the images for.
    """

    name: PartName
    images: ImageSet
    data: str
    own: bool
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]


def part_of_data(
    model: Path,
    predictor: AnyModel,
    data: str | os.PathLike[str],
    options: EvaluateOptions | CompareOptions,
    watcher: Watcher,
    *,
    slices: str | None = None,
) -> Part:
    """Open data and choose the part; "auto" is the test part, or all images if there is none.

    Data without a split of its own has the parts of the run that it was the data of.

    Raises:
        DataError: The data cannot be used, or it has no such part.
    """
    images = open_for_model(predictor, data, options, watcher, slices=slices)
    name, chosen = _select(images, options.split, model)
    warnings = list(used_before(model, predictor.record, chosen))
    if name in ("val", "test") and not _has_split(images):
        watcher.note(f"'{images.name}' has no split, so that of '{model}' is used.")
        warnings += _incomplete(model, name, images, chosen)
    for warning in warnings:
        watcher.warn(warning)
    rejected = tuple(Rejection(*rejection) for rejection in images.rejected)
    return Part(name, chosen, images.name, False, rejected, (*images.warnings, *warnings))


def part_of_run(
    model: Path, predictor: AnyModel, options: EvaluateOptions, watcher: Watcher
) -> Part:
    """Choose a part of a run's own data; "auto" is the test part or, without one, the val part.

    Raises:
        OptionError: The model is a bundle, which does not list its images, or the run does not
            keep a column of `slices`.
        DataError: The run has no such part, or its files are missing or have changed.
    """
    if not is_run(model):
        raise OptionError(
            f"'{model}' is a bundle without its run, so its test images are not known. "
            f"Pass labelled images: headstart evaluate {model} DATA"
        )
    images = _sliced(model, images_of_run(model, predictor.task), options.slices)
    name, chosen = _select_own(images, options.split, model)
    with watcher.stage("Checking images") as progress:
        changes = find_changes(chosen, progress)
    described = f"{_PARTS[name]} part" if name in _PARTS else "data"
    if changes:
        raise DataError(
            f"The {described} of '{model}' is not as it was in the training: of "
            f"its {len(chosen):,} images, {changes}. Restore the files, or run this in the folder "
            "where the run was trained, or pass the data where it is now: "
            f"headstart evaluate {model} DATA --split {name}"
        )
    watcher.note(f"The {described} of '{model}': {len(chosen):,} images, unchanged.")
    warnings = tuple(used_before(model, predictor.record, chosen))
    for warning in warnings:
        watcher.warn(warning)
    source = predictor.record.data.name if predictor.record else images.name
    return Part(name, chosen, source, True, (), warnings)


def _sliced(run: Path, images: Images, slices: str | None) -> Images:
    """Return the images of a run with the requested columns; by default, those of the training."""
    kept, wanted = images.all.slices, sliced_columns(slices)
    if missing := [name for name in wanted if name not in kept]:
        columns = f"It keeps: {', '.join(kept)}." if kept else "It keeps none."
        raise OptionError(
            f"--slices '{missing[0]}' is not a column that the run '{run}' keeps. {columns} Pass "
            f"the table: headstart evaluate {run} DATA --split test"
        )
    if not wanted:
        return images
    texts = [select_slices(text, wanted) for text in images.manifest["slices"].to_pylist()]
    return replace(images, manifest=with_column(images.manifest, "slices", texts))


def used_before(run: Path, record: Record | None, images: ImageSet) -> Iterator[str]:
    """Yield what the training used some of the images for."""
    evaluated = set(images.sha256s)
    if seen := images_of_part(run, "train") & evaluated:
        yield f"{_share(seen, images)} were used for training, so the results are optimistic."
    if record and (seen := images_of_part(run, "val") & evaluated):
        yield (
            f"{_share(seen, images)} are in the validation part of the training, which "
            f"{describe_use(record.val_used_for)}."
        )


def _share(seen: set[str], images: ImageSet) -> str:
    """Return "All of these 20 images", or "3 of these 20 images"."""
    count = sum(sha256 in seen for sha256 in images.sha256s)
    number = "All" if count == len(images) else f"{count:,}"
    return f"{number} of these {len(images):,} images"


def _incomplete(run: Path, name: str, images: Images, chosen: ImageSet) -> Iterator[str]:
    """Yield a sentence if only some images of a run's part are in the data."""
    expected = len(images_of_part(run, name))
    found = len(set(chosen.sha256s))
    if found < expected:
        yield (
            f"Only {found:,} of the {expected:,} {_PARTS[name]} images of '{run}' are in "
            f"'{images.name}', so the results differ from those of the training."
        )


def _select_own(images: Images, split: SplitOption, model: Path) -> tuple[PartName, ImageSet]:
    """Return the requested part of a run's own data."""
    if split == "auto":
        split = "test" if len(images.test) else "val"
    parts = _parts(images)
    if len(parts[split]):
        return split, parts[split]
    held_out = " Pass --split val, or" if len(images.val) else " Pass"
    raise DataError(
        f"The run '{model}' has no {_PARTS[split]} images.{held_out} labelled images: headstart "
        f"evaluate {model} DATA"
    )


def _select(images: Images, split: SplitOption, model: Path) -> tuple[PartName, ImageSet]:
    """Return the requested part. "auto" is the test part, or all images if there is none."""
    if split == "auto":
        split = "test" if len(images.test) else "all"
    parts = _parts(images)
    chosen = parts[split]
    if not len(chosen) and not _has_split(images):
        chosen = _found_again(images, images_of_part(model, split))
    if not len(chosen):
        raise DataError(
            f"'{images.name}' has no usable {split} images. {_what_to_do(parts, split, model)}"
        )
    return split, chosen


def _parts(images: Images) -> dict[str, ImageSet]:
    return {"all": images.all, "train": images.train, "val": images.val, "test": images.test}


def _has_split(images: Images) -> bool:
    """Return whether data has a split of its own; images without one are training images."""
    return len(images.train) < len(images.all)


def _found_again(images: Images, sha256s: set[str]) -> ImageSet:
    rows = [row for row, sha256 in enumerate(images.all.sha256s) if sha256 in sha256s]
    return images.all.take(np.array(rows, dtype=np.int64))


def _what_to_do(parts: Mapping[str, ImageSet], split: str, model: Path) -> str:
    """Return advice for a part without images."""
    others = [name for name in ("train", "val", "test") if len(parts[name])]
    if others != ["train"]:  # Images without a split are training images.
        return f"It has {' and '.join(others)} images. Pass --split {others[-1]} or --split all."
    advice = (
        f"It has no split: put the images into folders train and {split}, or add a column 'split' "
        "to the table. Or pass --split all."
    )
    if images_of_part(model, split):
        advice += f" To evaluate on the {_PARTS[split]} images of '{model}', omit the data."
    return advice
