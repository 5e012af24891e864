"""Collect what a training measured in its record, and look for reasons to doubt the estimates."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from headstart.arrays import Features
from headstart.backbones.layout import FeatureLayout
from headstart.classifier import Classifier
from headstart.data.images import Images
from headstart.evaluation.agreement import KeptTogether, find_disagreement
from headstart.evaluation.intervals import wilson
from headstart.evaluation.series import FoundSeries, find_series
from headstart.heads import problem
from headstart.options import TrainOptions
from headstart.record import (
    Candidate,
    Counts,
    Data,
    Disagreement,
    Estimate,
    Evaluation,
    Leak,
    Leakage,
    Recommendation,
    Record,
    Rejection,
    Series,
    SingleEvaluation,
    Use,
)
from headstart.record.comparison import ComparisonRecord
from headstart.record.data_check import Shortcut
from headstart.record.label_audit import LabelAudit
from headstart.record.learning_curve import LearningCurve
from headstart.record.limits import LimitsResult
from headstart.task import Task
from headstart.tuning.hint import fine_tuning_hint
from headstart.urls import url_of


@dataclass(frozen=True)
class Measured:
    """The results of the final model.

    Attributes:
        test: On the test part; None without one.
        validation: On the validation part; None without one.
        series: Series among the training images; None if there are none.
        leakage: What folds say with and without groups; None if it was not measured.
        recommendation: How the backbone was chosen; None if the user chose it.
        seconds: Duration of each step.
        shortcuts: Traits of files that distinguish classes.
        label_audit: Labels that the model doubts; None if nothing was evaluated.
        learning_curve: How accuracy would grow with more images; None if it was not measured.
        compared: The comparison with an earlier run; None without one.
        limits: What the model knows about its own limits; None if nothing was evaluated.
    """

    test: Evaluation | None
    validation: Evaluation | None
    series: Series | None
    leakage: Leakage | None
    recommendation: Recommendation | None
    seconds: dict[str, float]
    shortcuts: tuple[Shortcut, ...] = ()
    label_audit: LabelAudit | None = None
    learning_curve: LearningCurve | None = None
    compared: ComparisonRecord | None = None
    limits: LimitsResult | None = None


def record_of(
    data: str | os.PathLike[str],
    options: TrainOptions,
    images: Images,
    model: Classifier,
    measured: Measured,
) -> Record:
    """Collect all measurements of a training."""
    predictor, extractor, tuning = model.predictor, model.extractor, model.tuning
    counts = Counts(len(images.train), len(images.val), len(images.test), len(images.rejected))
    choice = tuple(
        _candidate(candidate, chosen=number == 0)
        for number, candidate in enumerate(model.candidates)
    )
    return Record(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=predictor.task.name,
        data=Data(
            images.name,
            url_of(data) or str(Path(data)),
            images.classes,
            counts,
            images.understood,
            images.train.counts(),
        ),
        backbone=model.backbone.name,
        weights=model.backbone.origin,
        features=predictor.features,
        head=predictor.head.kind,
        temperature=predictor.temperature,
        tuned=next((one.part for one in (tuning, model.metric_tuning) if one and one.kept), None),
        tuning=tuning,
        metric_tuning=model.metric_tuning,
        engine="openvino" if extractor.device == "cpu" else "torch",
        precision=extractor.precision,
        precision_trial=extractor.trial,
        image_size=model.backbone.preprocess.size,
        seed=options.seed,
        options=options.model_dump(mode="json"),
        choice=choice,
        test=measured.test,
        rejected=tuple(Rejection(*rejection) for rejection in images.rejected),
        warnings=images.warnings,
        leaks=tuple(map(Leak, images.leaks)),
        seconds=measured.seconds,
        recommendation=measured.recommendation,
        chosen_on=model.chosen_on,
        why_chosen=model.why_chosen,
        validation=measured.validation,
        val_used_for=tuple(_uses(model, images, measured.recommendation)),
        disagreements=tuple(_disagreements(choice, model, measured, _kept(images, measured))),
        series=measured.series,
        leakage=measured.leakage,
        shortcuts=measured.shortcuts,
        label_audit=measured.label_audit,
        learning_curve=measured.learning_curve,
        compared=measured.compared,
        limits=measured.limits,
        hint=_hint(options, images, choice, model.predictor.task),
    )


def _hint(options: TrainOptions, images: Images, choice: tuple[Candidate, ...], task: Task) -> str:
    """Return whether fine-tuning would probably help; "" if it was done or nothing is known."""
    known = choice and options.tune == "none" and task.name == "single"
    if not known or options.no_hint or options.recipe == "tutorial":
        return ""
    return fine_tuning_hint(len(images.train), choice[0].accuracy)


def series_of(images: Images, features: Features, layout: FeatureLayout) -> FoundSeries | None:
    """Look for series among the training images, unless the data has groups.

    Args:
        images: The data.
        features: Features of the training images, shape (images, width).
        layout: The meaning of their columns.
    """
    train = images.train
    if images.all.given_groups or not len(train) or "last" not in layout.kinds:
        return None
    last = features[:, layout.columns("last")]
    return find_series(train.names, last, train.strata, train.groups)


def _kept(images: Images, measured: Measured) -> KeptTogether:
    """Return what the folds kept together."""
    if measured.series:
        return "series" if measured.series.images else "copies"
    return "groups" if images.all.given_groups else "copies"


def _candidate(candidate: problem.Candidate, *, chosen: bool) -> Candidate:
    folds = estimate_of(candidate)
    return Candidate(
        candidate.features,
        candidate.head,
        folds.accuracy,
        folds.accuracy_ci95,
        folds.log_loss,
        chosen,
        folds.images,
        estimate_of(candidate.val) if candidate.val else None,
        candidate.share,
    )


def estimate_of(measured: problem.Candidate | problem.HeldOutEstimate) -> Estimate:
    """Return an estimate with the interval of its accuracy."""
    interval = wilson(round(measured.accuracy * measured.images), measured.images)
    return Estimate(measured.accuracy, interval, measured.log_loss, measured.images)


def _uses(
    model: Classifier, images: Images, recommendation: Recommendation | None
) -> Iterator[Use]:
    """Yield what the validation part was used for."""
    if recommendation and recommendation.compared_on == "val":
        yield "backbone"
    if model.chosen_on == "val":
        yield from ("choice", "calibration")
    if model.tuning and len(images.val):
        yield "tuning"


def _disagreements(
    choice: tuple[Candidate, ...], model: Classifier, measured: Measured, kept: KeptTogether
) -> Iterator[Disagreement]:
    """Yield the parts that do not confirm the folds' estimate of the frozen model."""
    if not choice:
        return
    chosen = choice[0]
    compare = partial(find_disagreement, kept=kept, val_decided=model.chosen_on == "val")
    folds = Estimate(chosen.accuracy, chosen.accuracy_ci95, chosen.log_loss, chosen.images)
    if chosen.val:
        val = chosen.val
        found = compare(folds, "val", val.accuracy, val.images)
        yield from [found] if found else []
    test, tuned = measured.test, model.tuning and model.tuning.kept
    # Folds measure the most probable class, which an operating point does not always predict.
    if isinstance(test, SingleEvaluation) and not (tuned or model.predictor.thresholds):
        found = compare(folds, "test", test.accuracy, test.images)
        yield from [found] if found else []
