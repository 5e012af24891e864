"""Open: labelled images and trained models, for those who take the steps one by one."""

import os
from pathlib import Path
from typing import Any

from headstart.classifier import Classifier
from headstart.commands.watching import Watcher
from headstart.data import images
from headstart.options import ComputeOptions, OpenOptions, cache_folder
from headstart.tasks.single import Single


def open_images(data: str | os.PathLike[str], **options: Any) -> images.Images:  # noqa: ANN401
    """Open labelled images, check every file, and decide what is kept for the test.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a CSV or
            Parquet file, or an archive of a folder.
        options: See `OpenOptions`: test, group, seed, cache.

    Raises:
        DataError: Nothing usable is left, or there are fewer than two classes.
        OptionError: An option is wrong.
    """
    chosen = OpenOptions.of(**options)
    return images.open_images(
        data,
        task=Single(),
        staging=cache_folder(chosen.cache) / "images",
        test=chosen.test,
        group=chosen.group,
        seed=chosen.seed,
    )


def open_checked(
    data: str | os.PathLike[str], options: OpenOptions, watcher: Watcher
) -> images.Images:
    """Do `open_images` with options that are built already, and say what the user should know."""
    with watcher.stage("Checking images") as progress:
        opened = images.open_images(
            data,
            task=Single(),
            staging=cache_folder(options.cache) / "images",
            test=options.test,
            group=options.group,
            seed=options.seed,
            progress=progress,
        )
    for warning in opened.warnings:
        watcher.warn(warning)
    return opened


def load(model: str | os.PathLike[str], **options: Any) -> Classifier:  # noqa: ANN401
    """Read a trained model: a run or a bundle. No network is needed.

    Args:
        model: The folder.
        options: See `ComputeOptions`: device, precision, cache.

    Raises:
        BundleError: It is missing, changed, or of an unknown version.
        OptionError: An option is wrong.
    """
    chosen = ComputeOptions.of(**options)
    return Classifier.load(
        Path(model), device=chosen.device, precision=chosen.precision, cache=chosen.cache
    )
