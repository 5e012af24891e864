"""Predict: classify images with a trained model."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.data.formats import SUFFIXES
from headstart.data.paths import printable, walk_files
from headstart.errors import DataError
from headstart.options import PredictOptions
from headstart.predictor.predictor import FailedPrediction
from headstart.task import Prediction
from headstart.tasks.loading import load_predictor
from headstart.watching import LibraryWatcher, Watcher


def predict(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> list[Prediction | FailedPrediction]:
    """Predict the labels of images.

    Args:
        model: A run folder or a bundle.
        images: Files, or folders to search for images.
        watcher: Receives progress and warnings.
        options: See `PredictOptions`.

    Returns:
        One result per file, in the order given. A file that cannot be read has a
        `FailedPrediction`.

    Raises:
        HeadstartError: The model, an option or a folder cannot be used.
    """
    return run_prediction(model, images, PredictOptions.of(**options), watcher or LibraryWatcher())


def run_prediction(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    options: PredictOptions,
    watcher: Watcher,
) -> list[Prediction | FailedPrediction]:
    """Run `predict` with validated options."""
    paths = [path for image in images for path in _files(Path(image))]
    predictor = load_predictor(model, options)
    results: list[Prediction | FailedPrediction] = []
    with watcher.stage("Predicting") as progress:
        for result in predictor.predict_each(paths, top=options.top):
            results.append(replace(result, image=printable(result.image)))
            progress(len(results), len(paths))
    return results


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [file for file in walk_files(path) if file.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"Folder '{path}' contains no images.")
    return files
