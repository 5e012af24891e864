"""Train: the six steps of transfer learning, from a folder of images to a measured model."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from headstart.arrays import Probabilities
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.catalogue import architecture_of
from headstart.backbones.licences import licence_warning
from headstart.choosing.trials import candidates_of, try_backbones
from headstart.classifier import Classifier
from headstart.commands.combinations import RUN, TRAINING, require_effect
from headstart.data.images import Images
from headstart.data.sources import data_name
from headstart.engines.devices import choose_device
from headstart.errors import OptionError
from headstart.evaluation.intervals import wilson
from headstart.heads import problem
from headstart.heads.specs import head_named
from headstart.options import TrainOptions, cache_folder
from headstart.predictor.predictor import Predictor
from headstart.record import (
    Candidate,
    Counts,
    Data,
    Evaluation,
    Leak,
    Recommendation,
    Record,
    Rejection,
    Tuning,
)
from headstart.report.thumbnails import pictured
from headstart.runs.folders import reserved_folder
from headstart.runs.run import events_below, write_run
from headstart.task import Summary
from headstart.tasks.opening import open_data
from headstart.tuning.events.listeners import require_listeners
from headstart.tuning.training.loop import INTERRUPTED
from headstart.tuning.trainings import forget_finished
from headstart.tuning.tutorial import TutorialHead, with_recipe
from headstart.watching import SilentWatcher, Watcher

_MISTAKES = 24


@dataclass(frozen=True)
class TrainResult:
    """What a training made.

    Attributes:
        run: The folder that it wrote.
        model: Ready to predict, or to be trained further.
        record: What was measured, as in the run's metrics.json.
        summary: The evaluation of the test part in words and rows; None without one.
    """

    run: Path
    model: Classifier
    record: Record
    summary: Summary | None

    @property
    def interrupted(self) -> bool:
        """Whether fine-tuning was ended by Ctrl-C; `resume` goes on with it."""
        return bool(self.record.tuning and self.record.tuning.stopped == INTERRUPTED)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the numbers that a script wants, as plain JSON values."""
        values = self.record.to_json()
        names = ("accuracy", "accuracy_ci95", "macro_f1", "auroc", "ece")
        headline = self.record.test.headline() if self.record.test else None
        return {
            "run": str(self.run),
            **{name: values[name] for name in ("task", "backbone", "features", "head", "tuned")},
            "classes": list(self.record.data.classes),
            "images": dict(vars(self.record.data.images)),
            "test": {name: headline[name] for name in names} if headline else None,
            "seconds": values["seconds"],
        }


@dataclass
class _Clock:
    """Measures how long each part took."""

    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 3)

    def total(self) -> dict[str, float]:
        return self.seconds | {"total": round(time.perf_counter() - self.start, 3)}


def train(
    data: str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> TrainResult:
    """Train on labelled images with the defaults of the command line.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a CSV or
            Parquet file, or an archive of a folder.
        watcher: Follows the stages.
        options: See `TrainOptions`.

    Raises:
        HeadstartError: The data, an option or the output cannot be used; the text says why.
    """
    return run_training(data, TrainOptions.of(**options), watcher or SilentWatcher())


def run_training(
    data: str | os.PathLike[str], options: TrainOptions, watcher: Watcher
) -> TrainResult:
    """Do `train` with options that are built already."""
    _check_combinations(options)
    options = _resolved(options)
    name = data_name(Path(data))
    with reserved_folder(options.out, name, overwrite=options.overwrite) as run:
        return _train(data, run, options, watcher)


def _train(
    data: str | os.PathLike[str], run: Path, options: TrainOptions, watcher: Watcher
) -> TrainResult:
    clock = _Clock()
    with clock.part("scan"):
        images = open_data(data, options, watcher)

    # 1: choose a pretrained backbone. 2: load it without its classifier. 3: freeze it.
    name, weights, recommendation = _choose(options, images, watcher, clock)
    backbone = _load(name, weights, options)
    if text := licence_warning(name, backbone.licence):
        watcher.warn(text)
    # 4: add a new classifier.
    model = Classifier(
        backbone.freeze(),
        TutorialHead() if options.recipe == "tutorial" else head_named(options.head),
        classes=images.classes,
        features=options.features,
        balanced=options.balanced,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        cache=options.cache,
        deterministic=options.deterministic,
    )
    with clock.part("extract"), watcher.stage("Extracting features") as progress:
        model.choose_image_size(images.train)
        model.features_of(images.all, progress=progress, warn=watcher.warn)
    # 5: train the head.
    with clock.part("head"), watcher.stage("Training the head"):
        model.fit(images.train, val=images.val, warn=watcher.warn)
    # 6: unfreeze the last layers and go on with a low learning rate, if asked for.
    _tune(model, images, _checkpoints(data, images, options), options, watcher, clock)

    test, found = _measure(model.predictor, images)
    record = _record(data, options, images, model, test, recommendation, clock)
    events = events_below(model.checkpoints) if model.checkpoints else ""
    _write(run, model.predictor, images, found, record, events)
    forget_finished(model.checkpoints)
    summary = model.predictor.task.summarise(test, "test") if test else None
    return TrainResult(run, model, record, summary)


def _resolved(options: TrainOptions) -> TrainOptions:
    """Return the options with what the recipe and `--tune auto` decide filled in."""
    options = with_recipe(options)
    return options.with_minutes(options.tune)


def _check_combinations(options: TrainOptions) -> None:
    """Refuse options without an effect and names that do not exist, before any work is done."""
    require_effect(options, RUN)
    require_effect(options, TRAINING)
    require_listeners(options.listeners)
    _require_deterministic(options)
    choose_device(options.device)
    if options.backbone == "auto":
        candidates_of(options.backbones)
    else:
        architecture_of(options.backbone)


def _require_deterministic(options: TrainOptions) -> None:
    """Refuse what is decided by timing if the result must be deterministic."""
    options.require_reproducible(options.tune)
    if options.deterministic and options.device == "cuda":
        raise OptionError("--deterministic works on the CPU only. Leave --device out, or say cpu.")
    if options.deterministic and options.backbone == "auto":
        raise OptionError(
            "--backbone auto times backbones, which cannot be deterministic. Name a backbone."
        )


def _choose(
    options: TrainOptions, images: Images, watcher: Watcher, clock: _Clock
) -> tuple[str, str, Recommendation | None]:
    """Return name and weights of the backbone: the user's, or the best on the training images."""
    if options.backbone != "auto":
        return options.backbone, options.weights, None
    with clock.part("recommend"):
        candidates = candidates_of(options.backbones)
        found = try_backbones(images.train, candidates, options, watcher)
    return found.recommended, found.weights, found


def _load(name: str, weights: str, options: TrainOptions) -> Backbone:
    """Load the backbone, and refuse a part to tune that it does not have."""
    backbone = load_backbone(
        name,
        weights=weights,
        image_size=options.image_size,
        orientations=options.orientations,
        seed=options.seed,
    )
    if options.recipe == "tutorial":
        backbone.size_is_open = False
    if options.tune not in ("none", "auto", "all"):
        backbone.parts().first_trainable(options.tune)  # Refuses what does not exist.
    return backbone


def _checkpoints(data: str | os.PathLike[str], images: Images, options: TrainOptions) -> Path:
    """Return the folder that keeps the state of fine-tunings on these data."""
    source = hashlib.sha256(str(Path(data).resolve()).encode()).hexdigest()[:8]
    return cache_folder(options.cache) / "tuning" / f"{images.name}-{source}"


def _tune(
    model: Classifier,
    images: Images,
    checkpoints: Path,
    options: TrainOptions,
    watcher: Watcher,
    clock: _Clock,
) -> None:
    """Fine-tune on the training part, and say what it gave."""
    if options.tune == "none":
        return
    with clock.part("tune"), watcher.stage("Fine-tuning") as progress:
        report = model.tune(
            images.train,
            options,
            val=images.val,
            part=options.tune,
            keep="always" if options.recipe == "tutorial" else "better",
            checkpoints=checkpoints,
            resume=options.resume,
            progress=progress,
            warn=watcher.warn,
        )
    if report is None:
        watcher.warn("Nothing was tuned, so the backbone stays frozen.")
        return
    if report.stopped:
        watcher.warn(f"Fine-tuning ended early: {report.stopped}.")
    if not report.kept:
        watcher.warn(f"{_why_not(report)}, so the backbone stays frozen.")


def _why_not(report: Tuning) -> str:
    """Say why a tuned model is not kept."""
    if not report.why_not:
        return f"Nothing came of fine-tuning {report.part}"
    return (
        f"Fine-tuning {report.part} {report.why_not} ({report.tuned_accuracy:.1%} and log loss "
        f"{report.tuned_log_loss:.3f} on {report.images} held-out images; the frozen backbone "
        f"{report.probe_accuracy:.1%} and {report.probe_log_loss:.3f}; log loss differs by "
        f"{abs(report.loss_gain_errors or 0.0):.1f} standard errors)"
    )


def _measure(model: Predictor, images: Images) -> tuple[Evaluation | None, Probabilities | None]:
    """Read the test part: here, once, after everything is chosen."""
    if not len(images.test):
        return None, None
    found = model.probabilities_of(images.test)
    return model.task.evaluate(found, images.test.labels, images.classes), found


def _record(
    data: str | os.PathLike[str],
    options: TrainOptions,
    images: Images,
    model: Classifier,
    test: Evaluation | None,
    recommendation: Recommendation | None,
    clock: _Clock,
) -> Record:
    """Collect everything that was measured."""
    predictor, extractor, tuning = model.predictor, model.extractor, model.tuning
    counts = Counts(len(images.train), len(images.val), len(images.test), len(images.rejected))
    return Record(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=predictor.task.name,
        data=Data(images.name, str(data), images.classes, counts),
        backbone=model.backbone.name,
        weights=model.backbone.origin,
        features=predictor.features,
        head=predictor.head.kind,
        temperature=predictor.temperature,
        tuned=tuning.part if tuning and tuning.kept else None,
        tuning=tuning,
        engine="openvino" if extractor.device == "cpu" else "torch",
        precision=extractor.precision,
        precision_trial=extractor.trial,
        image_size=model.backbone.preprocess.size,
        seed=options.seed,
        options=options.model_dump(mode="json"),
        choice=tuple(_candidate(one, number == 0) for number, one in enumerate(model.candidates)),
        test=test,
        rejected=tuple(Rejection(*one) for one in images.rejected),
        warnings=images.warnings,
        leaks=tuple(map(Leak, images.leaks)),
        seconds={"tune": 0.0} | clock.total(),
        recommendation=recommendation,
    )


def _candidate(one: problem.Candidate, chosen: bool) -> Candidate:
    right = round(one.accuracy * one.images)
    bounds = wilson(right, one.images)
    return Candidate(one.features, one.head, one.accuracy, bounds, one.log_loss, chosen)


def _write(
    run: Path,
    model: Predictor,
    images: Images,
    found: Probabilities | None,
    record: Record,
    events: str,
) -> None:
    """Write the run, with the worst mistakes and the model."""
    test, task = images.test, model.task
    part = task.report_part(record.test) if record.test else None
    mistakes = (
        []
        if found is None
        else task.worst_mistakes(found, test.labels, images.classes, most=_MISTAKES)
    )
    bundle = replace(model, record=record).to_bundle()
    write_run(run, bundle, images.manifest, record, part, pictured(mistakes, test), events=events)
