"""Train: the six steps of transfer learning, from a folder of images to a measured model."""

import os
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from pydantic import JsonValue

from headstart.arrays import Probabilities
from headstart.backbones.backbone import Backbone
from headstart.classifier import Classifier
from headstart.cluster.machines import Machines, machines_at
from headstart.commands.checking import check_training
from headstart.commands.choosing import choose_backbone, load_chosen
from headstart.commands.clock import Clock
from headstart.commands.combinations import FROZEN, LABELS, STREAMED, reject_ineffective_options
from headstart.commands.detecting import check_detection, fit_and_measure
from headstart.commands.earlier import EarlierRun
from headstart.commands.examples import with_examples
from headstart.commands.extraction import extract_features
from headstart.commands.fitting import fit_in_memory, fit_streamed
from headstart.commands.illustration import Illustration, illustrated, training_files
from headstart.commands.inspecting import find_file_shortcuts
from headstart.commands.recording import Measured, record_of
from headstart.commands.studying import (
    audit_of,
    comparison_of,
    doubts_of,
    limits_of,
)
from headstart.commands.tuning import fine_tune, note_tuning_data
from headstart.data.images import Images, ImageSet
from headstart.data.medical.pseudonyms import patient_key, with_pseudonyms
from headstart.data.paths import data_name
from headstart.errors import OptionError
from headstart.heads.specs import head_named
from headstart.options import TrainOptions
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation, Record, describe_use
from headstart.report.pictures import Pictures
from headstart.runs.folders import reserved_folder
from headstart.runs.marking import marked_unfinished
from headstart.runs.predictions import table_of_test_images
from headstart.runs.run import events_below, write_run
from headstart.runs.unfinished import Request, list_unfinished
from headstart.task import Summary, Task
from headstart.tasks.opening import open_data
from headstart.tuning.training.loop import INTERRUPTED
from headstart.tuning.trainings import delete_finished, is_finished
from headstart.tuning.tutorial import TutorialHead, with_recipe
from headstart.watching import Watcher

_SELECTION = (
    "chosen_on",
    "why_chosen",
    "choice",
    "val_used_for",
    "disagreements",
    "series",
    "leakage",
    "shortcuts",
    "label_audit",
    "learning_curve",
    "limits",
)


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
        run: The folder that was written.
        model: The trained model, which can predict or be trained further.
        record: The measurements, as in the run's metrics.json.
        summary: The evaluation of the test part as text or, without a test part, of the
            validation part; None without both.
        seconds: Duration of each step, as in the record, and of writing the run.
    """

    run: Path
    model: Classifier | Detector
    record: Record
    summary: Summary | None
    seconds: dict[str, float]

    def __repr__(self) -> str:
        return f"TrainResult({self._headline}, run='{self.run}')"

    def _repr_html_(self) -> str:
        """Return the evaluation and a link to the report, for notebooks."""
        report = self.run / "report.html"
        address = report.as_uri() if report.is_absolute() else quote(report.as_posix())
        return f'<p>{escape(self._headline)} · <a href="{address}">report</a></p>'

    @property
    def _headline(self) -> str:
        if self.summary is None:
            return "not evaluated, because there are no test images"
        return self.summary.headline + self.summary.context

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended fine-tuning; `resume` continues it."""
        tunings = self.record.tuning, self.record.metric_tuning
        return any(one is not None and one.stopped == INTERRUPTED for one in tunings)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the main results, as plain JSON values."""
        values, trained_on = self.record.to_json(), self.record.data.trained_on
        test, validation = self.record.test, self.record.validation
        return {
            "run": str(self.run),
            **{name: values[name] for name in ("task", "backbone", "features", "head", "tuned")},
            "classes": list(self.record.data.classes),
            "images": dict(vars(self.record.data.images)),
            "test": test.to_json(trained_on) if test else None,
            "validation": validation.to_json(trained_on) if validation else None,
            **{name: values[name] for name in _SELECTION},
            "compared": self.record.compared.to_json() if self.record.compared else None,
            "seconds": dict(self.seconds),
        }


def run_training(
    data: str | os.PathLike[str],
    options: TrainOptions,
    watcher: Watcher,
    *,
    begin: float | None = None,
) -> TrainResult:
    """Run `train` with validated options.

    Args:
        data: See `train`.
        options: What to do.
        watcher: Follows the stages.
        begin: Start of the measured time, by `time.perf_counter`. Default: now.
    """
    clock = Clock.since(begin)
    if options.task == "boxes":
        check_detection(options)
    else:
        check_training(options, data)
    options = _resolved(options)
    request = Request.of(data, options)
    with (
        reserved_folder(
            options.out,
            data_name(data),
            overwrite=options.overwrite,
            resume=request if options.resume else None,
            note=watcher.note,
        ) as run,
        machines_at(options.cluster, watcher) as machines,
    ):
        with clock.step("scan"):
            check, slices = machines.check_files, options.slices
            images = open_data(data, options, watcher, slices=slices, check=check)
        if images.task.name == "boxes":
            return _train_detector(data, run, request, images, options, watcher, clock)
        reject_ineffective_options(options, LABELS)
        reject_ineffective_options(options, FROZEN)
        return _train_classifier(data, run, request, images, options, watcher, clock, machines)


def _train_detector(
    data: str | os.PathLike[str],
    run: Path,
    request: Request,
    images: Images,
    options: TrainOptions,
    watcher: Watcher,
    clock: Clock,
) -> TrainResult:
    check_detection(options)
    detector, record = fit_and_measure(data, run, request, images, options, watcher, clock)
    summary = _summary(images.task, record)
    return TrainResult(run, detector, record, summary, record.seconds | clock.total())


def _train_classifier(
    data: str | os.PathLike[str],
    run: Path,
    request: Request,
    images: Images,
    options: TrainOptions,
    watcher: Watcher,
    clock: Clock,
    machines: Machines,
) -> TrainResult:
    with clock.step("scan"):
        key = patient_key(images.manifest, options.patient_key)
        shortcuts = find_file_shortcuts(images.all)
    for shortcut in shortcuts:
        watcher.warn(f"{shortcut.sentence} A model may learn that instead of what the images show.")
    images.task.check_operating_point(options.operating_point, images.classes)
    if options.objective == "metric" and images.task.name != "single":
        raise OptionError("--objective metric needs one label for each image.")
    earlier = EarlierRun.load(options.compare, images, options) if options.compare else None

    # 1: choose a pretrained backbone. 2: load it without its classifier. 3: freeze it.
    name, weights, recommendation = choose_backbone(images, options, watcher, clock, machines)
    if recommendation and options.search:
        options = options.model_copy(update={"image_size": recommendation.image_size})
    backbone = load_chosen(name, weights, options, watcher, clock)
    # 4: add a new classifier.
    with clock.step("prepare"), watcher.stage("Preparing the network"):
        model = _new_classifier(backbone.freeze(), images, options)
        model.choose_preprocessing(images.train, warn=watcher.warn, note=watcher.note)
        streamed = model.streams(images.train)
        if streamed:
            reject_ineffective_options(options, STREAMED)
            watcher.note(streamed.message)
        _ = model.extractor.fingerprint  # Hashes the weights, and times float32 and bf16.
    with clock.step("extract"):
        extract_features(model, images, watcher, machines)
    # 5: train the head.
    if streamed:
        fitted = fit_streamed(model, images, watcher, clock)
    else:
        fitted = fit_in_memory(model, images, options, watcher, clock)
    images = fitted.images
    # 6: optionally unfreeze the last layers and continue with a low learning rate.
    if options.tune != "none":
        checkpoints = request.checkpoints(images.name)
        with marked_unfinished(run, request, checkpoints):
            fine_tune(model, images, checkpoints, run, options, watcher, clock, machines)
    unfinished = None if is_finished(model.checkpoints) else request

    with clock.step("evaluate"), watcher.stage("Evaluating"):
        validation, val_probabilities = _evaluate(model.predictor, images.val, options.prevalence)
        # Only here, once, after all choices have been made.
        test, test_probabilities = _evaluate(model.predictor, images.test, options.prevalence)
    seconds = clock.total()
    seconds.setdefault("tune", 0.0)
    reported = (images.test, test_probabilities) if test else (images.val, val_probabilities)
    measured = Measured(
        *(test, validation, fitted.series, fitted.leakage, recommendation, seconds, shortcuts),
        audit_of(model.predictor, reported, test, validation, fitted.doubtful),
        fitted.curve,
        comparison_of(earlier, model.predictor, images, test_probabilities, watcher),
        limits_of(model.predictor, *reported, calibrated=not test and model.calibrated_on_val),
    )
    record = record_of(data, options, images, model, measured)
    for disagreement in record.disagreements:
        watcher.warn(disagreement.message)
    for warning in record.reported.slice_warnings if record.reported else ():
        watcher.warn(warning)
    events = events_below(model.checkpoints) if model.checkpoints else ""
    with clock.step("write"), watcher.stage("Writing the report"):
        manifest = with_pseudonyms(images.manifest, key) if key else images.manifest
        kept = with_examples(model.predictor, images.train, options.keep_examples, watcher.warn)
        _write(run, kept, images, manifest, reported, record, events, unfinished)
        delete_finished(model.checkpoints)
        list_unfinished(request.checkpoints(images.name))
    if record.hint:
        watcher.note(record.hint)
    note_tuning_data(options, watcher)
    summary = _summary(model.predictor.task, record)
    return TrainResult(run, model, record, summary, seconds | clock.total())


def _resolved(options: TrainOptions) -> TrainOptions:
    """Return the options with the values that the recipe and `--tune auto` imply."""
    options = with_recipe(options)
    if options.objective == "metric" and options.tune in ("none", "auto"):
        part = "stages:1" if options.tune == "none" else "stages:2"
        options = options.model_copy(update={"tune": part})
    return options.with_minutes(options.tune)


def _new_classifier(backbone: Backbone, images: Images, options: TrainOptions) -> Classifier:
    return Classifier(
        backbone,
        TutorialHead() if options.recipe == "tutorial" else head_named(options.head),
        classes=images.classes,
        features=options.features,
        balanced=options.balanced,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        cache=options.cache,
        deterministic=options.deterministic,
        operating_point=options.operating_point,
        head_memory=options.head_memory,
    )


def _evaluate(
    model: Predictor, part: ImageSet, prevalence: float | None
) -> tuple[Evaluation | None, Probabilities | None]:
    """Evaluate on the validation or the test part, if there is one."""
    if not len(part):
        return None, None
    probabilities = model.probabilities_of(part)
    evaluation = model.task.evaluate(
        *(probabilities, part.labels, part.classes),
        thresholds=model.thresholds,
        groups=part.given_groups,
        prevalence=prevalence,
        slices=part.slices,
    )
    return evaluation, probabilities


def _summary(task: Task, record: Record) -> Summary | None:
    """Return the reported results as text; those of a validation part say what it was used for."""
    if record.test:
        return task.summarise(record.test, "test", record.data.trained_on)
    if not record.validation:
        return None
    summary = task.summarise(record.validation, "validation", record.data.trained_on)
    use = f"the validation part {describe_use(record.val_used_for)}"
    return replace(summary, context=f"{summary.context}; {use}")


def _write(
    run: Path,
    model: Predictor,
    images: Images,
    manifest: pa.Table,
    reported: tuple[ImageSet, Probabilities | None],
    record: Record,
    events: str,
    unfinished: Request | None,
) -> None:
    """Write the run, including the model and the worst mistakes on the reported part."""
    task, (shown, probabilities) = model.task, reported
    contract = model.extractor.preprocess.contract
    reported_on = record.reported
    part = task.report_part(reported_on, record.data.trained_on) if reported_on else None
    illustration, predictions = Illustration(), None
    if probabilities is not None:
        predictions = (
            table_of_test_images(shown, probabilities, model.thresholds) if record.test else None
        )
        known = training_files(images.train)
        illustration = illustrated(model, shown, probabilities, known, seed=record.seed)
    write_run(
        run,
        replace(model, record=record).to_bundle(),
        manifest,
        record,
        part,
        illustration.mistakes,
        doubts=doubts_of(record.label_audit, Pictures.of(shown, contract)),
        test_images=illustration.test_images,
        predictions=predictions,
        events=events,
        unfinished=unfinished,
    )
