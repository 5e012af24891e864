"""What people hold while training: a backbone, and the head that is fitted on its features.

Steps 4 to 6 of transfer learning. Each gives a new predictor, which never changes afterwards.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self, get_args

from headstart.arrays import Features, Probabilities
from headstart.backbones.backbone import Backbone, with_weights
from headstart.choosing.image_size import sized_for
from headstart.data.decoding import ImageLike
from headstart.data.images import ImageSet, list_names
from headstart.errors import DataError, OptionError
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import Candidate, HeadFit
from headstart.heads.specs import HEADS, AutoHead, Head, head_named
from headstart.options import (
    PART,
    DeviceOption,
    FeaturesOption,
    PrecisionOption,
    TuneOptions,
    cache_folder,
)
from headstart.predictor.config import CUSTOM, Specification
from headstart.predictor.predictor import Predictor, require_classes
from headstart.record import Evaluation, Record, Tuning
from headstart.task import Prediction, Task
from headstart.tuning.fine_tuning import Keep, Tuned, fine_tune
from headstart.tuning.held_out import learning_set
from headstart.tuning.job import Job, Reading
from headstart.tuning.tutorial import TutorialHead, with_recipe
from headstart.watching import Progress, Warn, no_warning


class Classifier:
    """A frozen backbone and a head that classifies images by its features.

    Args:
        backbone: From `load_backbone`. The classifier works with a copy.
        head: The new classifier. Default: `AutoHead()`, chosen on folds.
        classes: Names, in the order of the probabilities.
        features: "last", "multilevel", "flatten", or "auto": the last layer or all stages,
            whatever is better on folds.
        balanced: Weight classes inversely to their frequency.
        seed: Of every random draw.
        device: "cpu", "cuda", or "auto": a GPU if there is one.
        precision: "float32", "bf16", or "auto": the faster one on this machine.
        cache: Folder for features and converted networks. Default: the user's cache folder.
        deterministic: Choose nothing by timing, on the CPU and in float32 unless `precision` says
            otherwise, so that the same data, options and machine give the same bundle, bit for bit.

    Raises:
        OptionError: An option is wrong, or `deterministic` is asked for on a GPU.

    Attributes:
        classes: Names, in the order of the probabilities.
        extractor: Computes the backbone's features, or reads them from the store.
        candidates: The heads that were compared in `fit`, the chosen one first.
        tuning: What `fine_tune` did, or None without it.
        checkpoints: Folder of that training's checkpoints and events, or None.
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
        deterministic: bool = False,
    ) -> None:
        if features not in get_args(FeaturesOption):
            raise OptionError(
                f"features must be auto, last, multilevel or flatten. Got '{features}'."
            )
        if deterministic and device == "cuda":
            raise OptionError(
                "deterministic works on the CPU only. Leave device out, or say 'cpu'."
            )
        self.classes = tuple(classes)
        self.candidates: tuple[Candidate, ...] = ()
        self.tuning: Tuning | None = None
        self.checkpoints: Path | None = None
        self._head = head or AutoHead()
        self._features = features
        self._balanced = balanced
        self._seed = seed
        self._deterministic = deterministic
        self._predictor: Predictor | None = None
        # A copy: what happens to the caller's network must not change what is predicted.
        self.extractor = FeatureExtractor(
            copy.deepcopy(backbone).freeze(),
            cache=cache_folder(cache),
            device="cpu" if deterministic and device == "auto" else device,
            precision="float32" if deterministic and precision == "auto" else precision,
            reads="map" if features == "flatten" else "stages",
        )

    @classmethod
    def from_predictor(cls, predictor: Predictor, *, head: Head | None = None) -> Self:
        """Return a classifier that goes on from a trained model as the one that was saved would.

        Args:
            predictor: From `hs.load`, or of another classifier.
            head: In place of the head that the model was asked for.

        Raises:
            OptionError: The model was made with a head of the user's own, so `head` is needed.
        """
        specification = predictor.specification
        out = cls.__new__(cls)
        out.classes = predictor.classes
        out.candidates, out.tuning, out.checkpoints = (), None, None
        out._head = head or _head_of(specification)
        out._features = specification.features
        out._balanced, out._seed = specification.balanced, specification.seed
        out._deterministic = specification.deterministic
        out._predictor, out.extractor = predictor, predictor.extractor
        return out

    @property
    def backbone(self) -> Backbone:
        """The classifier's own copy of the network; the tuned one if fine-tuning was kept."""
        return self.extractor.backbone

    @property
    def predictor(self) -> Predictor:
        """The model as it is now.

        Raises:
            OptionError: Nothing was fitted yet.
        """
        if self._predictor is None:
            raise OptionError("The model has not learnt anything yet. Call fit first.")
        return self._predictor

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
        self.choose_image_size(train)
        features, stored_as = self.features_of(train, progress=progress, warn=warn)
        return self.fit_features(train, features, stored_as, val=val)

    def choose_image_size(self, train: ImageSet) -> None:
        """Let the backbone see images at the size that suits these, unless a size was asked for.

        The first `fit` does so; before `features_of`, it can be done by itself.
        """
        sized = sized_for(self.backbone, train)
        if sized is not self.backbone:
            self.extractor = self.extractor.with_backbone(sized)
        self.backbone.size_is_open = False

    def features_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> tuple[Features, str]:
        """Return the features of all stages, (images, width), and how they are stored."""
        return self.extractor.of_files(images.files, progress=progress, warn=warn)

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
            checkpoints: Folder that keeps the state of trainings, each in a folder of its own, so
                that `resume` can go on.
            resume: Go on from there, with the training of the same images and options.
            progress: Called with steps done and steps in all.
            warn: Called with what the user should know.
            options: See `TuneOptions`: epochs, learning_rate, augment, views, minutes, …

        Returns:
            What it did, or None where nothing was trained: "auto" found that no part fits into
            the time, the time was up before, or too few images were left to learn from.

        Raises:
            OptionError: There is no such part, or an option is wrong.
            DataError: The classes are not the model's.
            TuningError: Only trainings of other options can be resumed, or this one is running.
        """
        given = {"deterministic": self._deterministic} | options
        return self.tune(
            train,
            with_recipe(TuneOptions.of(**given)).with_minutes(unfreeze),
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
        require_classes(train, self.classes)
        _check_choices(part, keep)
        options.require_reproducible(part)
        model, warn = self.predictor, warn or no_warning
        images = learning_set(train, val, hold_out=options.recipe != "tutorial", seed=self._seed)
        if missing := (val.absent() if val is not None and len(val) else []):
            warn(f"The validation part, which decides, has no image of {list_names(missing)}.")
        features, stored_as = self.extractor.of_files(images.files, warn=warn)
        job = Job(
            self.extractor.with_backbone(copy.deepcopy(self.backbone)),
            self._heads(train.task),
            Reading(model.head, model.features),
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
        self.checkpoints = outcome.folder if outcome else None
        if outcome and outcome.tuned:
            self._use(outcome.tuned, stored_as)
        return self.tuning

    def evaluate(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Evaluation:
        """Measure predictions of labelled images; see `Predictor.evaluate`."""
        return self.predictor.evaluate(images, progress=progress, warn=warn)

    def probabilities_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Probabilities:
        """Return calibrated probabilities, (images, classes)."""
        return self.predictor.probabilities_of(images, progress=progress, warn=warn)

    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, top: int = 5
    ) -> Prediction | list[Prediction]:
        """Predict the label of one image, or of each of several; see `Predictor.predict`."""
        return self.predictor.predict(images, top=top)

    def add_class(self, name: str, images: Sequence[ImageLike]) -> None:
        """Learn one more class from some of its images, without a refit.

        Raises:
            OptionError: The head is not "nearest", or the class exists.
            DataError: No image was given.
        """
        self._predictor = self.predictor.with_class(name, images)
        self.classes = self._predictor.classes

    def save(
        self, folder: str | PathLike[str], *, record: Record | None = None, overwrite: bool = False
    ) -> None:
        """Write a bundle: a folder that loads without network and without pickle.

        Raises:
            OutputError: The folder exists and `overwrite` is false, or it cannot be written.
        """
        self.predictor.save(folder, record=record, overwrite=overwrite)

    def fit_features(
        self, train: ImageSet, features: Features, stored_as: str, *, val: ImageSet | None = None
    ) -> Self:
        """Do `fit` with features that `features_of` returned."""
        require_classes(train, self.classes)
        if len(train.task.present(train.labels)) < 2:
            raise DataError("The training part must have images of at least two classes.")
        fit = self._heads(train.task).fit(features, train.labels, train.groups)
        uncalibrated = Predictor(
            train.task,
            self.classes,
            self.extractor,
            fit.features,
            stored_as,
            fit.head,
            1.0,
            self._specification(),
        )
        temperature = self._temperature(uncalibrated, fit, train, val)
        self._predictor = replace(uncalibrated, temperature=temperature)
        self.candidates = fit.candidates
        return self

    def _use(self, tuned: Tuned, stored_as: str) -> None:
        """Take a tuned model; the backbone that was given to this classifier stays as it is."""
        self.extractor = self.extractor.with_backbone(with_weights(self.backbone, tuned.weights))
        self._predictor = replace(
            self.predictor,
            extractor=self.extractor,
            features=tuned.features,
            stored_as=stored_as,
            head=tuned.head,
            temperature=tuned.temperature,
        )

    def _heads(self, task: Task) -> HeadChoice:
        kinds = ("last", "multilevel") if self._features == "auto" else (self._features,)
        return HeadChoice(
            self._head,
            kinds,
            self.extractor.layout,
            len(self.classes),
            task,
            balanced=self._balanced,
            seed=self._seed,
        )

    def _specification(self) -> Specification:
        head = self._head
        kind, settings = (head.kind, dict(vars(head))) if _is_known(head) else (CUSTOM, {})
        return Specification(
            kind, settings, self._features, self._balanced, self._seed, self._deterministic
        )

    def _temperature(
        self, model: Predictor, fit: HeadFit, train: ImageSet, val: ImageSet | None
    ) -> float:
        """Calibrate on the validation part, or else on what the folds held out."""
        if fit.held_out is None:
            return 1.0
        if val is None or not len(val):
            return train.task.temperature(fit.held_out.logits, train.labels[fit.held_out.rows])
        features, _ = self.features_of(val)
        return train.task.temperature(model.scores(features), val.labels)


def _check_choices(part: str, keep: str) -> None:
    """Refuse parts and choices that do not exist."""
    if keep not in get_args(Keep):
        raise OptionError(f"keep must be better or always. Got '{keep}'.")
    if not re.fullmatch(PART, part):
        raise OptionError(
            f"unfreeze must be auto, all, stages:N or layers:N, N from 1. Got '{part}'."
        )


def _head_of(specification: Specification) -> Head:
    """Return the head that a model was asked for."""
    if specification.kind == CUSTOM:
        raise OptionError("The model was made with a head of your own. Pass it as head=.")
    if specification.kind == TutorialHead.kind:
        make: Callable[..., Head] = TutorialHead
        return make(**specification.settings)
    return head_named(specification.kind, specification.settings)


def _is_known(head: Head) -> bool:
    """Return whether a head is one of ours, so that a saved model can ask for it again."""
    return isinstance(head, (*HEADS, TutorialHead))
