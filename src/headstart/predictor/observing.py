"""What models see in unlabelled images: their features, and how probable each class is in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headstart.answers import BoxesPrediction
from headstart.arrays import Features, Pixels, Probabilities
from headstart.data.inputs import ImageInput, ImagesLike
from headstart.errors import UnreadableImage
from headstart.predictor.decoding import with_features, work_ahead
from headstart.predictor.detector import STORED_AS, Detector
from headstart.predictor.placed import PlacedImage, decode_placed, decode_tiles
from headstart.predictor.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Observed:
    """A batch of images as a model sees them.

    Attributes:
        images: The name of each image, or the error in the place of one that cannot be decoded.
        features: The features of the others, rounded as stored, (readable images, width).
        probabilities: The probability of each class in these, (readable images, classes). Of boxes,
            that of the most probable box of the class.
    """

    images: list[str | UnreadableImage]
    features: Features
    probabilities: Probabilities


def observe(model: Predictor | Detector, images: ImagesLike) -> Iterator[Observed]:
    """Yield images in batches as a model sees them, decoding a few images ahead."""
    if isinstance(model, Detector):
        yield from _observe_boxes(model, images)
        return
    none = np.zeros((0, len(model.classes)))
    for names, features in model.features_each(images):
        yield Observed(names, features, model.probabilities(features) if len(features) else none)


def _observe_boxes(detector: Detector, images: ImagesLike) -> Iterator[Observed]:
    # Importing PyTorch is slow. Boxes below this probability are not detected, so none is less.
    from headstart.heads.boxes.detections import LEAST_SCORE

    whole: deque[Pixels] = deque()

    def placed() -> Iterator[tuple[str, PlacedImage | UnreadableImage]]:
        for name, decoded in work_ahead(images, decode, ahead=detector.ahead):
            if isinstance(decoded, UnreadableImage):
                yield name, decoded
            else:
                whole.append(decoded[0])
                yield name, decoded[1]

    def decode(image: ImageInput) -> tuple[Pixels, PlacedImage]:
        """Return the pixels of the whole image, and the image as boxes are found in it."""
        pixels, placement = decode_placed(image, detector.preprocess)
        if detector.tiles is None:
            return pixels, PlacedImage([pixels], [placement])
        return pixels, decode_tiles(image, detector.preprocess, detector.tiles)

    answers = (
        answer if isinstance(answer, UnreadableImage) else (answer, whole.popleft())
        for answer in detector.answers(placed())
    )
    for batch, features in with_features(answers, detector.extractor, STORED_AS):
        names = [one if isinstance(one, UnreadableImage) else one.image for one in batch]
        highest = [one.probabilities for one in batch if isinstance(one, BoxesPrediction)]
        probabilities = np.array(highest).reshape(-1, len(detector.classes))
        yield Observed(names, features, np.maximum(probabilities, LEAST_SCORE))
