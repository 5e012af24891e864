"""Explain predictions: where a model looked, and which training images are similar."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from headstart.answers import AnyTaskPrediction, MultiPrediction
from headstart.arrays import Features, Floats
from headstart.data.inputs import ImageInput, ImageLike, ImagesLike, each_image
from headstart.data.paths import list_names
from headstart.errors import OptionError, UnreadableImage
from headstart.evaluation.known_images import Neighbour
from headstart.explanations.heat_maps import Explainer, heat_maps
from headstart.explanations.overlays import overlay
from headstart.features.rounding import as_stored
from headstart.options import AnswerOptions
from headstart.predictor.limits import AnswerRules
from headstart.predictor.predictor import FailedPrediction, Predictor


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a model predicts a label for an image.

    Attributes:
        prediction: The prediction.
        label: The class that is explained.
        probability: Its probability, 0 to 1.
        heat: How much each position of the square input supports the class, (height, width).
        picture: The image as the user sees it, with the heat map drawn on it.
        neighbours: The nearest training images, nearest first, each with a small JPEG if the model
            keeps one; empty if it knows no training images.
    """

    prediction: AnyTaskPrediction
    label: str
    probability: float
    heat: Floats
    picture: Image.Image
    neighbours: tuple[tuple[Neighbour, bytes | None], ...]


def check_label(predictor: Predictor, label: str | None) -> None:
    """Check that a class can be explained.

    Raises:
        OptionError: The model has no such class.
    """
    if label is not None and label not in predictor.classes:
        raise OptionError(
            f"The model has no class '{label}'. Its classes are "
            f"{list_names(list(predictor.classes))}."
        )


def explain_each(
    predictor: Predictor,
    images: ImagesLike,
    options: AnswerOptions | None = None,
    *,
    label: str | None = None,
    neighbours: int = 3,
    pictured: bool = False,
) -> Iterator[Explanation | FailedPrediction]:
    """Yield an explanation of each image, in order, or why it cannot be read.

    Args:
        predictor: The model.
        images: See `Predictor.predict`.
        options: What the prediction says.
        label: The class to explain; None for the predicted one, or with several labels per image
            the most probable one.
        neighbours: The number of similar training images to find.
        pictured: Whether to find only training images of which the model keeps pictures, if any.

    Raises:
        OptionError: The model has no such class, or cannot do what the options ask for.
    """
    check_label(predictor, label)
    options = options or AnswerOptions()
    explaining = _Explaining(
        predictor,
        Explainer.of(predictor),
        predictor.limits.rules(options, predictor.thresholds),
        options.top,
        label,
        neighbours,
        (predictor.limits.examples or None) if pictured else None,
    )
    for image in each_image(images):
        try:
            yield explaining.explain(image)
        except UnreadableImage as error:
            yield FailedPrediction(error.path, error.reason)


def heat_pictures(
    predictor: Predictor, images: Sequence[ImageLike], labels: Sequence[str], *, side: int
) -> list[Image.Image]:
    """Return images with the heat map of a class drawn on each.

    Args:
        predictor: The model.
        images: The images.
        labels: The class to explain, for each image.
        side: The longer side of the pictures, in pixels.

    Raises:
        UnreadableImage: An image cannot be decoded.
    """
    preprocess = predictor.extractor.preprocess
    pictures, pixels = [], []
    for image in images:
        decoded = ImageInput.of(image).decode(
            min_side=preprocess.min_side, contract=preprocess.contract
        )
        pixels.append(preprocess.pixels(decoded))
        picture = decoded.convert("RGB")
        picture.thumbnail((side, side))
        pictures.append(picture)
    if not pictures:
        return []
    numbers = [predictor.classes.index(label) for label in labels]
    heats = heat_maps(predictor, np.stack(pixels), numbers)
    return [
        overlay(picture, heat, preprocess) for picture, heat in zip(pictures, heats, strict=True)
    ]


@dataclass(frozen=True)
class _Explaining:
    """What is the same for all images of a call; see `explain_each`."""

    predictor: Predictor
    explainer: Explainer
    rules: AnswerRules
    top: int
    label: str | None
    neighbours: int
    among: Container[str] | None

    def explain(self, image: ImageLike) -> Explanation:
        """Explain one image.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        predictor, preprocess = self.predictor, self.predictor.extractor.preprocess
        given = ImageInput.of(image)
        decoded = given.decode(min_side=preprocess.min_side, contract=preprocess.contract)
        pixels = preprocess.pixels(decoded)
        features = as_stored(next(predictor.extractor.of_pixels([pixels])), predictor.stored_as)
        prediction = next(predictor.answers(features, [given.name], self.top, self.rules))
        label = self.label or label_to_explain(prediction)
        number = predictor.classes.index(label)
        heat = self.explainer.heat_maps(pixels[np.newaxis], [number])[0]
        return Explanation(
            prediction,
            label,
            float(prediction.probabilities[number]),
            heat,
            overlay(decoded.convert("RGB"), heat, preprocess),
            tuple(self._nearest(features)),
        )

    def _nearest(self, features: Features) -> Iterator[tuple[Neighbour, bytes | None]]:
        known, examples = self.predictor.limits.known, self.predictor.limits.examples
        if known is None or not self.neighbours:
            return
        for one in known.neighbours(features, self.neighbours, among=self.among)[0]:
            yield one, examples.get(one.sha256)


def label_to_explain(prediction: AnyTaskPrediction) -> str:
    """Return the predicted class; of several labels, the most probable one."""
    if isinstance(prediction, MultiPrediction):
        return prediction.top[0][0]
    return prediction.label
