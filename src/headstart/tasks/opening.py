"""Open data and choose its task."""

import os
from pathlib import Path

from headstart.data.images import Images
from headstart.data.labelling import Labelling
from headstart.data.opening import images_of, open_images
from headstart.data.sources import open_source
from headstart.options import OpenOptions, cache_folder
from headstart.predictor.predictor import Predictor
from headstart.tasks.registry import TASKS
from headstart.watching import Watcher


def open_data(data: str | os.PathLike[str], options: OpenOptions, watcher: Watcher) -> Images:
    """Open labelled images, check every file, split them, and report how they were understood.

    Raises:
        DataError: No usable images are left, or there are fewer than two classes.
        OptionError: An option is invalid.
    """
    given = options.given()
    names = ("task", "labels", "label_separator", "uncertain")
    labelling = Labelling(**{name: given[name] for name in names if name in given})
    with watcher.stage("Checking images") as progress:
        source = open_source(
            data,
            staging=cache_folder(options.cache) / "images",
            group=options.group,
            labelling=labelling,
        )
        opened = images_of(
            source,
            data,
            task=TASKS[source.task],
            test=given.get("test"),
            seed=options.seed,
            progress=progress,
        )
    return _reported(opened, watcher)


def open_for_model(
    model: Predictor, data: str | os.PathLike[str], cache: Path | None, watcher: Watcher
) -> Images:
    """Open labelled images for a model; images of classes it does not know are rejected."""
    with watcher.stage("Checking images") as progress:
        opened = open_images(
            data,
            task=model.task,
            staging=cache_folder(cache) / "images",
            classes=model.classes,
            progress=progress,
        )
    return _reported(opened, watcher)


def _reported(images: Images, watcher: Watcher) -> Images:
    """Pass on how the data was understood, and its warnings."""
    watcher.note(images.summary)
    for warning in images.warnings:
        watcher.warn(warning)
    return images
