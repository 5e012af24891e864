"""Predictions of a detector, each with a picture of its boxes in a folder."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from headstart.commands.picture_folder import PictureFolder
from headstart.data.inputs import ImageInput, ImageLike
from headstart.errors import UnreadableImage
from headstart.options import AnswerOptions, DecodeLimits
from headstart.predictor.detector import AnyBoxesPrediction, Detector
from headstart.predictor.predictor import FailedPrediction
from headstart.report.drawn_boxes import SIDE, draw_boxes


def picture_folder(folder: Path, *, overwrite: bool, written: Iterable[str]) -> PictureFolder:
    """Return a folder for pictures of boxes; see `PictureFolder`."""
    return PictureFolder(folder, overwrite=overwrite, written=written, side=SIDE)


def draw_each(
    detector: Detector,
    images: Iterable[ImageLike],
    options: AnswerOptions,
    limits: DecodeLimits,
    folder: PictureFolder,
) -> Iterator[AnyBoxesPrediction]:
    """Yield predictions, and write a picture of each.

    Args:
        detector: The detector.
        images: The images. Each is read twice: a picture needs other pixels than the network.
        options: What was asked for.
        limits: Limits on an image.
        folder: Where pictures are written.
    """
    waiting: deque[ImageLike] = deque()

    def passing() -> Iterator[ImageLike]:
        for image in images:
            waiting.append(_kept(image))
            yield waiting[-1]

    for result in detector.predict_each(passing(), options, limits):
        image = waiting.popleft()
        if isinstance(result, FailedPrediction):
            yield result
            continue
        pixels = ImageInput.of(image).decode(
            min_side=SIDE, contract=detector.contract, limits=limits
        )
        picture = draw_boxes(pixels, result.boxes, result.size, detector.classes)
        yield replace(result, picture=str(folder.write(result.image, picture)))


def _kept(image: ImageLike) -> ImageLike:
    """Return an image that may be read twice, even if the caller changes it meanwhile."""
    try:
        return ImageInput.of(image).source
    except UnreadableImage:
        return image  # Why it cannot be read is said when it is predicted.
