"""Train: the six steps of transfer learning, from a folder of images to a measured model."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from headstart.backbones.backbone import load_backbone
from headstart.backbones.catalogue import architecture_of
from headstart.classifier import Classifier
from headstart.commands.opening import open_checked
from headstart.commands.recommend import (
    Recommendation,
    candidates_of,
    sized_for,
    try_backbones,
)
from headstart.commands.runs import events_below, reserved_folder, worst_mistakes, write_run
from headstart.commands.watching import Silence, Watcher
from headstart.data.images import Images
from headstart.data.sources import data_name
from headstart.engines.engine import choose_device
from headstart.errors import OptionError
from headstart.evaluation.metrics import Evaluation, evaluate_probabilities, wilson
from headstart.heads.problem import Candidate
from headstart.heads.specs import head_named
from headstart.options import TrainOptions, cache_folder
from headstart.record import Tuning
from headstart.report import Mistake
from headstart.tuning.boundary.views import views_of
from headstart.tuning.events.listeners import require_listeners
from headstart.tuning.training.loop import INTERRUPTED
from headstart.tuning.tutorial import TutorialHead, require_no_contradiction, with_recipe

_TUNING = TypeAdapter(Tuning)


@dataclass(frozen=True)
class TrainResult:
    """What a training made.

    Attributes:
        run: The folder that it wrote.
        model: Ready to predict.
        metrics: The content of the run's metrics.json.
    """

    run: Path
    model: Classifier
    metrics: dict[str, Any]

    @property
    def interrupted(self) -> bool:
        """Whether fine-tuning was ended by Ctrl-C; `resume` goes on with it."""
        return bool(self.model.tuning and self.model.tuning.stopped == INTERRUPTED)

    def summary(self) -> dict[str, Any]:
        """Give the numbers that a script wants, as plain JSON values."""
        metrics = self.metrics
        names = ("accuracy", "accuracy_ci95", "macro_f1", "auroc", "ece")
        test = metrics["test"]
        return {
            "run": str(self.run),
            "backbone": metrics["backbone"],
            "features": metrics["features"],
            "head": metrics["head"],
            "tuned": metrics["tuned"],
            "classes": metrics["data"]["classes"],
            "images": metrics["data"]["images"],
            "test": {name: test[name] for name in names} if test else None,
            "seconds": metrics["seconds"],
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
        watcher: Told how far it is.
        options: See `TrainOptions`.

    Raises:
        HeadstartError: The data, an option or the output cannot be used; the text says why.
    """
    return run_training(data, TrainOptions.of(**options), watcher or Silence())


def run_training(
    data: str | os.PathLike[str], options: TrainOptions, watcher: Watcher
) -> TrainResult:
    """Do `train` with options that are built already."""
    options = _resolved(options)
    _require_sense(options)
    name = data_name(Path(data))
    with reserved_folder(options.out, name, overwrite=options.overwrite) as run:
        return _train(data, run, options, watcher)


def _resolved(options: TrainOptions) -> TrainOptions:
    """Return the options with what the recipe and `--tune auto` decide filled in."""
    require_no_contradiction(options)
    options = with_recipe(options)
    return options.with_minutes(options.tune)


def _train(
    data: str | os.PathLike[str], run: Path, options: TrainOptions, watcher: Watcher
) -> TrainResult:
    clock = _Clock()
    with clock.part("scan"):
        images = open_checked(data, options, watcher)

    # 1: choose a pretrained backbone. 2: load it without its classifier. 3: freeze it.
    name, weights, recommendation = _chosen(options, images, watcher, clock)
    backbone = load_backbone(
        name,
        weights=weights,
        image_size=options.image_size,
        orientations=options.orientations,
        seed=options.seed,
    )
    if options.image_size is None and options.recipe != "tutorial":
        backbone = sized_for(backbone, images.train)
    if options.tune not in ("none", "auto", "all"):
        backbone.parts().first_trainable(options.tune)  # Refuses what does not exist.
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
    )
    with clock.part("extract"), watcher.stage("Extracting features") as progress:
        model.features_of(images.all, progress=progress, warn=watcher.warn)
    # 5: train the head.
    with clock.part("head"), watcher.stage("Training the head"):
        model.fit(images.train, val=images.val, warn=watcher.warn)
    # 6: unfreeze the last layers and go on with a low learning rate, if asked for.
    source = hashlib.sha256(str(Path(data).resolve()).encode()).hexdigest()[:8]
    checkpoints = cache_folder(options.cache) / "tuning" / f"{images.name}-{source}"
    _tune(model, images, checkpoints, options, watcher, clock)
    test, mistakes = _measure(model, images)
    metrics = _metrics(data, options, images, model, test, clock)
    metrics["recommendation"] = recommendation.summary() if recommendation else None
    events = events_below(checkpoints) if model.tuning else ""
    write_run(run, model, images.manifest, metrics, mistakes, events=events)
    return TrainResult(run, model, metrics)


def _require_sense(options: TrainOptions) -> None:
    """Refuse what can be seen to be wrong before any work is done."""
    require_listeners(options.listeners)
    choose_device(options.device)
    if options.tune != "none":
        views_of(options, options.orientations)
    elif options.resume:
        raise OptionError("--resume goes on with a fine-tuning. It needs --tune.")
    if options.backbone == "auto":
        candidates_of(options.backbones)
        if options.weights != "imagenet":
            raise OptionError(
                "--weights cannot go with --backbone auto. Name them with the backbones: "
                "--backbones NAME=WEIGHTS,…"
            )
        return
    architecture_of(options.backbone)
    for name in ("backbones", "budget_ms"):
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise OptionError(f"{flag} says how to choose. It needs --backbone auto.")


def _tune(
    model: Classifier,
    images: Images,
    checkpoints: Path,
    options: TrainOptions,
    watcher: Watcher,
    clock: _Clock,
) -> None:
    """Fine-tune on the training part, and say what came of it."""
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


def _chosen(
    options: TrainOptions, images: Images, watcher: Watcher, clock: _Clock
) -> tuple[str, str, Recommendation | None]:
    """Give name and weights of the backbone: as the user says, or as the training images say."""
    if options.backbone != "auto":
        return options.backbone, options.weights, None
    with clock.part("recommend"):
        candidates = candidates_of(options.backbones)
        found = try_backbones(images.train, candidates, options, watcher)
    return found.recommended, found.weights, found


def _measure(model: Classifier, images: Images) -> tuple[Evaluation | None, list[Mistake]]:
    """Read the test part: here, once, after everything is chosen."""
    if not len(images.test):
        return None, []
    told = model.probabilities_of(images.test)
    evaluation = evaluate_probabilities(told, images.test.labels, images.classes)
    return evaluation, worst_mistakes(images.test, told)


def _metrics(
    data: str | os.PathLike[str],
    options: TrainOptions,
    images: Images,
    model: Classifier,
    test: Evaluation | None,
    clock: _Clock,
) -> dict[str, Any]:
    """Collect everything that was measured, as plain JSON values."""
    learnt, backbone = model.learnt, model.backbone
    assert learnt is not None
    trial = model.extractor.trial
    counts = {"train": len(images.train), "val": len(images.val), "test": len(images.test)}
    return {
        "headstart": version("headstart"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "name": images.name,
            "source": str(data),
            "classes": list(images.classes),
            "images": counts | {"rejected": len(images.rejected)},
        },
        "backbone": backbone.name,
        "weights": backbone.origin,
        "features": learnt.features,
        "head": learnt.head.kind,
        "tuned": model.tuning.part if model.tuning and model.tuning.kept else None,
        "tuning": _TUNING.dump_python(model.tuning, mode="json") if model.tuning else None,
        "engine": "openvino" if model.extractor.device == "cpu" else "torch",
        "precision": model.extractor.precision,
        "precision_trial": trial.to_dict() if trial else None,
        "image_size": backbone.preprocess.size,
        "seed": options.seed,
        "options": options.model_dump(mode="json"),
        "choice": [
            _choice(candidate, number == 0) for number, candidate in enumerate(learnt.candidates)
        ],
        **evaluation_metrics(test, learnt.temperature),
        "rejected": [{"image": image, "reason": why} for image, why in images.rejected],
        "warnings": list(images.warnings),
        "leaks": [{"images": list(leak)} for leak in images.leaks],
        "seconds": {"tune": 0.0} | clock.total(),
    }


def evaluation_metrics(test: Evaluation | None, temperature: float) -> dict[str, Any]:
    """Give the parts of metrics.json that an evaluation fills."""
    if test is None:
        return {"test": None, "per_class": [], "confusion": [], "reliability": []}
    return {
        "test": test.headline() | {"temperature": temperature},
        "per_class": [
            {
                "class": one.name,
                "precision": one.precision,
                "recall": one.recall,
                "recall_ci95": list(one.recall_ci95),
                "f1": one.f1,
                "images": one.images,
            }
            for one in test.per_class
        ],
        "confusion": [list(row) for row in test.confusion],
        "reliability": [
            {"confidence": one.confidence, "accuracy": one.accuracy, "images": one.images}
            for one in test.reliability
        ],
    }


def _choice(candidate: Candidate, chosen: bool) -> dict[str, Any]:
    right = round(candidate.accuracy * candidate.images)
    return {
        "features": candidate.features,
        "head": candidate.head,
        "accuracy": candidate.accuracy,
        "accuracy_ci95": list(wilson(right, candidate.images)),
        "log_loss": candidate.log_loss,
        "chosen": chosen,
    }
