"""The immutable model: everything that turns an image into an answer, and nothing else."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from headstart.arrays import Features, Pixels, Probabilities, Scores, Tensors
from headstart.backbones.saved import SavedBackbone
from headstart.data.decoding import ImageLike, as_image, image_name, is_image
from headstart.engines.devices import choose_device
from headstart.engines.precision import has_bf16
from headstart.errors import DataError, OptionError, UnreadableImage
from headstart.features.batches import map_in_order
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.heads import fitted
from headstart.heads.fitted import FittedHead, NearestModel
from headstart.options import DeviceOption, PrecisionOption, cache_folder
from headstart.predictor.bundle import Bundle, write_bundle
from headstart.predictor.card import model_card
from headstart.predictor.config import (
    BackboneConfig,
    Calibration,
    Config,
    HeadConfig,
    Specification,
)
from headstart.record import Evaluation, Record
from headstart.task import Prediction, Task
from headstart.watching import Progress, Warn

if TYPE_CHECKING:
    from headstart.data.images import ImageSet
    from headstart.predictor.module import PredictorModule

_AHEAD = 32


@dataclass(frozen=True)
class Unread:
    """An image that has no prediction because its file cannot be read.

    Attributes:
        image: How the user named it.
        error: What is wrong with it.
    """

    image: str
    error: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {"image": self.image, "error": self.error}


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model.

    It never changes, and threads may share one. After a fork, or in another process that received
    it by pickle, it goes on by itself.

    Attributes:
        task: The kind of label.
        classes: Names, in the order of the probabilities.
        extractor: The frozen backbone, and how it is run.
        features: The features that the head reads: "last", "multilevel" or "flatten".
        stored_as: Precision that features are rounded to before the head reads them.
        head: The fitted head.
        temperature: Divisor of scores that calibrates probabilities.
        specification: How the head was asked for.
        record: What was measured, if anything was.
    """

    task: Task
    classes: tuple[str, ...]
    extractor: FeatureExtractor
    features: str
    stored_as: str
    head: FittedHead
    temperature: float
    specification: Specification = field(default_factory=Specification)
    record: Record | None = None

    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, top: int = 5
    ) -> Prediction | list[Prediction]:
        """Predict the label of one image, or of each of several.

        Args:
            images: Paths, file contents, PIL images, or arrays (height, width, 3) of uint8.
            top: How many classes to list.

        Raises:
            UnreadableImage: One cannot be decoded.
        """
        if is_image(images):
            return self._predict_all([images], top)[0]
        return self._predict_all(images, top)

    def predict_each(
        self, images: Iterable[ImageLike], *, top: int = 5
    ) -> Iterator[Prediction | Unread]:
        """Yield the predictions of images in their order, decoding a few ahead.

        An image that cannot be decoded is named in its place.
        """
        for one in self._each(images, top):
            if isinstance(one, UnreadableImage):
                yield Unread(one.path, one.reason)
            else:
                yield one

    def scores(self, features: Features) -> Scores:
        """Return the head's scores, (images, classes), for the features of all stages."""
        columns = self.extractor.layout.columns(self.features)
        return self.head.logits(as_stored(features, self.stored_as)[:, columns])

    def probabilities(self, features: Features) -> Probabilities:
        """Turn the features of all stages, (images, width), into calibrated probabilities."""
        return self.task.probabilities(self.scores(features), self.temperature)

    def probabilities_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Probabilities:
        """Return calibrated probabilities, (images, classes), with features from the store."""
        features, _ = self.extractor.of_files(images.files, progress=progress, warn=warn)
        return self.probabilities(features)

    def evaluate(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Evaluation:
        """Measure predictions of labelled images.

        Raises:
            DataError: There are none, or their classes are not the model's.
        """
        require_classes(images, self.classes)
        if not len(images):
            raise DataError("There are no images to measure on.")
        found = self.probabilities_of(images, progress=progress, warn=warn)
        return self.task.evaluate(found, images.labels, self.classes)

    def with_class(self, name: str, images: Sequence[ImageLike]) -> Predictor:
        """Return a model that knows one more class from some of its images, without a refit.

        Raises:
            OptionError: The head is not "nearest", or the class exists.
            DataError: No image was given.
        """
        if not isinstance(self.head, NearestModel):
            raise OptionError(
                f"A '{self.head.kind}' head cannot learn a class without a refit. "
                "Train with head='nearest'."
            )
        if name in self.classes:
            raise OptionError(f"The model already has a class '{name}'.")
        if not images:
            raise DataError(f"No image of class '{name}' was given.")
        side = self.extractor.preprocess.min_side
        opened = (as_image(image, min_side=side) for image in images)
        features = np.concatenate(list(self.extractor.of_images(opened)))
        columns = self.extractor.layout.columns(self.features)
        head = self.head.with_class(as_stored(features, self.stored_as)[:, columns])
        return replace(self, head=head, classes=(*self.classes, name), record=None)

    def module(self) -> PredictorModule:
        """Return the model as one PyTorch module: uint8 pixels in, calibrated probabilities out."""
        from headstart.predictor.module import PredictorModule  # PyTorch takes seconds to import.

        return PredictorModule(
            self.extractor.pooling,
            self.extractor.layout.columns(self.features),
            self.stored_as,
            self.head,
            self.temperature,
            self.task.link,
        )

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        record: Record | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a bundle: a folder that loads without network and without pickle.

        Args:
            folder: Where to write it.
            record: What was measured, if that is not in the model yet.
            overwrite: Replace an earlier model there.

        Raises:
            OutputError: The folder exists and `overwrite` is false, or it cannot be written.
        """
        model = replace(self, record=record) if record else self
        write_bundle(model.to_bundle(), Path(folder), overwrite=overwrite)

    def to_bundle(self) -> Bundle:
        """Return everything that the model consists of, ready to be written."""
        backbone, deterministic = self.extractor.source, self.specification.deterministic
        numbers, arrays = fitted.written(self.head)
        config = Config(
            headstart=version("headstart"),
            created=None if deterministic else datetime.now(UTC).isoformat(timespec="seconds"),
            task=self.task.name,
            classes=self.classes,
            preprocess=backbone.preprocess,
            backbone=BackboneConfig(
                backbone.name,
                backbone.architecture,
                backbone.origin,
                self.extractor.fingerprint.weights,
                self.extractor.layout.blocks,
                backbone.licence,
            ),
            features=self.features,
            stored_as=self.stored_as,
            precision=self.extractor.precision,
            head=HeadConfig(self.head.kind, numbers),
            calibration=Calibration(self.temperature),
            specification=self.specification,
            record=self.record.without_times() if self.record and deterministic else self.record,
        )
        network = {f"backbone.{name}": one for name, one in self.extractor.tensors().items()}
        head = {f"head.{name}": value for name, value in arrays.items()}
        return Bundle(config, {**network, **head}, model_card(config, self.task))

    @classmethod
    def of_bundle(
        cls,
        bundle: Bundle,
        task: Task,
        *,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cache: str | os.PathLike[str] | None = None,
    ) -> Predictor:
        """Build the model that a bundle holds; no network is needed.

        Args:
            bundle: As read from disk.
            task: The kind of label that the bundle names.
            device: Where to run it.
            precision: "auto" is what it was trained in, where the processor has that.
            cache: Folder for features and converted networks.

        Raises:
            BundleError: A part is missing.
        """
        config = bundle.config
        if precision == "auto":
            trained_in = config.precision == "bf16" and has_bf16(choose_device(device))
            precision = "bf16" if trained_in else "float32"
        extractor = FeatureExtractor(
            _backbone_of(config, _part(bundle.tensors, "backbone.")),
            cache=cache_folder(cache),
            device=device,
            precision=precision,
            reads="map" if config.features == "flatten" else "stages",
        )
        head = fitted.read(config.head.kind, config.head.numbers, _part(bundle.tensors, "head."))
        return cls(
            task,
            config.classes,
            extractor,
            config.features,
            config.stored_as,
            head,
            config.calibration.temperature,
            config.specification,
            config.record,
        )

    def _predict_all(self, images: Iterable[ImageLike], top: int) -> list[Prediction]:
        out = []
        for one in self._each(images, top):
            if isinstance(one, UnreadableImage):
                raise one
            out.append(one)
        return out

    def _each(
        self, images: Iterable[ImageLike], top: int
    ) -> Iterator[Prediction | UnreadableImage]:
        """Yield a prediction, or the error, for each image in order."""
        if top < 1:
            raise OptionError(f"top must be at least 1. Got {top}.")
        waiting: deque[str | UnreadableImage] = deque()

        def readable() -> Iterator[Pixels]:
            for name, opened in self._opened(images):
                waiting.append(opened if isinstance(opened, UnreadableImage) else name)
                if not isinstance(opened, UnreadableImage):
                    yield opened

        for features in self.extractor.of_pixels(readable()):
            for row in self.probabilities(features):
                yield from _leading_errors(waiting)
                yield self.task.predict(str(waiting.popleft()), row, self.classes, top)
        yield from _leading_errors(waiting)

    def _opened(
        self, images: Iterable[ImageLike]
    ) -> Iterator[tuple[str, Pixels | UnreadableImage]]:
        """Yield the name of each image, and its pixels or why it cannot be decoded."""
        preprocess = self.extractor.preprocess

        def opened(image: ImageLike) -> tuple[str, Pixels | UnreadableImage]:
            try:
                decoded = as_image(image, min_side=preprocess.min_side)
                return image_name(image), preprocess.pixels(decoded)
            except UnreadableImage as error:
                return image_name(image), error

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from map_in_order(pool, opened, images, ahead=_AHEAD)


def require_classes(images: ImageSet, classes: Sequence[str]) -> None:
    """Refuse images of other classes than the model's.

    Raises:
        DataError: Both are listed.
    """
    if images.classes != tuple(classes):
        raise DataError(
            f"The images have the classes {', '.join(images.classes)}, "
            f"the model has {', '.join(classes)}."
        )


def _leading_errors(waiting: deque[str | UnreadableImage]) -> Iterator[UnreadableImage]:
    while waiting and isinstance(error := waiting[0], UnreadableImage):
        waiting.popleft()
        yield error


def _backbone_of(config: Config, tensors: Tensors) -> SavedBackbone:
    backbone = config.backbone
    return SavedBackbone(
        backbone.name,
        backbone.architecture,
        backbone.origin,
        backbone.licence,
        config.preprocess,
        tensors,
        backbone.weights_sha256,
        backbone.blocks,
    )


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
