"""Explain: heat maps of predictions, and the training images that are similar."""

import os
from collections.abc import Iterator, Mapping, Sized
from dataclasses import replace
from pathlib import Path

from PIL import Image

from headstart.commands.image_files import Volumes, found_images
from headstart.data.inputs import ImagesLike
from headstart.data.medical.volumes import reading_of
from headstart.errors import OutputError
from headstart.explanations.explaining import Explanation, check_label, explain_each
from headstart.files import write_atomically
from headstart.options import ExplainOptions, cache_folder
from headstart.predictor.predictor import FailedPrediction
from headstart.record.explanation import ExplainedImage, SimilarImage
from headstart.report.thumbnails import as_jpeg
from headstart.runs.images import files_by_hash
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher

AnyExplanation = ExplainedImage | FailedPrediction

# Larger pictures show no more of a heat map.
_MAX_SIDE = 1024


def run_explanation(
    model: str | os.PathLike[str], images: ImagesLike, options: ExplainOptions, watcher: Watcher
) -> list[AnyExplanation]:
    """Run `explain` with validated options."""
    found = found_images(images, watcher.warn)
    count = len(found) if isinstance(found, Sized) else 0
    predictor = load_predictor(model, options)
    check_label(predictor, options.label)
    reading = reading_of(predictor.extractor.preprocess.contract)
    volumes = Volumes(cache_folder(options.cache) / "images", reading)
    known, files = files_by_hash(Path(model)), _Files(options.out, overwrite=options.overwrite)
    results: list[AnyExplanation] = []
    with watcher.stage("Explaining") as progress:
        each = explain_each(
            predictor, volumes.unpacked(found), options.label, neighbours=options.nearest
        )
        for result in each:
            results.append(_written(result, volumes, known, files))
            progress(len(results), max(len(results), count))
    return results


def _written(
    result: Explanation | FailedPrediction,
    volumes: Volumes,
    known: Mapping[str, tuple[str, str]],
    files: "_Files",
) -> AnyExplanation:
    """Write the heat map of an image, and return its explanation."""
    if isinstance(result, FailedPrediction):
        name, error = volumes.named(result.image, result.error)
        return replace(result, image=name, error=str(error))
    prediction = result.prediction
    name, _ = volumes.named(prediction.image)
    return ExplainedImage(
        name,
        result.label,
        result.probability,
        str(files.write(name, result.picture)),
        tuple(
            SimilarImage(known.get(one.sha256, ("", ""))[0], one.label, one.distance)
            for one in result.neighbours
        ),
        prediction.unknown,
    )


class _Files:
    """Pictures in a folder, which is made when the first one is written.

    Args:
        folder: The folder.
        overwrite: Whether to replace pictures of an earlier call.

    Raises:
        OutputError: The folder holds files already, and may not be changed.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        if folder.is_file():
            raise OutputError(f"Output '{folder}' is a file. Pass the name of a folder.")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise OutputError(
                f"Output '{folder}' already exists. Pass --overwrite (overwrite=True) to write "
                "into it, or another --out."
            )
        self._folder = folder
        self._taken: set[str] = set()

    def write(self, image: str, picture: Image.Image) -> Path:
        """Write a picture under the name of its image, with a number if that is taken."""
        name = next(name for name in _names(Path(image).name) if name not in self._taken)
        self._taken.add(name)
        small = picture.copy()
        small.thumbnail((_MAX_SIDE, _MAX_SIDE))
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, as_jpeg(small))
        except OSError as error:
            raise OutputError(f"Output '{path}' cannot be written: {error.strerror}.") from None
        return path


def _names(image: str) -> Iterator[str]:
    stem = Path(image).stem or "image"
    yield f"{stem}.jpg"
    number = 2
    while True:
        yield f"{stem}-{number}.jpg"
        number += 1
