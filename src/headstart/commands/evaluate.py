"""Evaluate: measure a trained model on labelled images, or again on its own test part."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from headstart.commands.parts import Part, part_of_data, part_of_run
from headstart.options import EvaluateOptions
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation, Record, Rejection
from headstart.task import Summary
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher

_KINDS = {"all": "", "val": "validation"}


@dataclass(frozen=True)
class EvaluateResult:
    """The result of an evaluation.

    Attributes:
        evaluation: The metrics.
        summary: The metrics as text.
        split: The part of the data that was used: "all", "train", "val" or "test".
        classes: Class names, in the order of the confusion matrix.
        rejected: Images that were not used, with the reasons.
        data: A short name of the data.
        warnings: What may be wrong with the data or the results, in sentences.
        trained_on: The number of training images of each class; empty if it is not known.
        recorded: The scalar metrics in the run's record that differ from these, by name; empty if
            all are equal, None if the record has no results on these images.
    """

    evaluation: Evaluation
    summary: Summary
    split: str
    classes: tuple[str, ...]
    rejected: tuple[Rejection, ...]
    data: str
    warnings: tuple[str, ...] = ()
    trained_on: tuple[int, ...] = ()
    recorded: Mapping[str, JsonValue] | None = None

    def __repr__(self) -> str:
        return f"EvaluateResult({self.evaluation}, split='{self.split}')"

    def _repr_html_(self) -> str:
        """Return the results by class, for notebooks."""
        return self.evaluation._repr_html_()

    @property
    def comparison(self) -> str:
        """A sentence that compares the metrics with the record; "" if it has none of these."""
        if self.recorded is None:
            return ""
        if not self.recorded:
            return "The record of the run has the same figures, to the last digit."
        figures = ", ".join(
            f"{name.replace('_', ' ')} {value:.7g}"
            for name, value in self.recorded.items()
            if isinstance(value, (int, float))
        )
        return f"The figures in the record of the run differ: {figures}."

    def to_json(self) -> dict[str, JsonValue]:
        """Return the metrics, those of each class, and the rejected images, as JSON values."""
        rejected: list[JsonValue] = [
            {"image": rejection.image, "reason": rejection.reason} for rejection in self.rejected
        ]
        return {
            "data": self.data,
            "split": self.split,
            **self.evaluation.to_json(self.trained_on),
            "rejected": rejected,
            "warnings": list(self.warnings),
            "recorded": None if self.recorded is None else dict(self.recorded),
        }


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
    predictor = load_predictor(model, options)
    if data is None:
        part = part_of_run(Path(model), predictor, options.split, watcher)
    else:
        part = part_of_data(Path(model), predictor, data, options, watcher)
    with watcher.stage("Extracting features") as progress:
        evaluation = predictor.evaluate(part.images, progress=progress, warn=watcher.warn)
    return _result(predictor, part, evaluation)


def _result(predictor: Predictor, part: Part, evaluation: Evaluation) -> EvaluateResult:
    trained_on = predictor.record.data.trained_on if predictor.record else ()
    return EvaluateResult(
        evaluation,
        predictor.task.summarise(evaluation, _KINDS.get(part.name, part.name), trained_on),
        part.name,
        predictor.classes,
        part.rejected,
        part.data,
        part.warnings,
        trained_on,
        _differences(evaluation, _recorded(predictor.record, part)),
    )


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
