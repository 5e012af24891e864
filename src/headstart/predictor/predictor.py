"""The immutable trained model: everything that is needed to predict, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack, overload

import numpy as np
from pydantic import JsonValue

from headstart.answers import AnyTaskPrediction, BoxesPrediction, Thresholds
from headstart.arrays import Features, Pixels, Probabilities, Scores, Temperature
from headstart.cache import cache_folder, store_url
from headstart.data.contract import PixelContract
from headstart.data.inputs import ImagesLike, as_image, each_image, is_image
from headstart.data.paths import list_names
from headstart.engines.devices import choose_device
from headstart.engines.precision import precision_of_model
from headstart.errors import DataError, OptionError, UnreadableImage
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.heads import fitted
from headstart.heads.fitted import FittedHead, NearestModel
from headstart.keywords import AnswerKeywords, with_keywords
from headstart.options import AnswerOptions, DecodeLimits, DeviceOption, PrecisionOption
from headstart.predictor.bundle import Bundle, write_bundle
from headstart.predictor.card import model_card
from headstart.predictor.config import (
    BackboneConfig,
    Calibration,
    Config,
    HeadConfig,
    Specification,
)
from headstart.predictor.decoding import decode_ahead, with_features
from headstart.predictor.limits import AnswerRules, Limits
from headstart.record import Evaluation, Record
from headstart.record.limits import LimitsResult
from headstart.task import Task
from headstart.watching import Progress, ProgressOption, Warn, watcher_for

if TYPE_CHECKING:
    from headstart.data.images import ImageSet
    from headstart.predictor.module import PredictorModule


@dataclass(frozen=True)
class FailedPrediction:
    """The result for an image that cannot be read.

    Attributes:
        image: The name of the image, as the user passed it.
        error: Why it cannot be read.
    """

    image: str
    error: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {"image": self.image, "error": self.error}


AnyPrediction: TypeAlias = AnyTaskPrediction | FailedPrediction
"""The result of a predictor for an image, whether or not it could be read."""

AnyResult: TypeAlias = AnyTaskPrediction | BoxesPrediction | FailedPrediction
"""The result of any model for an image, whether or not it could be read."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model.

    It is immutable and can be shared between threads. It keeps working after a fork, and in another
    process that received it by pickle.

    Attributes:
        task: The task.
        classes: Class names, in the order of the probabilities.
        extractor: The frozen backbone with its engine and feature store.
        features: The features that the head reads: "last", "multilevel", "scales" or "flatten".
        stored_as: The precision that features are rounded to before the head reads them.
        head: The fitted head.
        temperature: The divisor of scores that calibrates probabilities.
        thresholds: The operating point; None if the most probable class is predicted.
        specification: The specification of the head before fitting.
        record: The record of the training; None without one.
        limits: What the model knows about its own limits.
    """

    task: Task
    classes: tuple[str, ...]
    extractor: FeatureExtractor
    features: str
    stored_as: str
    head: FittedHead
    temperature: Temperature
    thresholds: Thresholds | None = None
    specification: Specification = field(default_factory=Specification)
    record: Record | None = None
    limits: Limits = field(default_factory=Limits)

    def __repr__(self) -> str:
        accuracy = ""
        if self.record and self.record.test:
            accuracy = f"; {self.record.test.verdict} on the test images"
        return (
            f"Predictor({self.extractor.source.name}, {self.features} features, "
            f"{self.head.kind}; classes: {list_names(self.classes)}{accuracy})"
        )

    @property
    def contract(self) -> PixelContract:
        """How the pixels of a file are read."""
        return self.extractor.preprocess.contract

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""
        return self.extractor.device

    @property
    def precision(self) -> str:
        """Numeric precision of the backbone: "bf16" or "float32"."""
        return self.extractor.precision

    @overload
    def predict(
        self,
        images: ImagesLike,
        *,
        errors: Literal["raise"] = "raise",
        **options: Unpack[AnswerKeywords],
    ) -> AnyTaskPrediction | list[AnyTaskPrediction]: ...

    @overload
    def predict(
        self, images: ImagesLike, *, errors: Literal["keep"], **options: Unpack[AnswerKeywords]
    ) -> AnyPrediction | list[AnyPrediction]: ...

    @with_keywords(AnswerOptions, AnswerKeywords)
    def predict(
        self,
        images: ImagesLike,
        *,
        errors: Literal["raise", "keep"] = "raise",
        **options: Unpack[AnswerKeywords],
    ) -> AnyPrediction | Sequence[AnyPrediction]:
        """Predict the label of one image, or of each image of a collection or a batch.

        An image that is unlike all training images is marked as unknown.

        Args:
            images: Paths, file contents, open files, PIL images, NumPy arrays or PyTorch tensors;
                see `ImageLike` in `data.inputs`. An `ImageSet`, an array (images, height, width,
                channels) and a tensor (images, channels, height, width) are several images.
                Channels are red, green, blue: convert an image of OpenCV with `image[..., ::-1]`.
            errors: What to do about an image that cannot be decoded: "raise", or "keep" a
                `FailedPrediction` in its place.
            options: As listed below.

        Raises:
            UnreadableImage: An image cannot be decoded.
            NotAnImage: A value is not an image.
            OptionError: An option is invalid, or the model cannot do what it asks for.
        """
        if errors not in ("raise", "keep"):
            raise OptionError(f"errors must be raise or keep. Got '{errors}'.")
        values = AnswerOptions.of(**options)
        results: Sequence[AnyPrediction] = (
            self._predict_all(images, values)
            if errors == "raise"
            else list(self.predict_each(images, values))
        )
        return results[0] if is_image(images) else results

    def predict_each(
        self,
        images: ImagesLike,
        options: AnswerOptions | None = None,
        limits: DecodeLimits | None = None,
    ) -> Iterator[AnyPrediction]:
        """Yield the predictions for images in their order, decoding a few images ahead.

        An image that cannot be decoded yields a `FailedPrediction`. See `predict`.
        """
        for result in self._predict_or_fail(images, options or AnswerOptions(), limits):
            if isinstance(result, UnreadableImage):
                yield FailedPrediction(result.path, result.reason)
            else:
                yield result

    def scores(self, features: Features) -> Scores:
        """Return the head's scores, (images, classes), for the features of all stages."""
        columns = self.extractor.layout.columns(self.features)
        return self.head.logits(as_stored(features, self.stored_as)[:, columns])

    def probabilities(self, features: Features) -> Probabilities:
        """Convert the features of all stages, (images, width), into calibrated probabilities."""
        return self.task.probabilities(self.scores(features), self.temperature)

    def probabilities_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Probabilities:
        """Return calibrated probabilities, (images, classes), with features from the store."""
        parts = self.extractor.in_parts(images.files, progress=progress, warn=warn)
        probabilities = np.empty((len(images), len(self.classes)))
        for rows, features in parts:
            probabilities[rows] = self.probabilities(features)
        return probabilities

    def evaluate(
        self,
        images: ImageSet,
        *,
        prevalence: float | None = None,
        progress: ProgressOption = None,
        warn: Warn | None = None,
    ) -> Evaluation:
        """Evaluate the predictions for labelled images.

        Means by class are over the classes that have images; see `SingleEvaluation.absent`.

        Args:
            images: The images. They need not have all classes of the model.
            prevalence: Share of images with the label where the model is used, above 0 and below
                1: predictive values at the operating point are given for it too.
            progress: By default, a bar in a terminal or a notebook, and lines on stderr elsewhere;
                False shows nothing. A function is called with the number of images that are done,
                and the total.
            warn: Called with warnings for the user; by default, they are Python warnings.

        Raises:
            DataError: There are no images, or the model does not have the class of some of them.
        """
        watcher = watcher_for(progress, warn)
        with watcher.stage("Evaluating") as advance:
            return self.measure(images, prevalence=prevalence, progress=advance, warn=watcher.warn)[
                0
            ]

    def measure(
        self,
        images: ImageSet,
        *,
        prevalence: float | None = None,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> tuple[Evaluation, Probabilities]:
        """Return what `evaluate` does, and the probabilities that it is computed from."""
        if not len(images):
            raise DataError("There are no images to evaluate on.")
        _check_known(images, self.classes)
        probabilities = self.probabilities_of(images, progress=progress, warn=warn)
        labels = replace(images, classes=self.classes).labels
        evaluation = self.task.evaluate(
            *(probabilities, labels, self.classes),
            thresholds=self.thresholds,
            groups=images.given_groups,
            prevalence=prevalence,
            slices=images.slices,
        )
        return evaluation, probabilities

    def measure_limits(self, images: ImageSet, probabilities: Probabilities) -> LimitsResult:
        """Measure prediction sets, abstention and unknown on labelled images.

        Args:
            images: Images that the model was not trained on.
            probabilities: Their calibrated probabilities, (images, classes).
        """
        from headstart.evaluation.limits import measure_limits  # Predictions do not need it.

        unknown = None
        if self.limits.known:
            known, parts = self.limits.known, self.extractor.in_parts(images.files)
            unknown = np.concatenate([known.unknown(features) for _, features in parts])
        labels = replace(images, classes=self.classes).labels
        return measure_limits(
            self.limits.calibration,
            unknown,
            probabilities,
            labels,
            abstains=self.thresholds is None,
        )

    def with_class(self, name: str, images: ImagesLike) -> Predictor:
        """Return a model with an additional class, learned from example images without a refit.

        Raises:
            OptionError: The head is not "nearest", or the class exists already.
            DataError: No images were passed.
        """
        if not isinstance(self.head, NearestModel):
            raise OptionError(
                f"A '{self.head.kind}' head cannot add a class without a refit. "
                "Train with head='nearest'."
            )
        if name in self.classes:
            raise OptionError(f"The model already has a class '{name}'.")
        side, contract = self.extractor.preprocess.min_side, self.extractor.preprocess.contract
        decoded = (
            as_image(image, min_side=side, contract=contract) for image in each_image(images)
        )
        batches = list(self.extractor.of_images(decoded))
        if not batches:
            raise DataError(f"No images of class '{name}' were passed.")
        columns = self.extractor.layout.columns(self.features)
        features = as_stored(np.concatenate(batches), self.stored_as)
        head, known = self.head.with_class(features[:, columns]), self.limits.known
        # Held-out predictions of the new class do not exist.
        limits = replace(
            self.limits, calibration=None, known=known and known.with_images(features, name)
        )
        return replace(self, head=head, classes=(*self.classes, name), record=None, limits=limits)

    def module(self) -> PredictorModule:
        """Return the model as one PyTorch module: uint8 pixels in, calibrated probabilities out."""
        from headstart.predictor.module import PredictorModule  # Importing PyTorch is slow.

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
        """Write a bundle: a folder that loads without network access and without pickle.

        Args:
            folder: The folder to write.
            record: The record of the training, if the model does not have it yet.
            overwrite: Whether to replace an existing model.

        Raises:
            OutputError: The folder exists and `overwrite` is false, or it cannot be written.
        """
        model = replace(self, record=record) if record else self
        write_bundle(model.to_bundle(), Path(folder), overwrite=overwrite)

    def to_bundle(self) -> Bundle:
        """Return the contents of the model, ready to be written."""
        backbone, deterministic = self.extractor.source, self.specification.deterministic
        numbers, arrays = fitted.to_arrays(self.head)
        config = Config(
            headstart=version("headstart"),
            created=None if deterministic else datetime.now(UTC).isoformat(timespec="seconds"),
            task=self.task.name,
            classes=self.classes,
            preprocess=backbone.preprocess,
            backbone=BackboneConfig.of(self.extractor),
            features=self.features,
            stored_as=self.stored_as,
            precision=self.extractor.precision,
            head=HeadConfig(self.head.kind, numbers),
            calibration=Calibration(self.temperature),
            operating_point=self.thresholds,
            specification=self.specification,
            record=self.record.without_times() if self.record and deterministic else self.record,
        )
        network = {f"backbone.{name}": value for name, value in self.extractor.tensors().items()}
        head = {f"head.{name}": value for name, value in arrays.items()}
        limits = {f"limits.{name}": value for name, value in self.limits.to_arrays().items()}
        card = model_card(config, self.task, kept=self.limits.kept)
        return Bundle(config, {**network, **head, **limits}, card)

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
        """Build the model of a bundle. No network access is needed.

        Args:
            bundle: The bundle, as read from disk.
            task: The task that the bundle names.
            device: The device to run on.
            precision: "auto" is the precision of the training if the processor supports it.
            cache: The folder for features and converted networks.

        Raises:
            BundleError: A part is missing.
        """
        config = bundle.config
        extractor = FeatureExtractor(
            bundle.backbone(),
            cache=cache_folder(cache),
            store=store_url(cache),
            device=device,
            precision=precision_of_model(precision, config.precision, choose_device(device)),
            reads="map" if config.features == "flatten" else "stages",
        )
        head = fitted.from_arrays(config.head.kind, config.head.numbers, bundle.tensors_of("head"))
        temperature = config.calibration.temperature
        return cls(
            *(task, config.classes, extractor, config.features, config.stored_as),
            *(head, temperature, config.operating_point, config.specification, config.record),
            Limits.from_arrays(bundle.tensors_of("limits")),
        )

    def _predict_all(self, images: ImagesLike, options: AnswerOptions) -> list[AnyTaskPrediction]:
        predictions = []
        for result in self._predict_or_fail(images, options):
            if isinstance(result, UnreadableImage):
                raise result
            predictions.append(result)
        return predictions

    def _predict_or_fail(
        self, images: ImagesLike, options: AnswerOptions, limits: DecodeLimits | None = None
    ) -> Iterator[AnyTaskPrediction | UnreadableImage]:
        """Yield a prediction or an error for each image, in order."""
        rules = self.limits.rules(options, self.thresholds)
        for batch, features in self.features_each(images, limits):
            names = [image for image in batch if not isinstance(image, UnreadableImage)]
            answers = self.answers(features, names, options.top, rules)
            for image in batch:
                yield image if isinstance(image, UnreadableImage) else next(answers)

    def answers(
        self, features: Features, names: Sequence[str], top: int, rules: AnswerRules
    ) -> Iterator[AnyTaskPrediction]:
        """Yield the predictions for images whose features are known.

        Args:
            features: Rounded as stored, (images, width).
            names: The name of each image.
            top: The number of classes to list.
            rules: What to say beyond the labels.
        """
        probabilities = self.probabilities(features)
        remarks = rules.remarks(features, probabilities)
        for name, row, remark in zip(names, probabilities, remarks, strict=True):
            prediction = self.task.predict(name, row, self.classes, top, self.thresholds)
            yield remark.on(prediction, self.classes)

    def features_of(self, pixels: Pixels) -> Features:
        """Return the features of one batch, without the store. Several threads may call this.

        Args:
            pixels: Preprocessed images, (images, size, size, 3), as `Preprocess.pixels` returns
                them.

        Returns:
            Rounded as stored, (images, width).
        """
        return as_stored(self.extractor.engine.infer(pixels), self.stored_as)

    def features_each(
        self, images: ImagesLike, limits: DecodeLimits | None = None
    ) -> Iterator[tuple[list[str | UnreadableImage], Features]]:
        """Yield the features of images in batches, decoding a few images ahead.

        Yields:
            The name of each image, or the error in the place of one that cannot be decoded; and the
            features of the others, rounded as stored, (images, width).
        """
        decoded = (
            pixels if isinstance(pixels, UnreadableImage) else (name, pixels)
            for name, pixels in decode_ahead(images, self.extractor.preprocess, limits)
        )
        return with_features(decoded, self.extractor, self.stored_as)


def check_classes(images: ImageSet, classes: Sequence[str]) -> None:
    """Check that images have the classes of the model.

    Raises:
        DataError: The classes differ; the message lists both.
    """
    if images.classes != tuple(classes):
        raise DataError(
            f"The images have the classes {', '.join(images.classes)}, "
            f"but the model has {', '.join(classes)}."
        )


def _check_known(images: ImageSet, classes: Sequence[str]) -> None:
    """Check that the model has the class of each image."""
    without_images = set(images.absent())
    unknown = [name for name in images.classes if name not in {*classes, *without_images}]
    if unknown:
        noun = "class" if len(unknown) == 1 else "classes"
        raise DataError(
            f"There are images of the {noun} {list_names(unknown)}, but the model only has "
            f"{list_names(list(classes))}. Leave them out, or correct their labels."
        )
