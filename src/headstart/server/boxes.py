"""Detectors of boxes, as the server asks them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from headstart.answers import BoxesPrediction
from headstart.arrays import Pixels
from headstart.boxes import Detections
from headstart.data.decoding import LoadedImage, MinSide
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import Engine
from headstart.errors import OptionError
from headstart.predictor.detector import Detector
from headstart.predictor.placed import PlacedImage, side_needed
from headstart.server.answerer import (
    Abilities,
    About,
    Answer,
    AnyAnswer,
    Asked,
    Computed,
    Inputs,
)
from headstart.server.tensors import TEXT, Tensor

_NO_FEATURES = np.zeros(0, np.float32)


class BoxAnswerer:
    """A detector of boxes; see `Answerer`.

    Args:
        detector: The model.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    @property
    def about(self) -> About:
        """What the model is."""
        detector, record = self.detector, self.detector.record
        return About(
            task=detector.task.name,
            classes=detector.classes,
            backbone=detector.backbone.name,
            precision=detector.precision,
            image_size=self.preprocess.size,
            test=record.test.verdict if record and record.test else None,
            operating_point=detector.thresholds.purpose,
            can=Abilities(),
        )

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of images."""
        return self.detector.preprocess

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.detector.engine

    def check(self, asked: Asked) -> None:
        """Check that nothing is asked for that is for labels of whole images.

        Raises:
            OptionError: Something is.
        """
        beyond = {"nearest": asked.nearest, "explain": asked.explain}
        given = [*asked.options.given(), *(name for name, value in beyond.items() if value)]
        if given:
            raise OptionError(
                f"'{given[0]}' is for classifiers, and this model is a detector. Leave it out."
            )

    @property
    def needed(self) -> MinSide:
        """The scale at which photos are needed."""
        return side_needed(self.preprocess, self.detector.tiles)

    def read(self, loaded: LoadedImage) -> Inputs:
        """Return the pixels of an image or, if the detector cuts it, of its tiles."""
        placed = PlacedImage.of(loaded, self.preprocess, self.detector.tiles)
        return Inputs(placed.pixels, placed.placements)

    def infer(self, pixels: Pixels, placements: Sequence[Placement | None]) -> list[Detections]:
        """Return the boxes in each input, in pixels of its image as it is seen."""
        outputs = self.detector.engine.infer(pixels)
        return [
            self.detector.detections(output, placement)
            for output, placement in zip(outputs, placements, strict=True)
            if placement
        ]

    def answers(self, images: Sequence[Computed], asked: Asked) -> list[Answer]:
        """Return the boxes in each image."""
        return [Answer(self._boxes(image), _NO_FEATURES) for image in images]

    def heat_map(self, image: bytes | Pixels, prediction: AnyAnswer) -> bytes:
        """Raise an error: the boxes themselves say which part of the image is meant.

        Raises:
            OptionError: Always.
        """
        raise OptionError("A detector of boxes has no heat maps.")

    def tensors(self, predictions: Sequence[AnyAnswer]) -> list[Tensor]:
        """Return the boxes of each image as JSON, because their number differs."""
        texts = [
            json.dumps([box.to_json() for box in one.boxes], ensure_ascii=False)
            for one in predictions
            if isinstance(one, BoxesPrediction)
        ]
        return [Tensor("boxes", TEXT, np.array(texts, np.str_))]

    def _boxes(self, image: Computed) -> BoxesPrediction:
        from headstart.heads.boxes.detections import merge_tiles  # It needs PyTorch.

        placements = [one for one in image.placements if one]
        found = merge_tiles([one for one in image.found if isinstance(one, Detections)], placements)
        return self.detector.answer(image.name, found, placements[0])
