"""Compare: measure trained models on the same labelled images, and test their differences."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Probabilities
from headstart.commands.parts import Part, part_of_data, used_before
from headstart.data.medical.volumes import reading_of
from headstart.data.paths import list_names
from headstart.errors import DataError, OptionError
from headstart.evaluation.slices import holm
from headstart.options import CompareOptions
from headstart.predictor.predictor import Predictor
from headstart.record.comparison import ComparisonRecord, Pair
from headstart.runs.images import is_run
from headstart.task import Task
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher


def run_comparison(
    models: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    options: CompareOptions,
    watcher: Watcher,
) -> ComparisonRecord:
    """Run `compare` with validated options.

    Args:
        models: Run folders or bundles, at least two.
        data: See `compare`.
        options: What to do.
        watcher: Follows the stages.
    """
    names = [os.fspath(model) for model in models]
    _check_models(names, os.fspath(data))
    predictors = {name: load_predictor(name, options) for name in names}
    task, classes = _common(predictors)
    left_out = sorted({label for one in predictors.values() for label in one.classes} - {*classes})
    if left_out:
        watcher.warn(
            f"Only the classes that all models have are compared. Left out: {list_names(left_out)}."
        )
    first = replace(predictors[names[0]], classes=classes)
    part = part_of_data(Path(names[0]), first, data, options, watcher)
    _check_readings(predictors, part)
    warnings = list(part.warnings)
    for name in names[1:]:
        for warning in used_before(Path(name), predictors[name].record, part.images):
            warnings.append(f"'{name}': {warning}")
            watcher.warn(warnings[-1])
    answers = {}
    for name, predictor in predictors.items():
        with watcher.stage(f"Predicting with {name}") as progress:
            found = predictor.probabilities_of(part.images, progress=progress, warn=watcher.warn)
        answers[name] = _restricted(task, predictor, found, classes)
    groups = _groups(part)
    return ComparisonRecord(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        models=tuple(names),
        data=part.data,
        split=part.name,
        images=len(part.images),
        groups=len(set(groups)) if groups else None,
        classes=classes,
        left_out=tuple(left_out),
        pairs=_pairs(task, answers, part, groups),
        rejected=part.rejected,
        warnings=tuple(warnings),
    )


_Answers = tuple[Probabilities, Thresholds | None]


def _check_readings(predictors: dict[str, Predictor], part: Part) -> None:
    """Check that all models read medical images alike: each has its window and frames."""
    readings = {
        name: reading_of(one.extractor.preprocess.contract) for name, one in predictors.items()
    }
    if len(set(readings.values())) > 1 and part.images.is_medical:
        listed = ", ".join(
            f"'{name}' --window {one.window} --frames {one.frames}"
            for name, one in readings.items()
        )
        raise DataError(
            f"The models read medical images differently, so they cannot be compared on these: "
            f"{listed}."
        )


def _check_models(names: Sequence[str], data: str) -> None:
    if names and is_run(Path(data)):
        raise OptionError(
            f"DATA is missing: '{data}' is a run. Pass labelled images last: headstart compare "
            "MODEL MODEL… DATA"
        )
    if len(names) < 2:
        raise OptionError("Pass at least two models: headstart compare MODEL MODEL… DATA")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"'{repeated[0]}' is passed twice. Pass different models.")


def _common(predictors: dict[str, Predictor]) -> tuple[Task, tuple[str, ...]]:
    """Return the task and the classes that all models have, in the order of the first one.

    Raises:
        DataError: The models have different tasks, or too few classes in common.
    """
    (first, model), *others = predictors.items()
    for name, other in others:
        if other.task.name != model.task.name:
            raise DataError(
                f"'{first}' and '{name}' cannot be compared: one predicts one label per image, the "
                "other several."
            )
    common = [label for label in model.classes if all(label in o.classes for _, o in others)]
    if len(common) < model.task.least_classes:
        raise DataError(
            f"The models have {'no class' if not common else 'only one class'} in common, so they "
            "cannot be compared."
        )
    return model.task, tuple(common)


def _restricted(
    task: Task, model: Predictor, probabilities: Probabilities, classes: Sequence[str]
) -> _Answers:
    """Return probabilities and operating point of a model as if it had only some classes."""
    if tuple(model.classes) == tuple(classes):
        return probabilities, model.thresholds
    columns = [model.classes.index(name) for name in classes]
    kept = probabilities[:, columns]
    if task.activation == "softmax":
        return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12), None
    limits = model.thresholds
    return kept, limits and replace(limits, values=tuple(limits.values[one] for one in columns))


def _groups(part: Part) -> Sequence[str]:
    """Return the group of each image; nothing if each is a group of its own."""
    groups = part.images.given_groups
    return groups if len(set(groups)) < len(part.images) else ()


def _pairs(
    task: Task, answers: dict[str, _Answers], part: Part, groups: Sequence[str]
) -> tuple[Pair, ...]:
    """Compare all pairs; p-values are corrected for their number."""
    targets = part.images.labels
    hits = {name: task.hits(found, targets, limits) for name, (found, limits) in answers.items()}
    pairs = []
    for first, second in combinations(answers, 2):
        differences = task.compare(answers[first], answers[second], targets, groups=groups)
        one, other = hits[first], hits[second]
        pairs.append(
            Pair(
                first,
                second,
                both=int((one & other).sum()),
                only_first=int((one & ~other).sum()),
                only_second=int((~one & other).sum()),
                neither=int((~one & ~other).sum()),
                differences=differences,
            )
        )
    p_values = {number: pair.differences[0].p for number, pair in enumerate(pairs)}
    adjusted = holm({number: p for number, p in p_values.items() if p is not None})
    return tuple(
        replace(pair, adjusted_p=adjusted.get(number), compared=len(pairs))
        for number, pair in enumerate(pairs)
    )
