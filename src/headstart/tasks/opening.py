"""Open data and choose its task."""

import os
from dataclasses import replace
from pathlib import Path
from typing import cast

from headstart.data.boxes.box_columns import find_box_columns, find_objects
from headstart.data.boxes.finding import find_boxes
from headstart.data.checks import CheckFiles, check_files
from headstart.data.formats import is_table
from headstart.data.images import Images
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.medical.volumes import Reading, reading_of
from headstart.data.opening import images_of
from headstart.data.paths import list_names
from headstart.data.slicing import sliced_columns
from headstart.data.sources import open_source
from headstart.data.staging import staging_folder
from headstart.data.table_files import open_table
from headstart.errors import DataError
from headstart.options import (
    CompareOptions,
    EvaluateOptions,
    LabelOptions,
    MedicalOptions,
    OpenOptions,
    TaskOption,
)
from headstart.tasks.loading import TASKS, AnyModel
from headstart.urls import url_of
from headstart.watching import Watcher


def open_data(
    data: str | os.PathLike[str],
    options: OpenOptions,
    watcher: Watcher,
    *,
    slices: str | None = None,
    check: CheckFiles = check_files,
) -> Images:
    """Open labelled images, check every file, split them, and report how they were understood.

    Args:
        data: What the user passed.
        options: How it is opened.
        watcher: Follows the stages.
        slices: The columns by which results are sliced, separated by commas.
        check: Reads and decodes the files.

    Raises:
        DataError: No usable images are left, or there are fewer than two classes.
        OptionError: An option is invalid.
    """
    interpretation = Interpretation(
        _labelling(options, options.task),
        options.group,
        sliced_columns(slices),
        _reading(options),
    )
    with watcher.stage("Checking images") as progress:
        source = open_source(data, staging_folder(options.cache), interpretation)
        opened = images_of(
            source,
            data,
            task=TASKS[source.task],
            test=options.given().get("test"),
            seed=options.seed,
            progress=progress,
            check=check,
        )
    return _reported(_learnable(data, opened), watcher)


def has_boxes(data: str | os.PathLike[str], task: TaskOption) -> bool | None:
    """Return whether the labels of data are boxes; None if it must be opened to know that.

    Args:
        data: What the user passed.
        task: The value of `--task`.
    """
    if task != "auto":
        return task == "boxes"
    if url_of(data):
        return None
    path = Path(data)
    if path.is_dir():
        return find_boxes(path) is not None
    if path.is_file() and is_table(path):
        schema = open_table(path).schema
        return bool(find_box_columns(schema.names) or find_objects(schema))
    return None if path.is_file() else False  # An archive, or a file of COCO or YOLO.


def may_have_boxes(data: str | os.PathLike[str], task: TaskOption) -> bool:
    """Return whether the labels of data may be boxes; see `has_boxes`."""
    return has_boxes(data, task) is not False


def _learnable(data: str | os.PathLike[str], images: Images) -> Images:
    """Leave out the labels that cannot be trained, with a warning unless there is one already.

    Labels that are always present, absent or unknown have been named by `label_warnings`.
    """
    train = images.train
    left_out = images.task.unlearnable(train.labels, train.groups)
    if not left_out:
        return images
    kept = [name for number, name in enumerate(images.classes) if number not in left_out]
    varying = [number for number in sorted(left_out) if {0, 1} <= set(train.labels[:, number])]
    if not kept:
        raise DataError(
            f"No label of '{data}' can be trained: each is present, or absent, in fewer than two "
            "training images (duplicates count once)."
        )
    if not varying:
        return replace(images, classes=tuple(kept))
    names = list_names([images.classes[number] for number in varying])
    warning = (
        f"Labels that are not trained, because fewer than two training images have them, or lack "
        f"them: {names}."
    )
    return replace(images, classes=tuple(kept), warnings=(*images.warnings, warning))


def open_for_model(
    model: AnyModel,
    data: str | os.PathLike[str],
    options: EvaluateOptions | CompareOptions,
    watcher: Watcher,
    *,
    slices: str | None = None,
) -> Images:
    """Open labelled images for a model; images of classes it does not know are rejected.

    See `open_data` for the arguments.
    """
    task = cast(TaskOption, model.task.name)
    interpretation = Interpretation(
        replace(_labelling(options, task), known=model.classes),
        slices=sliced_columns(slices),
        reading=reading_of(model.contract),
    )
    with watcher.stage("Checking images") as progress:
        source = open_source(data, staging_folder(options.cache), interpretation)
        opened = images_of(source, data, task=model.task, classes=model.classes, progress=progress)
    return _reported(opened, watcher)


def _reading(options: MedicalOptions) -> Reading | None:
    """Return how the user wants medical images to be read; None if they did not say."""
    given = options.given()
    if not {"window", "frames"} & set(given):
        return None
    return Reading(options.window, options.frames)


def _labelling(options: LabelOptions, task: TaskOption) -> Labelling:
    """Return what the user says about the labels."""
    given = options.given()
    return Labelling(
        task, given.get("labels"), given.get("label_separator"), given.get("uncertain")
    )


def _reported(images: Images, watcher: Watcher) -> Images:
    """Pass on how the data was understood, and its warnings."""
    watcher.note(images.summary)
    for warning in images.warnings:
        watcher.warn(warning)
    return images
