"""The model that people hold: a backbone and a head. Steps 4 and 5 of transfer learning."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import torch
from PIL import Image

from headstart.backbones.backbone import Backbone, rebuild_backbone, with_weights
from headstart.bundle import Bundle, model_card, read_bundle, write_bundle
from headstart.data.checks import Progress
from headstart.data.decoding import ImageLike, as_image, image_name
from headstart.data.images import ImageSet, listed
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import choose_device
from headstart.engines.precision import has_bf16
from headstart.errors import BundleError, DataError, OptionError
from headstart.evaluation.calibration import fit_temperature, probabilities
from headstart.evaluation.metrics import Evaluation, Probabilities, evaluate_probabilities
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import as_stored
from headstart.heads import fitted
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import Array, FittedHead, NearestModel
from headstart.heads.problem import Candidate, HeadFit
from headstart.heads.specs import AutoHead, Head
from headstart.options import (
    PART,
    DeviceOption,
    FeaturesOption,
    PrecisionOption,
    TuneOptions,
    cache_folder,
)
from headstart.record import Tuning
from headstart.tasks.single import Single
from headstart.tuning.fine_tuning import Keep, Tuned, fine_tune
from headstart.tuning.held_out import learning_set
from headstart.tuning.job import Job, Reading
from headstart.tuning.tutorial import with_recipe

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        image: How the user called it.
        label: The most probable class.
        probability: Of that class, 0 to 1, calibrated.
        top: The most probable classes with their probabilities, best first.
    """

    image: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Learnt:
    """What fitting adds to a classifier.

    Attributes:
        head: The fitted head.
        features: Which columns it reads: "last", "multilevel" or "flatten".
        stored_as: Precision that features are rounded to before the head reads them.
        temperature: Divisor of scores that calibrates probabilities.
        candidates: What the head was chosen from, the chosen one first.
    """

    head: FittedHead
    features: str
    stored_as: str
    temperature: float
    candidates: tuple[Candidate, ...] = ()


class Classifier:
    """A frozen backbone and a head that tells classes apart by its features.

    Attributes:
        backbone: The pretrained network.
        classes: Names, in the order of the probabilities.
        extractor: Gives the backbone's features, from the store where it has them.
        learnt: The fitted head, or None before `fit`.
        tuning: What `fine_tune` did, or None without it.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head | None = None,
        *,
        classes: Sequence[str],
        features: FeaturesOption = "auto",
        balanced: bool = False,
        seed: int = 0,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cache: str | PathLike[str] | None = None,
    ) -> None:
        self.backbone = backbone
        self.classes = tuple(classes)
        self.extractor = FeatureExtractor(
            backbone,
            cache=cache_folder(cache),
            device=device,
            precision=precision,
            reads="map" if features == "flatten" else "stages",
        )
        self.learnt: Learnt | None = None
        self.tuning: Tuning | None = None
        if features not in get_args(FeaturesOption):
            raise OptionError(
                f"features must be auto, last, multilevel or flatten. Got '{features}'."
            )
        self._head = head or AutoHead()
        self._features = features
        self._balanced = balanced
        self._seed = seed

    def fit(
        self,
        train: ImageSet,
        *,
        val: ImageSet | None = None,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> Self:
        """Extract features, fit the head on them and calibrate its probabilities.

        Args:
            train: What to learn from. Everything is chosen on folds of it.
            val: Where to calibrate, if not on the folds.
            progress: Called as images get their features.
            warn: Called with a sentence if the feature store was damaged.

        Raises:
            DataError: There is nothing to learn from, or the classes are not the model's.
        """
        features, stored_as = self.features_of(train, progress=progress, warn=warn)
        return self.fit_features(train, features, stored_as, val=val)

    def features_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> tuple[Array, str]:
        """Give the features of all stages, shape (images, width), and how they are stored."""
        files = list(zip(images.paths, images.sha256s, strict=True))
        return self.extractor.of_files(files, progress=progress, warn=warn)

    def fit_features(
        self, train: ImageSet, features: Array, stored_as: str, *, val: ImageSet | None = None
    ) -> Self:
        """Do `fit` with features that `features_of` gave."""
        self._require_classes(train)
        if len(set(train.labels.tolist())) < 2:
            raise DataError("The training part must have images of at least two classes.")
        fit = self._heads().fit(features, train.labels, train.groups)
        uncalibrated = Learnt(fit.head, fit.features, stored_as, 1.0, fit.candidates)
        temperature = self._temperature(uncalibrated, fit, train, val)
        self.learnt = Learnt(fit.head, fit.features, stored_as, temperature, fit.candidates)
        return self

    def fine_tune(
        self,
        train: ImageSet,
        *,
        val: ImageSet | None = None,
        unfreeze: str = "stages:1",
        keep: Keep = "better",
        checkpoints: Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        warn: Warn | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Tuning | None:
        """Train the last layers too, from the fitted head on, and keep them if that helps.

        Args:
            train: What to learn from.
            val: What to choose by; without it a fifth of `train` is held out, up to 800 images
                five times, and with `minutes` more often while it is unclear and time is left.
            unfreeze: "all", the last "stages:N" or "layers:N", or "auto": as many stages as can
                be trained and judged in the minutes, 10 by default.
            keep: "better" goes back to the frozen backbone unless the tuned one has a lower log
                loss and no lower accuracy on what is held out; "always" keeps it in any case.
            checkpoints: Folder that the state is kept in, so that `resume` can go on.
            resume: Go on from there.
            progress: Called with steps done and steps in all.
            warn: Told what the user should know.
            options: See `TuneOptions`: epochs, learning_rate, augment, views, minutes, …

        Returns:
            What it did, or None where nothing was trained: "auto" found that no part fits into
            the time, the time was up before, or too few images were left to learn from.

        Raises:
            OptionError: There is no such part, or an option is wrong.
            DataError: The classes are not the model's.
            TuningError: The checkpoint is of another training, or another one uses its folder.
        """
        if not re.fullmatch(PART, unfreeze):
            raise OptionError(
                f"unfreeze must be auto, all, stages:N or layers:N, N from 1. Got '{unfreeze}'."
            )
        return self.tune(
            train,
            with_recipe(TuneOptions.of(**options)).with_minutes(unfreeze),
            val=val,
            part=unfreeze,
            keep=keep,
            checkpoints=checkpoints,
            resume=resume,
            progress=progress,
            warn=warn,
        )

    def tune(
        self,
        train: ImageSet,
        options: TuneOptions,
        *,
        val: ImageSet | None,
        part: str,
        keep: Keep,
        checkpoints: Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> Tuning | None:
        """Do `fine_tune` with options that are resolved."""
        self._require_classes(train)
        if keep not in get_args(Keep):
            raise OptionError(f"keep must be better or always. Got '{keep}'.")
        learnt = self._learnt()
        images = learning_set(train, val, hold_out=options.recipe != "tutorial", seed=self._seed)
        warn = warn or (lambda text: None)
        if missing := _missing_classes(val):
            warn(f"The validation part, which decides, has no image of {listed(missing)}.")
        features, stored_as = self.extractor.of_files(images.files, warn=warn)
        job = Job(
            self.extractor,
            self._heads(),
            Reading(learnt.head, learnt.features),
            features,
            images,
            options,
            folder=checkpoints,
            resume=resume,
            progress=progress,
            warn=warn,
        )
        outcome = fine_tune(job, part, keep=keep)
        self.tuning = outcome.record if outcome else None
        if outcome and outcome.tuned:
            self._use(outcome.tuned, stored_as)
        return self.tuning

    def _use(self, tuned: Tuned, stored_as: str) -> None:
        """Take a tuned model; the backbone that was given to this classifier stays as it is."""
        self.backbone = with_weights(self.backbone, tuned.weights)
        self.extractor = self.extractor.of_backbone(self.backbone)
        candidates = self._learnt().candidates
        self.learnt = Learnt(tuned.head, tuned.features, stored_as, tuned.temperature, candidates)

    def evaluate(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Evaluation:
        """Measure on labelled images.

        Raises:
            DataError: There are none, or their classes are not the model's.
        """
        self._require_classes(images)
        if not len(images):
            raise DataError("There are no images to measure on.")
        told = self.probabilities_of(images, progress=progress, warn=warn)
        return evaluate_probabilities(told, images.labels, self.classes)

    def probabilities_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Probabilities:
        """Give calibrated probabilities, shape (images, classes)."""
        features, _ = self.features_of(images, progress=progress, warn=warn)
        return self._probabilities(features)

    def predict(
        self, images: ImageLike | Sequence[ImageLike], *, top: int = 5
    ) -> Prediction | list[Prediction]:
        """Tell what one image, or each of a list of images, shows.

        Args:
            images: Paths, file contents, PIL images, or arrays (height, width, 3) of uint8.
            top: How many classes to list.

        Raises:
            UnreadableImage: One cannot be decoded.
        """
        if isinstance(images, (str, Path, bytes, Image.Image, np.ndarray)):
            return self.predict([images], top=top)[0]  # type: ignore[index]
        if top < 1:
            raise OptionError(f"top must be at least 1. Got {top}.")
        opened = [self._image(image) for image in images]
        names = [image_name(image) for image in images]
        return list(self.predict_opened(zip(names, opened, strict=True), top=top))

    def predict_opened(
        self, images: Iterable[tuple[str, Image.Image]], *, top: int = 5
    ) -> Iterator[Prediction]:
        """Tell what decoded images show, given as (name, image), lazily and in order."""
        names: list[str] = []

        def pictures() -> Iterator[Image.Image]:
            for name, image in images:
                names.append(name)
                yield image

        done = 0
        for features in self.extractor.of_images(pictures()):
            rounded = as_stored(features, self._learnt().stored_as)
            for row in self._probabilities(rounded):
                yield self._prediction(names[done], row, top)
                done += 1

    def add_class(self, name: str, images: Sequence[ImageLike]) -> None:
        """Learn one more class from some of its images, without a refit.

        Raises:
            OptionError: The head is not "nearest", or the class exists.
            DataError: No image was given.
        """
        learnt = self._learnt()
        if not isinstance(learnt.head, NearestModel):
            raise OptionError(
                f"A '{learnt.head.kind}' head cannot learn a class without a refit. "
                "Train with head='nearest'."
            )
        if name in self.classes:
            raise OptionError(f"The model already has a class '{name}'.")
        if not images:
            raise DataError(f"No image of class '{name}' was given.")
        parts = list(self.extractor.of_images(map(self._image, images)))
        columns = self._columns(as_stored(np.concatenate(parts), learnt.stored_as), learnt)
        head = learnt.head.with_class(columns)
        self.learnt = Learnt(head, learnt.features, learnt.stored_as, learnt.temperature)
        self.classes = (*self.classes, name)

    def save(
        self,
        folder: str | Path,
        *,
        metrics: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a bundle: a folder that loads without network and without pickle.

        Raises:
            OutputError: The folder exists and `overwrite` is false, or it cannot be written.
        """
        write_bundle(self.to_bundle(metrics), Path(folder), overwrite=overwrite)

    def to_bundle(self, metrics: Mapping[str, Any] | None = None) -> Bundle:
        """Give everything that the model consists of, and what was measured."""
        learnt = self._learnt()
        numbers, arrays = fitted.written(learnt.head)
        backbone = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in self.backbone.network.state_dict().items()
        }
        config = {
            "headstart": version("headstart"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "classes": list(self.classes),
            "preprocess": self.backbone.preprocess.to_dict(),
            "backbone": {
                "name": self.backbone.name,
                "architecture": self.backbone.architecture,
                "origin": self.backbone.origin,
            },
            "features": learnt.features,
            "stored_as": learnt.stored_as,
            "precision": self.extractor.precision,
            "head": {"kind": learnt.head.kind, "numbers": numbers},
            "calibration": {"temperature": learnt.temperature},
            "metrics": dict(metrics or {}),
        }
        tensors = {f"backbone.{name}": value for name, value in backbone.items()}
        tensors |= {f"head.{name}": value for name, value in arrays.items()}
        return Bundle(config, tensors, model_card(config))

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cache: str | PathLike[str] | None = None,
    ) -> Self:
        """Read a bundle, or the bundle of a run; no network is needed.

        Args:
            model: The folder.
            device: Where to run it.
            precision: "auto" is what it was trained in, where the processor has that.
            cache: Folder for features and converted networks.

        Raises:
            BundleError: It is missing, changed, or of an unknown version.
        """
        bundle = read_bundle(Path(model))
        config, tensors = bundle.config, bundle.tensors
        try:
            backbone = _backbone_of(config, tensors)
            head = fitted.read(
                config["head"]["kind"], config["head"]["numbers"], _part(tensors, "head.")
            )
            if precision == "auto":
                trained_in = config["precision"] == "bf16" and has_bf16(choose_device(device))
                precision = "bf16" if trained_in else "float32"
            out = cls(
                backbone,
                classes=config["classes"],
                features="flatten" if config["features"] == "flatten" else "auto",
                device=device,
                precision=precision,
                cache=cache,
            )
            temperature = config["calibration"]["temperature"]
            out.learnt = Learnt(head, config["features"], config["stored_as"], temperature)
        except (KeyError, TypeError) as error:
            raise BundleError(f"Model '{model}' is incomplete: {error} is missing.") from None
        return out

    def _heads(self) -> HeadChoice:
        kinds = ("last", "multilevel") if self._features == "auto" else (self._features,)
        return HeadChoice(
            self._head,
            kinds,
            self.extractor.layout,
            len(self.classes),
            Single(),
            balanced=self._balanced,
            seed=self._seed,
        )

    def _temperature(
        self, learnt: Learnt, fit: HeadFit, train: ImageSet, val: ImageSet | None
    ) -> float:
        """Calibrate on the validation part, or else on what the folds held out."""
        if fit.held_out is None:
            return 1.0
        if val is None or not len(val):
            return fit_temperature(fit.held_out.logits, train.labels[fit.held_out.rows])
        features, _ = self.features_of(val)
        return fit_temperature(learnt.head.logits(self._columns(features, learnt)), val.labels)

    def _probabilities(self, features: Array) -> Probabilities:
        learnt = self._learnt()
        logits = learnt.head.logits(self._columns(features, learnt))
        return probabilities(logits, learnt.temperature)

    def _image(self, image: ImageLike) -> Image.Image:
        return as_image(image, smallest=self.backbone.preprocess.smallest_side)

    def _columns(self, features: Array, learnt: Learnt) -> Array:
        return features[:, self.extractor.layout.columns(learnt.features)]

    def _prediction(self, name: str, row: Probabilities, top: int) -> Prediction:
        order = np.argsort(-row, kind="stable")[:top]
        listed = tuple((self.classes[number], float(row[number])) for number in order)
        return Prediction(name, *listed[0], listed)

    def _learnt(self) -> Learnt:
        if self.learnt is None:
            raise OptionError("The model has not learnt anything yet. Call fit first.")
        return self.learnt

    def _require_classes(self, images: ImageSet) -> None:
        if images.classes != self.classes:
            raise DataError(
                f"The images have the classes {', '.join(images.classes)}, "
                f"the model has {', '.join(self.classes)}."
            )


def _missing_classes(images: ImageSet | None) -> list[str]:
    if images is None or not len(images):
        return []
    there = set(images.labels.tolist())
    return [name for number, name in enumerate(images.classes) if number not in there]


def _backbone_of(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Backbone:
    state = {name: torch.from_numpy(value) for name, value in _part(tensors, "backbone.").items()}
    settings = config["backbone"]
    return rebuild_backbone(
        settings["architecture"],
        settings["name"],
        Preprocess.from_dict(config["preprocess"]),
        settings["origin"],
        state,
    )


def _part(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
