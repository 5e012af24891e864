"""Predict: what images show, by a trained model."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from headstart.classifier import Classifier, Prediction
from headstart.commands.watching import Silence, Watcher
from headstart.data.decoding import SUFFIXES, decode_image, quiet_pillow, read_image
from headstart.data.sources import files_of, printable
from headstart.errors import DataError, UnreadableImage
from headstart.features.extraction import in_order
from headstart.options import PredictOptions

_AHEAD = 32


@dataclass(frozen=True)
class Unread:
    """An image that could not be told because its file cannot be read.

    Attributes:
        image: How the user called it.
        error: What is wrong with it.
    """

    image: str
    error: str


def predict(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> list[Prediction | Unread]:
    """Tell what images show.

    Args:
        model: A run or a bundle.
        images: Files, or folders that are searched for images.
        watcher: Told how far it is.
        options: See `PredictOptions`.

    Returns:
        One for each file, in the order given; a file that cannot be read is named, not skipped.

    Raises:
        HeadstartError: The model, an option or a folder cannot be used.
    """
    return run_prediction(model, images, PredictOptions.of(**options), watcher or Silence())


def run_prediction(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    options: PredictOptions,
    watcher: Watcher,
) -> list[Prediction | Unread]:
    """Do `predict` with options that are built already."""
    paths = [path for image in images for path in _files(Path(image))]
    classifier = Classifier.load(
        Path(model), device=options.device, precision=options.precision, cache=options.cache
    )
    unread: dict[int, Unread] = {}
    smallest = classifier.backbone.preprocess.smallest_side

    def readable() -> Iterator[tuple[str, Image.Image]]:
        workers = os.cpu_count() or 1
        with quiet_pillow(), ThreadPoolExecutor(workers) as pool:
            opened = in_order(pool, lambda path: _open(path, smallest), paths, ahead=_AHEAD)
            for number, image in enumerate(opened):
                if isinstance(image, Unread):
                    unread[number] = image
                else:
                    yield printable(str(paths[number])), image

    told: list[Prediction] = []
    with watcher.stage("Predicting") as progress:
        for prediction in classifier.predict_opened(readable(), top=options.top):
            told.append(prediction)
            progress(len(told) + len(unread), len(paths))
    rest = iter(told)
    return [unread.get(number) or next(rest) for number in range(len(paths))]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in files_of(path) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(f"Folder '{path}' holds no images.")
    return found


def _open(path: Path, smallest: int) -> Image.Image | Unread:
    try:
        return decode_image(read_image(str(path)), path=str(path), smallest=smallest)
    except UnreadableImage as error:
        return Unread(printable(str(path)), error.reason)
