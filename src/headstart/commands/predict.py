"""Predict: classify images with a trained model."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path

from headstart.commands.combinations import PREDICTION, reject_ineffective_options
from headstart.data.formats import is_image_file
from headstart.data.inputs import ImageLike, ImagesLike, each_image, is_image
from headstart.data.medical.volumes import Reading, is_volume, reading_of, unpack_volume
from headstart.data.paths import printable, walk_files
from headstart.errors import DataError, UnreadableImage
from headstart.options import PredictOptions, cache_folder
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
    reading = reading_of(predictor.extractor.preprocess.contract)
    volumes = _Volumes(cache_folder(options.cache) / "images", reading)
    results: list[AnyPrediction] = []
    with watcher.stage("Predicting") as progress:
        each = volumes.unpacked(found or files)
        for result in predictor.predict_each(each, options):
            results.append(volumes.named(result))
            progress(len(results), max(len(results), len(found or ())))
    if options.out:
        write_predictions(options.out, results, predictor.classes)
    return results


@dataclass
class _Volumes:
    """Files with several images, which are predicted one by one.

    Attributes:
        staging: Folder for their images.
        reading: How they are read.
    """

    staging: Path
    reading: Reading
    # For each image in turn its name, if that is not its path, and why it cannot be read.
    _notes: deque[tuple[str | None, str | None]] = field(default_factory=deque)

    def unpacked(self, images: Iterable[ImageLike]) -> Iterator[ImageLike]:
        """Yield the images of each such file in its place, and others as they are.

        A file that cannot be read stays, so that there is a result for it.
        """
        for image in images:
            if not isinstance(image, (str, os.PathLike)) or not is_volume(Path(image)):
                self._notes.append((None, None))
                yield image
                continue
            try:
                volume = unpack_volume(Path(image), self.staging, self.reading)
            except UnreadableImage as error:
                self._notes.append((None, error.reason))
                yield image
                continue
            for number, path in volume.images:
                self._notes.append((f"{os.fspath(image)}#{number}", None))
                yield str(path)

    def named(self, result: AnyPrediction) -> AnyPrediction:
        """Return the next result with the name of its image, or why that cannot be read."""
        name, problem = self._notes.popleft()
        if problem and isinstance(result, FailedPrediction):
            result = replace(result, error=problem)
        return replace(result, image=printable(name or result.image))


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
