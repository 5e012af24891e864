"""Evaluate: measure a trained model on labelled images, or again on its own test part."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from headstart.arrays import Probabilities
from headstart.commands.combinations import (
    EVALUATION,
    EVALUATION_OF_BOXES,
    OWN_DATA,
    reject_ineffective_options,
)
from headstart.commands.parts import Part, part_of_data, part_of_run, used_before
from headstart.data.images import ImageSet
from headstart.options import EvaluateOptions
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation, EvaluationRecord, Record
from headstart.record.limits import LimitsResult
from headstart.runs.folders import check_evaluation_folder
from headstart.runs.images import files_by_hash
from headstart.runs.predictions import table_of_test_images
from headstart.task import Summary
from headstart.tasks.loading import AnyModel, load_model
from headstart.watching import Watcher


@dataclass(frozen=True)
class EvaluateResult:
    """The result of an evaluation.

    Attributes:
        record: Everything that was measured.
        summary: The metrics as text.
        out: The folder that was written, if any.
    """

    record: EvaluationRecord
    summary: Summary
    out: Path | None

    def __repr__(self) -> str:
        return f"EvaluateResult({self.evaluation}, split='{self.split}')"

    def _repr_html_(self) -> str:
        """Return the results by class, for notebooks."""
        return self.evaluation.to_html(self.record.trained_on)

    @property
    def evaluation(self) -> Evaluation:
        """The metrics."""
        return self.record.evaluation

    @property
    def split(self) -> str:
        """The part of the data that was used: "all", "train", "val" or "test"."""
        return self.record.split

    def to_json(self) -> dict[str, JsonValue]:
        """Return everything that was measured, and the folder that was written."""
        return {"out": str(self.out) if self.out else None, **self.record.to_json()}


def run_evaluation(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | None,
    options: EvaluateOptions,
    watcher: Watcher,
) -> EvaluateResult:
    """Run `evaluate` with validated options.

    Args:
        model: A run folder or a bundle.
        data: See `evaluate`. None: the run's own data.
        options: What to do.
        watcher: Follows the stages.
    """
    reject_ineffective_options(options, EVALUATION)
    if options.out:
        check_evaluation_folder(options.out, overwrite=options.overwrite)
    predictor = load_model(model, options)
    if isinstance(predictor, Detector):
        reject_ineffective_options(options, EVALUATION_OF_BOXES)
    if data is None:
        reject_ineffective_options(options, OWN_DATA)
        part = part_of_run(Path(model), predictor, options, watcher)
    else:
        part = part_of_data(Path(model), predictor, data, options, watcher, slices=options.slices)
    if isinstance(predictor, Detector):
        return _evaluate_boxes(model, predictor, part, options, watcher)
    with watcher.stage("Extracting features") as progress:
        evaluation, probabilities = predictor.measure(
            part.images,
            prevalence=prevalence_of(predictor, data, options),
            progress=progress,
            warn=watcher.warn,
        )
    for warning in evaluation.slice_warnings:
        watcher.warn(warning)
    limits = _limits(Path(model), predictor, part, probabilities)
    record = _record(str(model), predictor, part, evaluation, limits)
    if options.out:
        with watcher.stage("Writing the report"):
            _write(options.out, predictor, part.images, probabilities, record)
    summary = predictor.task.summarise(evaluation, record.kind, record.trained_on)
    return EvaluateResult(record, summary, options.out)


def _evaluate_boxes(
    model: str | os.PathLike[str],
    detector: Detector,
    part: Part,
    options: EvaluateOptions,
    watcher: Watcher,
) -> EvaluateResult:
    """Evaluate a detector on the images of a part."""
    from headstart.commands.found_boxes import evaluate_part, report_of

    with watcher.stage("Predicting"):
        evaluation, found = evaluate_part(detector, part.images)
    assert evaluation is not None and found is not None
    record = _record(str(model), detector, part, evaluation, None)
    if options.out:
        from headstart.runs.run import write_evaluation

        with watcher.stage("Writing the report"):
            shown = report_of(
                *(detector, part.images, found, part.images, evaluation, record.trained_on)
            )
            write_evaluation(options.out, record, shown, (), found.table(part.images.names))
    summary = detector.task.summarise(evaluation, record.kind, record.trained_on)
    return EvaluateResult(record, summary, options.out)


def prevalence_of(
    predictor: Predictor, data: object | None, options: EvaluateOptions
) -> float | None:
    """Return the prevalence that was given or, for the run's own data, that of its training."""
    if options.prevalence is not None or data is not None or predictor.record is None:
        return options.prevalence
    recorded = predictor.record.options.get("prevalence")
    return recorded if isinstance(recorded, float) else None


def _record(
    model: str,
    predictor: AnyModel,
    part: Part,
    evaluation: Evaluation,
    limits: LimitsResult | None,
) -> EvaluationRecord:
    return EvaluationRecord(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model,
        data=part.data,
        split=part.name,
        evaluation=evaluation,
        temperature=1.0 if isinstance(predictor, Detector) else predictor.temperature,
        trained_on=predictor.record.data.trained_on if predictor.record else (),
        rejected=part.rejected,
        warnings=part.warnings,
        recorded=_differences(evaluation, _recorded(predictor.record, part)),
        limits=limits,
    )


def _write(
    out: Path,
    model: Predictor,
    images: ImageSet,
    probabilities: Probabilities,
    record: EvaluationRecord,
) -> None:
    """Write the report, the figures and the predictions, with the worst mistakes."""
    shown = replace(images, classes=model.classes)
    # Only a report needs these, which import much that training needs.
    from headstart.commands.illustration import illustrated
    from headstart.runs.run import write_evaluation

    seed = model.record.seed if model.record else 0
    illustration = illustrated(
        model, shown, probabilities, files_by_hash(Path(record.model)), seed=seed
    )
    write_evaluation(
        out,
        record,
        model.task.report_part(record.evaluation, record.trained_on),
        illustration.mistakes,
        table_of_test_images(shown, probabilities),
        test_images=illustration.test_images,
    )


def _limits(
    model: Path, predictor: Predictor, part: Part, probabilities: Probabilities
) -> LimitsResult | None:
    """Measure the limits of a model; None if it has seen some of the images."""
    known = predictor.limits.known
    seen = set(known.sha256s if known else ()) & set(part.images.sha256s)
    if seen or any(used_before(model, predictor.record, part.images)):
        return None
    return predictor.measure_limits(part.images, probabilities)


def _recorded(record: Record | None, part: Part) -> Evaluation | None:
    """Return what the training measured on the same images."""
    if record is None or not part.own:
        return None
    return {"test": record.test, "val": record.validation}.get(part.name)


def _differences(now: Evaluation, recorded: Evaluation | None) -> Mapping[str, JsonValue] | None:
    """Return the recorded metrics that differ from those measured now."""
    if recorded is None:
        return None
    measured = now.headline()
    return {name: value for name, value in recorded.headline().items() if value != measured[name]}
