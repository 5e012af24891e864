"""The classifier: a backbone, and a head that is fitted on its features.

It performs steps 4 to 6 of transfer learning. Each step creates a new, immutable predictor.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal, Self, Unpack, get_args, overload

from headstart.answers import AnyTaskPrediction
from headstart.arrays import Features, Probabilities, Rows
from headstart.backbones.backbone import Backbone, with_weights
from headstart.cache import cache_folder, store_url
from headstart.choosing.fit import fitted_for
from headstart.choosing.image_size import sized_for
from headstart.choosing.reading import reading_as
from headstart.classifier.limits import calibration_set, limits_of
from headstart.classifier.specifying import HeadSettings, as_head
from headstart.classifier.streaming import HeadMemory, known_sample, reader
from headstart.data.images import ImageSet
from headstart.data.inputs import ImagesLike
from headstart.data.paths import list_names
from headstart.errors import DataError, OptionError
from headstart.evaluation.learning_curve import measure_learning_curve
from headstart.evaluation.training_images import known_images
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice, ValidationPart
from headstart.heads.problem import Candidate, Decider, HeadFit, HeldOutEstimate
from headstart.heads.specs import Head
from headstart.keywords import AnswerKeywords, TuneKeywords, with_keywords
from headstart.options import (
    AnswerOptions,
    DeviceOption,
    FeaturesOption,
    HeadOption,
    PrecisionOption,
    TuneOptions,
)
from headstart.predictor.limits import Limits
from headstart.predictor.predictor import AnyPrediction, Predictor, check_classes
from headstart.record import Evaluation, MetricTuning, Record, Tuning
from headstart.record.learning_curve import LearningCurve
from headstart.task import Task
from headstart.tuning.fine_tuning import Keep, TunedModel, check_choices, fine_tune
from headstart.tuning.held_out import LearningSet, learning_set
from headstart.tuning.job import ClassifierHead, Job
from headstart.tuning.metric import tune_metric
from headstart.tuning.training.loop import Train, train_here
from headstart.tuning.tutorial import with_recipe
from headstart.watching import (
    Note,
    Progress,
    ProgressOption,
    Warn,
    Watcher,
    no_note,
    no_progress,
    no_warning,
    watcher_for,
)


class Classifier:
    """A frozen backbone and a head that classifies images by their features.

    Args:
        backbone: Backbone from `load_backbone`, which the classifier copies.
        head: The unfitted head, or its name: "auto", "linear", "kernel", "mlp" or "nearest".
            Default: `AutoHead()`, an average that is weighted on held-out images.
        classes: Names, in the order of the probabilities.
        features: "last", "multilevel", "flatten", or "auto": the last layer and all stages, whose
            heads are averaged, or the better of the two if `head` is not "auto".
        balanced: Whether to weight classes inversely to their frequency.
        seed: Random seed.
        device: "cpu", "cuda", or "auto": a GPU if available.
        precision: "float32", "bf16", or "auto": the faster one on this machine.
        cache: Folder for features and converted networks. Default: the user's cache folder.
        deterministic: Choose nothing by timing, and compute on the CPU, in float32 unless
            `precision` is set. The same data, options and machine give a bit-identical bundle.
        operating_point: What the thresholds of labels are chosen for on held-out images, such as
            "sensitivity=0.95", "specificity=0.9", "ppv=0.8", "cost=fn:10,fp:1" or "f1". Default:
            "f1" with several labels per image; otherwise, the most probable class is predicted.
        head_memory: Memory for training the head, in GB. Default: half of the machine's. If the
            features need more, a linear head on the last layer is streamed from the feature store.

    Raises:
        OptionError: An option is invalid, or `deterministic` is combined with a GPU.

    Attributes:
        classes: Names, in the order of the probabilities.
        extractor: Computes the backbone's features, or reads them from the feature store.
        candidates: The heads that were compared in `fit`, after the chosen one or their average.
        chosen_on: What decided between them: "folds" or "val", the validation part.
        why_chosen: The reason, as a clause; "" if nothing was compared.
        tuning: Record of the last `fine_tune`, or None.
        metric_tuning: Record of the last `tune_metric`, or None.
        checkpoints: Folder with the checkpoints and events of that training, or None.
    """

    candidates: tuple[Candidate, ...] = ()
    chosen_on: Decider = "folds"
    why_chosen: str = ""
    tuning: Tuning | None = None
    metric_tuning: MetricTuning | None = None
    checkpoints: Path | None = None
    _predictor: Predictor | None = None
    _head_memory: float | None = None
    # The content of the images on which the head was chosen, and the result.
    _chosen: tuple[tuple[str, ...], HeadFit] | None = None

    def __init__(
        self,
        backbone: Backbone,
        head: Head | HeadOption | None = None,
        *,
        classes: Sequence[str],
        features: FeaturesOption = "auto",
        balanced: bool = False,
        seed: int = 0,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cache: str | PathLike[str] | None = None,
        deterministic: bool = False,
        operating_point: str | None = None,
        head_memory: float | None = None,
    ) -> None:
        if features not in get_args(FeaturesOption):
            raise OptionError(
                f"features must be auto, last, multilevel or flatten. Got '{features}'."
            )
        if deterministic and device == "cuda":
            raise OptionError(
                "deterministic works on the CPU only. Omit device, or set it to 'cpu'."
            )
        self.classes = tuple(classes)
        self._settings = HeadSettings(
            as_head(head), features, balanced, seed, deterministic, operating_point
        )
        self._head_memory = head_memory
        # A copy, so that changes to the caller's network do not change predictions.
        self.extractor = FeatureExtractor(
            copy.deepcopy(backbone).freeze(),
            cache=cache_folder(cache),
            store=store_url(cache),
            device="cpu" if deterministic and device == "auto" else device,
            precision="float32" if deterministic and precision == "auto" else precision,
            reads="map" if features == "flatten" else "stages",
        )

    def __repr__(self) -> str:
        fitted = self._predictor
        state = f"{fitted.features} features, {fitted.head.kind}" if fitted else "not fitted"
        head = getattr(self._settings.head, "kind", type(self._settings.head).__name__)
        classes = list_names(self.classes)
        return f"Classifier({self.backbone.name}, head={head}: {state}; classes: {classes})"

    @classmethod
    def from_predictor(cls, predictor: Predictor, *, head: Head | HeadOption | None = None) -> Self:
        """Create a classifier from a trained model, to continue training.

        Args:
            predictor: Trained model from `hs.load`, or the predictor of another classifier.
            head: Unfitted head, or its name, to use instead of the one that the model was trained
                with.

        Raises:
            OptionError: The model was trained with a custom head, so `head` is required.
        """
        classifier = cls.__new__(cls)
        classifier.classes = predictor.classes
        classifier._settings = HeadSettings.of(predictor.specification, head)
        classifier._predictor, classifier.extractor = predictor, predictor.extractor
        return classifier

    @property
    def backbone(self) -> Backbone:
        """The classifier's copy of the backbone; the tuned one if fine-tuning was kept."""
        return self.extractor.backbone

    @property
    def predictor(self) -> Predictor:
        """The current model.

        Raises:
            OptionError: The classifier is not fitted yet.
        """
        if self._predictor is None:
            raise OptionError("The classifier is not fitted yet. Call fit first.")
        return self._predictor

    def fit(
        self,
        train: ImageSet,
        *,
        val: ImageSet | None = None,
        progress: ProgressOption = None,
        warn: Warn | None = None,
    ) -> Self:
        """Extract features, fit the head on them and calibrate its probabilities.

        Args:
            train: Training images, which the head learns from.
            val: Validation part. It decides and calibrates if it has at least 100 images and all
                classes, and is as large as `train` or contradicts its folds. Otherwise it is only
                measured, and cross-validation on `train` decides and calibrates.
            progress: By default, a bar in a terminal or a notebook, and lines on stderr elsewhere;
                False shows nothing. A function is called with the number of images that are done,
                and the total.
            warn: Called with warnings for the user; by default, they are Python warnings.

        Raises:
            DataError: There are no images of two classes, or the classes differ from the model's.
            OptionError: The features do not fit in memory, and the head cannot be streamed.
        """
        watcher = watcher_for(progress, warn)
        with watcher.stage("Extracting features") as advance:
            self.choose_preprocessing(train, warn=watcher.warn, note=watcher.note)
            if streamed := self.streams(train):
                watcher.note(streamed.message)
                self.extractor.extract(train.files, progress=advance, warn=watcher.warn)
            else:
                features, stored_as = self.features_of(train, progress=advance, warn=watcher.warn)
        with watcher.stage("Training the head") as advance:
            if streamed:
                return self.fit_streamed(train, progress=advance)
            return self.fit_features(train, features, stored_as, val=val)

    def streams(self, train: ImageSet) -> HeadMemory | None:
        """Return why the head is streamed from the feature store; None if the features fit.

        Raises:
            OptionError: They do not fit, and this head cannot be streamed.
        """
        memory = HeadMemory.of(len(train), self.extractor.layout.width, self._head_memory)
        if memory.suffices:
            return None
        self._head_choice(train.task).check_streamable(len(train))
        return memory

    def choose_preprocessing(
        self, train: ImageSet, *, warn: Warn = no_warning, note: Note = no_note
    ) -> None:
        """Choose how images are read: background, windows, and size and fit if they are open.

        The first `fit` calls this; call it yourself before using `features_of` directly.
        """
        sized = sized_for(reading_as(self.backbone, train), train)
        if sized is not self.backbone:
            self.extractor = self.extractor.with_backbone(sized)
        if sized.fit_is_open:
            seed = self._settings.seed
            fitted = fitted_for(self.extractor, train, seed=seed, warn=warn, note=note)
            self.extractor = self.extractor.with_backbone(fitted)
        self.backbone.size_is_open = False

    def features_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> tuple[Features, str]:
        """Return the features of all stages, (images, width), and their storage format."""
        return self.extractor.of_files(images.files, progress=progress, warn=warn)

    @with_keywords(TuneOptions, TuneKeywords)
    def fine_tune(
        self,
        train: ImageSet,
        *,
        val: ImageSet | None = None,
        unfreeze: str = "stages:1",
        keep: Keep = "better",
        checkpoints: Path | None = None,
        resume: bool = False,
        progress: ProgressOption = None,
        warn: Warn | None = None,
        **options: Unpack[TuneKeywords],
    ) -> Tuning | None:
        """Fine-tune the last layers, starting from the fitted head; roll back if it does not help.

        Args:
            train: Training images.
            val: Images for the decision. Default: a fifth of `train` is held out. Up to 800
                images, all five folds are held out in turn; with more images and `minutes`,
                further folds while results are inconclusive and there is time.
            unfreeze: "all", the last "stages:N" or "layers:N", or "auto": two stages, or one,
                if they can be trained and evaluated in the given minutes, 10 by default.
            keep: "better" rolls back to the frozen backbone unless the tuned one has a lower log
                loss and at least the same accuracy on held-out images; "always" keeps the tuned
                one.
            checkpoints: Folder for checkpoints, with a subfolder for each training.
            resume: Resume the training of the same images and options from that folder.
            progress: See `fit`.
            warn: Called with warnings for the user; by default, they are Python warnings.
            options: As listed below. Unless it is passed, `deterministic` is the classifier's.

        Returns:
            The record, or None if nothing was trained: no part fits into the time with "auto", the
            time limit was reached, or too few images were left for training.

        Raises:
            OptionError: The part does not exist, or an option is invalid.
            DataError: The classes differ from the model's.
            TuningError: Only trainings with other options can be resumed, or the same training is
                already running.
        """
        values = TuneOptions.of(**{"deterministic": self._settings.deterministic, **options})
        watcher = watcher_for(progress, warn)
        with watcher.stage("Fine-tuning") as advance:
            return self.tune(
                train,
                with_recipe(values).with_minutes(unfreeze),
                val=val,
                part=unfreeze,
                keep=keep,
                checkpoints=checkpoints,
                resume=resume,
                progress=advance,
                watcher=watcher,
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
        watcher: Watcher,
        trainer: Train = train_here,
    ) -> Tuning | None:
        """Do `fine_tune` with resolved options; `trainer` runs each training, here or elsewhere."""
        check_classes(train, self.classes)
        check_choices(part, keep)
        options.check_deterministic(part)
        hold_out = options.recipe != "tutorial"
        images = learning_set(train, val, hold_out=hold_out, seed=self._settings.seed)
        _warn_of_absent_classes(val, watcher.warn)
        job, stored_as = self._job(images, options, checkpoints, watcher)
        job = replace(job, resume=resume, progress=progress, train=trainer)
        outcome = fine_tune(job, part, keep=keep)
        self.tuning = outcome.record if outcome else None
        self.checkpoints = outcome.folder if outcome else None
        if outcome and outcome.tuned:
            self._adopt(outcome.tuned, train, stored_as, watcher.warn)
        return self.tuning

    def tune_metric(
        self,
        train: ImageSet,
        options: TuneOptions,
        *,
        val: ImageSet | None,
        part: str,
        checkpoints: Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        watcher: Watcher,
    ) -> MetricTuning | None:
        """Tune the last layers so that images of a label are near each other, for galleries.

        If that helps on labels that were not learnt from, the head is fitted again on the tuned
        features.

        Args:
            train: Training images, of at least four classes.
            options: How to train.
            val: Images for the choice of the head, as in `fit`.
            part: The part to train: "all", the last "stages:N" or "layers:N".
            checkpoints: Folder for checkpoints, with a subfolder for each training.
            resume: Resume the training of the same images and options from that folder.
            progress: See `fit`.
            watcher: Follows the training.

        Returns:
            What was found on labels that were not learnt from; None if there was no time.

        Raises:
            DataError: There are too few classes.
            OptionError: There is no such part, or the extra `metric` is not installed.
        """
        check_choices(part, "better")
        images = learning_set(train, None, hold_out=True, seed=self._settings.seed)
        job, _ = self._job(images, options, checkpoints, watcher)
        outcome = tune_metric(replace(job, resume=resume, progress=progress), part)
        self.metric_tuning = outcome.record if outcome else None
        self.checkpoints = outcome.folder if outcome else None
        if outcome and outcome.weights:
            tuned = with_weights(self.backbone, outcome.weights)
            self.extractor = self.extractor.with_backbone(tuned)
            features, stored_as = self.features_of(train, warn=watcher.warn)
            self.fit_features(train, features, stored_as, val=val)
        return self.metric_tuning

    def _job(
        self,
        images: LearningSet,
        options: TuneOptions,
        checkpoints: Path | None,
        watcher: Watcher,
    ) -> tuple[Job, str]:
        """Return a fine-tuning job, and the precision in which features are stored."""
        features, stored_as = self.extractor.of_files(images.files, warn=watcher.warn)
        model = self.predictor
        job = Job(
            self.extractor.with_backbone(copy.deepcopy(self.backbone)),
            self._head_choice(model.task),
            ClassifierHead(model.head, model.features),
            self._chosen_on(images),
            features,
            images,
            options,
            folder=checkpoints,
            warn=watcher.warn,
            note=watcher.note,
        )
        return job, stored_as

    def evaluate(
        self,
        images: ImageSet,
        *,
        prevalence: float | None = None,
        progress: ProgressOption = None,
        warn: Warn | None = None,
    ) -> Evaluation:
        """Evaluate predictions of labelled images; see `Predictor.evaluate`."""
        return self.predictor.evaluate(images, prevalence=prevalence, progress=progress, warn=warn)

    def probabilities_of(
        self, images: ImageSet, *, progress: Progress | None = None, warn: Warn | None = None
    ) -> Probabilities:
        """Return calibrated probabilities, (images, classes)."""
        return self.predictor.probabilities_of(images, progress=progress, warn=warn)

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
        """Predict the label of one image, or of each of several; see `Predictor.predict`.

        Args:
            images: One image or several.
            errors: What to do about an image that cannot be decoded: "raise" or "keep".
            options: As listed below.
        """
        return self.predictor.predict(images, errors=errors, **options)

    def add_class(self, name: str, images: ImagesLike) -> None:
        """Add a class from some of its images, without a refit.

        Raises:
            OptionError: The head is not "nearest", or the class exists.
            DataError: No image was given.
        """
        self._predictor = self.predictor.with_class(name, images)
        self.classes = self._predictor.classes

    def save(
        self, folder: str | PathLike[str], *, record: Record | None = None, overwrite: bool = False
    ) -> None:
        """Save a bundle: a folder that loads without network access and without pickle.

        Raises:
            OutputError: The folder exists and `overwrite` is false, or it cannot be written.
        """
        self.predictor.save(folder, record=record, overwrite=overwrite)

    def fit_features(
        self, train: ImageSet, features: Features, stored_as: str, *, val: ImageSet | None = None
    ) -> Self:
        """Do `fit` with features that `features_of` returned."""
        self._check_training(train)
        part = self._validation_part(val)
        fit = self._head_choice(train.task).fit(features, train.labels, train.groups, part)
        limits = limits_of(fit, train, features, self.extractor, seed=self._settings.seed)
        known = train.joined(val) if fit.chosen_on == "val" and val is not None else train
        return self._fitted(fit, known, stored_as, limits)

    def fit_streamed(self, train: ImageSet, *, progress: Progress = no_progress) -> Self:
        """Do `fit` with features that are in the store and do not fit in memory."""
        self._check_training(train)
        read, seed = reader(self.extractor, train), self._settings.seed
        choice = self._head_choice(train.task)
        fit = choice.fit_streamed(read, train.labels, train.groups, progress=progress)
        known = known_sample(train, seed=seed)
        features, stored_as = self.features_of(known)
        limits = limits_of(fit, known, features, self.extractor, seed=seed)
        return self._fitted(fit, train, stored_as, limits)

    def _check_training(self, train: ImageSet) -> None:
        check_classes(train, self.classes)
        train.task.check_operating_point(self._settings.operating_point, self.classes)
        if len(train.task.present(train.labels)) < train.task.least_classes:
            raise DataError("The training part must have images of at least two classes.")

    def _fitted(self, fit: HeadFit, known: ImageSet, stored_as: str, limits: Limits) -> Self:
        """Take over a head that was fitted and chosen on some images."""
        self._predictor = Predictor(
            known.task,
            self.classes,
            self.extractor,
            fit.features,
            stored_as,
            fit.head,
            fit.temperature,
            fit.thresholds,
            self._settings.specification(),
            limits=limits,
        )
        self._chosen = (tuple(known.sha256s), fit)
        self.candidates = fit.candidates
        self.chosen_on, self.why_chosen = fit.chosen_on, fit.why
        return self

    def cross_validate(
        self, train: ImageSet, features: Features, groups: Sequence[str]
    ) -> HeldOutEstimate | None:
        """Measure the head on folds that keep groups whole; see `HeadChoice.cross_validate`."""
        return self._head_choice(train.task).cross_validate(features, train.labels, groups)

    def learning_curve(
        self,
        train: ImageSet,
        features: Features,
        groups: Sequence[str],
    ) -> LearningCurve:
        """Forecast how accuracy would grow with more images; see `measure_learning_curve`."""
        choice = self._head_choice(train.task)
        return measure_learning_curve(
            *(choice, features, train.labels, groups, train.classes),
            seed=choice.seed,
        )

    def held_out_probabilities(self) -> tuple[Rows, Probabilities] | None:
        """Return probabilities of training images by heads that were not fitted on them.

        Returns:
            The rows of the images in the last call of `fit`, and their calibrated probabilities,
            (rows, classes); None if no folds were held out, or a validation part decided.
        """
        fit = self._chosen[1] if self._chosen else None
        if fit is None or fit.held_out is None or fit.chosen_on == "val":
            return None
        task = self.predictor.task
        return fit.held_out.rows, task.probabilities(fit.held_out.logits, fit.temperature)

    @property
    def calibrated_on_val(self) -> bool:
        """Whether the validation part calibrated the model, and not folds of the training part."""
        return self.chosen_on == "val" or (self.tuning is not None and self.tuning.kept)

    def _adopt(self, tuned: TunedModel, train: ImageSet, stored_as: str, warn: Warn) -> None:
        """Switch to a tuned model; the caller's backbone does not change."""
        self.extractor = self.extractor.with_backbone(with_weights(self.backbone, tuned.weights))
        self._chosen = None
        features, _ = self.features_of(train, warn=warn)
        seed = self._settings.seed
        held_out = tuned.held_out
        calibration = held_out and calibration_set(train.task, *held_out, seed=seed)
        self._predictor = replace(
            self.predictor,
            extractor=self.extractor,
            features=tuned.features,
            stored_as=stored_as,
            head=tuned.head,
            temperature=tuned.temperature,
            thresholds=tuned.thresholds,
            limits=Limits(
                calibration,
                known_images(train, features, self.extractor, seed=seed),
                self.predictor.limits.traits,
            ),
        )

    def _chosen_on(self, images: LearningSet) -> HeadFit | None:
        """Return how the head was chosen, if that was on the same images with this backbone."""
        if self._chosen is None or self._chosen[0] != tuple(sha256 for _, sha256 in images.files):
            return None
        return self._chosen[1]

    def _head_choice(self, task: Task) -> HeadChoice:
        return self._settings.choice(self.extractor.layout, len(self.classes), task)

    def _validation_part(self, val: ImageSet | None) -> ValidationPart | None:
        if val is None or not len(val):
            return None
        check_classes(val, self.classes)
        return ValidationPart(self.features_of(val)[0], val.labels)


def _warn_of_absent_classes(val: ImageSet | None, warn: Warn) -> None:
    if val is not None and len(val) and (missing := val.absent()):
        warn(f"The validation part, which decides, has no image of {list_names(missing)}.")
