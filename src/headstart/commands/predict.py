"""Predict: the labels of images, by a trained model."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.data.decoding import SUFFIXES
from headstart.data.paths import printable, walk_files
from headstart.errors import DataError
from headstart.options import PredictOptions
from headstart.predictor.predictor import Unread
from headstart.task import Prediction
from headstart.tasks.loading import load_predictor
from headstart.watching import SilentWatcher, Watcher


def predict(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> list[Prediction | Unread]:
    """Predict the labels of images.

    Args:
        model: A run or a bundle.
        images: Files, or folders that are searched for images.
        watcher: Follows the stages.
        options: See `PredictOptions`.

    Returns:
        One result for each file, in the order given; a file that cannot be read is named in its
        place.

    Raises:
        HeadstartError: The model, an option or a folder cannot be used.
    """
    return run_prediction(model, images, PredictOptions.of(**options), watcher or SilentWatcher())


def run_prediction(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    options: PredictOptions,
    watcher: Watcher,
) -> list[Prediction | Unread]:
    """Do `predict` with options that are built already."""
    paths = [path for image in images for path in _files(Path(image))]
    predictor = load_predictor(model, options)
    out: list[Prediction | Unread] = []
    with watcher.stage("Predicting") as progress:
        for one in predictor.predict_each(paths, top=options.top):
            out.append(replace(one, image=printable(one.image)))
            progress(len(out), len(paths))
    return out


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in walk_files(path) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(f"Folder '{path}' holds no images.")
    return found
