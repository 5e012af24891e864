"""Predict: classify images with a trained model."""

import os
from collections.abc import Iterator, Sequence, Sized
from dataclasses import replace
from pathlib import Path

from headstart.commands.combinations import PREDICTION, reject_ineffective_options
from headstart.data.formats import is_image_file
from headstart.data.inputs import ImageLike, ImagesLike, each_image, is_image
from headstart.data.paths import printable, walk_files
from headstart.errors import DataError
from headstart.options import PredictOptions
from headstart.predictor.predictor import AnyPrediction, FailedPrediction
from headstart.runs.predictions import check_output, write_predictions
from headstart.tasks.loading import load_predictor
from headstart.watching import Warn, Watcher


def run_prediction(
    model: str | os.PathLike[str], images: ImagesLike, options: PredictOptions, watcher: Watcher
) -> list[AnyPrediction]:
    """Run `predict` with validated options."""
    reject_ineffective_options(options, PREDICTION)
    check_output(options.out, overwrite=options.overwrite)
    files = _files(images, watcher.warn)
    # The images of a generator may not fit into memory together.
    found = list(files) if is_image(images) or isinstance(images, Sized) else None
    predictor = load_predictor(model, options)
    results: list[AnyPrediction] = []
    with watcher.stage("Predicting") as progress:
        for result in predictor.predict_each(found or files, top=options.top):
            results.append(replace(result, image=printable(result.image)))
            progress(len(results), len(results) if found is None else len(found))
    if options.out:
        write_predictions(options.out, results, predictor.classes)
    return results


def was_read(predictions: Sequence[AnyPrediction], images: Sequence[str]) -> bool:
    """Return whether every file that was passed could be read, and at least one file of a folder.

    Args:
        predictions: The results for `images`.
        images: The paths of files and folders.
    """
    named = set(map(printable, images))
    failed = [p.image for p in predictions if isinstance(p, FailedPrediction)]
    return named.isdisjoint(failed) and len(failed) < len(predictions)


def _files(images: ImagesLike, warn: Warn) -> Iterator[ImageLike]:
    """Yield images with the files in a folder in place of the folder."""
    for image in each_image(images):
        if isinstance(image, (str, os.PathLike)) and Path(image).is_dir():
            yield from _images_in(Path(image), warn)
        else:
            yield image


def _images_in(folder: Path, warn: Warn) -> list[Path]:
    def name_folder(error: OSError) -> None:
        warn(f"Folder '{printable(error.filename)}' cannot be read: {error.strerror}.")

    files = [file for file in walk_files(folder, on_unreadable=name_folder) if is_image_file(file)]
    if not files:
        raise DataError(f"Folder '{folder}' contains no images.")
    return files
