"""Opening data and models: where it is decided which task they are of."""

import os
from pathlib import Path

from headstart.data import images
from headstart.errors import BundleError
from headstart.options import ComputeOptions, OpenOptions, cache_folder
from headstart.predictor.bundle import read_bundle
from headstart.predictor.predictor import Predictor
from headstart.task import Task
from headstart.tasks.single import Single
from headstart.watching import Watcher

_TASKS: dict[str, Task] = {Single.name: Single()}


def open_data(
    data: str | os.PathLike[str], options: OpenOptions, watcher: Watcher
) -> images.Images:
    """Open labelled images, check every file, decide the split, and report what matters.

    Raises:
        DataError: Nothing usable is left, or there are fewer than two classes.
        OptionError: An option is wrong.
    """
    with watcher.stage("Checking images") as progress:
        opened = images.open_images(
            data,
            task=Single(),
            staging=cache_folder(options.cache) / "images",
            test=options.given().get("test"),
            group=options.group,
            seed=options.seed,
            progress=progress,
        )
    for warning in opened.warnings:
        watcher.warn(warning)
    return opened


def open_for(
    model: Predictor, data: str | os.PathLike[str], cache: Path | None, watcher: Watcher
) -> images.Images:
    """Open labelled images of a model's classes; images of other classes are rejected."""
    with watcher.stage("Checking images") as progress:
        return images.open_images(
            data,
            task=model.task,
            staging=cache_folder(cache) / "images",
            classes=model.classes,
            progress=progress,
        )


def load_predictor(model: str | os.PathLike[str], options: ComputeOptions) -> Predictor:
    """Load a trained model from a run or a bundle. No network is needed.

    Raises:
        BundleError: It is missing, changed, or of an unknown version or task.
        OptionError: The device or the precision is not available.
    """
    bundle = read_bundle(Path(model))
    if bundle.config.task not in _TASKS:
        raise BundleError(
            f"Model '{model}' is of an unknown task '{bundle.config.task}'. Upgrade headstart."
        )
    return Predictor.of_bundle(
        bundle,
        _TASKS[bundle.config.task],
        device=options.device,
        precision=options.precision,
        cache=options.cache,
    )
