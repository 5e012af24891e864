"""Models of labels, as the server asks them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from headstart.answers import MultiPrediction, Prediction
from headstart.arrays import Features, Pixels
from headstart.data.decoding import LoadedImage, MinSide
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import Engine
from headstart.evaluation.known_images import Neighbour
from headstart.heads.small_batches import for_small_batches
from headstart.options import AnswerOptions
from headstart.predictor.limits import AnswerRules
from headstart.predictor.predictor import Predictor
from headstart.server.answerer import (
    Abilities,
    About,
    Answer,
    AnyAnswer,
    Asked,
    Computed,
    Inputs,
    labels_of,
)
from headstart.server.tensors import TEXT, Tensor

_KEPT_RULES = 64
_HEAT_MAP_SIDE = 800  # pixels of the longer side


class LabelAnswerer:
    """A model of labels of whole images; see `Answerer`.

    Args:
        predictor: The model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = replace(predictor, head=for_small_batches(predictor.head))
        self._known_rules: dict[AnswerOptions, AnswerRules] = {}

    @property
    def about(self) -> About:
        """What the model is."""
        predictor, limits = self.predictor, self.predictor.limits
        record, thresholds = predictor.record, predictor.thresholds
        return About(
            task=predictor.task.name,
            classes=predictor.classes,
            backbone=predictor.extractor.source.name,
            precision=predictor.extractor.precision,
            image_size=self.preprocess.size,
            test=record.test.verdict if record and record.test else None,
            operating_point=thresholds.purpose if thresholds else None,
            can=Abilities(
                unknown=limits.known is not None,
                sets=limits.calibration is not None,
                max_error=limits.calibration is not None and thresholds is None,
                nearest=limits.known is not None,
                pictures=bool(limits.examples),
                explain=True,
            ),
        )

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of images."""
        return self.predictor.extractor.preprocess

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.predictor.extractor.engine

    def check(self, asked: Asked) -> None:
        """Check that the model can do what is asked for.

        Raises:
            OptionError: It cannot.
        """
        self._rules(asked.options)

    @property
    def needed(self) -> MinSide:
        """The scale at which photos are needed."""
        return self.preprocess.min_side

    def read(self, loaded: LoadedImage) -> Inputs:
        """Return the pixels of the whole image."""
        return Inputs([self.preprocess.pixels_of(loaded)], [None])

    def infer(self, pixels: Pixels, placements: Sequence[Placement | None]) -> list[Features]:
        """Return the features of each image, rounded as stored, (width,)."""
        return list(self.predictor.features_of(pixels))

    def answers(self, images: Sequence[Computed], asked: Asked) -> list[Answer]:
        """Return the answers to images of which the same is asked."""
        features = np.stack(
            [one for image in images for one in image.found if isinstance(one, np.ndarray)]
        )
        names = [image.name for image in images]
        rules = self._rules(asked.options)
        predictions = self.predictor.answers(features, names, asked.options.top, rules)
        nearest = self._neighbours(features, asked.nearest)
        return [Answer(*each) for each in zip(predictions, features, nearest, strict=True)]

    def heat_map(self, image: bytes | Pixels, prediction: AnyAnswer) -> bytes:
        """Return a JPEG of an image with the heat map of its prediction drawn on it.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        # These need PyTorch, which is slow to import.
        from headstart.explanations.explaining import heat_pictures, label_to_explain

        label = label_to_explain(labels_of(prediction))
        picture = heat_pictures(self.predictor, [image], [label], side=_HEAT_MAP_SIDE)[0]
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=85)
        return file.getvalue()

    def tensors(self, predictions: Sequence[AnyAnswer]) -> list[Tensor]:
        """Return the labels, the probabilities of all classes, and what is unknown."""
        classes = self.predictor.classes
        rows = np.array([labels_of(one).probabilities for one in predictions], np.float32)
        probabilities = Tensor("probabilities", "FP32", rows.reshape(-1, len(classes)))
        tensors = [*self._label_tensors(predictions), probabilities]
        if self.predictor.limits.known is not None:
            unknown = np.array([bool(one.unknown) for one in predictions])
            tensors.append(Tensor("unknown", "BOOL", unknown))
        return tensors

    def _label_tensors(self, predictions: Sequence[AnyAnswer]) -> list[Tensor]:
        if self.predictor.task.name == "single":
            single = [one for one in predictions if isinstance(one, Prediction)]
            values = np.array([one.probability for one in single], np.float32)
            return [
                Tensor("label", TEXT, np.array([one.label for one in single])),
                Tensor("probability", "FP32", values),
            ]
        classes = self.predictor.classes
        several = [one for one in predictions if isinstance(one, MultiPrediction)]
        present = [[name in dict(one.labels) for name in classes] for one in several]
        return [Tensor("present", "BOOL", np.array(present, np.bool_).reshape(-1, len(classes)))]

    def _rules(self, options: AnswerOptions) -> AnswerRules:
        """Return what to say about predictions. The rules of a few options are kept."""
        rules = self._known_rules.get(options)
        if rules is None:
            rules = self.predictor.limits.rules(options, self.predictor.thresholds)
            if len(self._known_rules) < _KEPT_RULES:
                self._known_rules[options] = rules
        return rules

    def _neighbours(
        self, features: Features, count: int
    ) -> list[tuple[tuple[Neighbour, bytes | None], ...]]:
        """Return the similar training images of each image."""
        limits = self.predictor.limits
        if limits.known is None or not count:
            return [()] * len(features)
        found = limits.known.neighbours(features, count, among=limits.examples or None)
        return [tuple((one, limits.examples.get(one.sha256)) for one in each) for each in found]
