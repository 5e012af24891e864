"""Models compared on the same images: their common classes, and each pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Flags, Probabilities
from headstart.commands.parts import Part
from headstart.data.images import ImageSet
from headstart.data.medical.volumes import reading_of
from headstart.data.paths import list_names
from headstart.errors import DataError
from headstart.evaluation.slices import holm
from headstart.evaluation.subsets import compare_subsets
from headstart.predictor.predictor import Predictor
from headstart.record.comparison import ComparisonRecord, MetricDifference, Pair
from headstart.task import Task
from headstart.tasks.grouping import group_numbers
from headstart.tasks.loading import AnyModel
from headstart.watching import Watcher

MAX_LISTED = 500
"""At most so many images that only one model predicts correctly are named."""

Answers = tuple[Probabilities, Thresholds | None]
"""Probabilities of a model, (images, classes), and its operating point."""

_PREDICTS = {"single": "one label per image", "multi": "several labels per image", "boxes": "boxes"}


@dataclass(frozen=True)
class Measured:
    """Models that were measured on the same images, ready to be compared in pairs.

    Attributes:
        hits: Which images each model predicts correctly, (images,), by its name.
        differences: Returns the metrics of two models with their differences, from their names.
    """

    hits: Mapping[str, Flags]
    differences: Callable[[str, str], tuple[MetricDifference, ...]]


def common_classes(predictors: Mapping[str, AnyModel]) -> tuple[Task, tuple[str, ...]]:
    """Return the task and the classes that all models have, in the order of the first one.

    Raises:
        DataError: The models have different tasks, or too few classes in common.
    """
    (first, model), *others = predictors.items()
    for name, other in others:
        if other.task.name != model.task.name:
            different = different_tasks(model.task, other.task)
            raise DataError(f"'{first}' and '{name}' cannot be compared: {different}.")
    common = [label for label in model.classes if all(label in o.classes for _, o in others)]
    if len(common) < model.task.least_classes:
        listed = "; ".join(
            f"'{name}' has {list_names(one.classes)}" for name, one in predictors.items()
        )
        raise DataError(
            f"The models have {'no class' if not common else 'only one class'} in common, so they "
            f"cannot be compared: {listed}."
        )
    return model.task, tuple(common)


def different_tasks(first: Task, second: Task) -> str:
    """Return in words how two tasks differ."""
    return f"one predicts {_PREDICTS[first.name]}, the other {_PREDICTS[second.name]}"


def restricted_to(
    task: Task, model: Predictor, probabilities: Probabilities, classes: Sequence[str]
) -> Answers:
    """Return probabilities and operating point of a model as if it had only some classes."""
    if tuple(model.classes) == tuple(classes):
        return probabilities, model.thresholds
    columns = [model.classes.index(name) for name in classes]
    kept = probabilities[:, columns]
    if task.activation == "softmax":
        return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12), None
    limits = model.thresholds
    return kept, limits and replace(limits, values=tuple(limits.values[one] for one in columns))


def dependent_groups(images: ImageSet) -> Sequence[str]:
    """Return the group of each image; nothing if each is a group of its own."""
    groups = images.given_groups
    return groups if len(set(groups)) < len(images) else ()


def warn_of_classes(
    predictors: Mapping[str, AnyModel], classes: Sequence[str], watcher: Watcher
) -> tuple[str, ...]:
    """Return the classes that only some models have, and say that they are left out."""
    found = {label for one in predictors.values() for label in one.classes}
    left_out = tuple(sorted(found - {*classes}))
    if left_out:
        watcher.warn(
            f"Only the classes that all models have are compared. Left out: {list_names(left_out)}."
        )
    return left_out


def check_readings(predictors: Mapping[str, AnyModel], images: ImageSet) -> None:
    """Check that all models read medical images alike: each has its window and frames.

    Raises:
        DataError: They do not, and some of the images are medical.
    """
    readings = {name: reading_of(one.contract) for name, one in predictors.items()}
    if len(set(readings.values())) > 1 and images.is_medical:
        listed = ", ".join(
            f"'{name}' --window {one.window} --frames {one.frames}"
            for name, one in readings.items()
        )
        raise DataError(
            f"The models read medical images differently, so they cannot be compared on these: "
            f"{listed}."
        )


def measure_labels(task: Task, answers: Mapping[str, Answers], images: ImageSet) -> Measured:
    """Measure the predictions of models that predict labels of whole images.

    Args:
        task: Their task.
        answers: The predictions of each model for the images, by its name.
        images: The images, with the classes that all models have.
    """
    targets, groups = images.labels, dependent_groups(images)

    def differences(first: str, second: str) -> tuple[MetricDifference, ...]:
        return task.compare(answers[first], answers[second], targets, groups=groups)

    hits = {name: task.hits(found, targets, limits) for name, (found, limits) in answers.items()}
    return Measured(hits, differences)


def record_comparison(
    measured: Measured, part: Part, left_out: tuple[str, ...], warnings: Sequence[str]
) -> ComparisonRecord:
    """Compare all pairs of models, and record it.

    Args:
        measured: The models on the images.
        part: The images, with the classes that all models have.
        left_out: Classes that only some of the models have.
        warnings: What may be wrong, in sentences.
    """
    groups = dependent_groups(part.images)
    return ComparisonRecord(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        models=tuple(measured.hits),
        data=part.data,
        split=part.name,
        images=len(part.images),
        groups=len(set(groups)) if groups else None,
        classes=part.images.classes,
        left_out=left_out,
        pairs=_pairs(measured, part.images, groups),
        rejected=part.rejected,
        warnings=tuple(warnings),
    )


def _pairs(measured: Measured, images: ImageSet, groups: Sequence[str]) -> tuple[Pair, ...]:
    """Compare all pairs of models; p-values are corrected for their number.

    Args:
        measured: The models on the images.
        images: The images.
        groups: The group of each image; nothing if each is a group of its own.
    """
    names, members = np.array(images.names, dtype=object), _members(images)
    pairs = []
    for (first, one), (second, other) in combinations(measured.hits.items(), 2):
        pairs.append(
            Pair(
                first,
                second,
                both=int((one & other).sum()),
                only_first=int((one & ~other).sum()),
                only_second=int((~one & other).sum()),
                neither=int((~one & ~other).sum()),
                differences=measured.differences(first, second),
                subsets=compare_subsets(one, other, members, group_numbers(groups)),
                images_only_first=tuple(names[one & ~other][:MAX_LISTED].tolist()),
                images_only_second=tuple(names[~one & other][:MAX_LISTED].tolist()),
            )
        )
    p_values = {number: pair.differences[0].p for number, pair in enumerate(pairs)}
    adjusted = holm({number: p for number, p in p_values.items() if p is not None})
    return tuple(
        replace(pair, adjusted_p=adjusted.get(number), compared=len(pairs))
        for number, pair in enumerate(pairs)
    )


def _members(images: ImageSet) -> dict[tuple[str, str], Flags]:
    """Return which images belong to each class, and to each value of a sliced column."""
    present = images.task.encode(images.labels, len(images.classes)).numpy() == 1
    kind = "label" if images.task.name == "multi" else "class"
    members = {(kind, name): present[:, number] for number, name in enumerate(images.classes)}
    for column, values in images.slices.items():
        texts = np.array(values, dtype=object)
        title = f"column {column}" if column == kind else column
        members |= {(title, value): texts == value for value in sorted(set(values))}
    return members
