"""Models compared on the same images: their common classes, and each pair."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from headstart.record.comparison import ComparisonRecord, Pair
from headstart.task import Task
from headstart.tasks.grouping import group_numbers
from headstart.watching import Watcher

MAX_LISTED = 500
"""At most so many images that only one model predicts correctly are named."""

Answers = tuple[Probabilities, Thresholds | None]
"""Probabilities of a model, (images, classes), and its operating point."""


def common_classes(predictors: Mapping[str, Predictor]) -> tuple[Task, tuple[str, ...]]:
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
    predictors: Mapping[str, Predictor], classes: Sequence[str], watcher: Watcher
) -> tuple[str, ...]:
    """Return the classes that only some models have, and say that they are left out."""
    found = {label for one in predictors.values() for label in one.classes}
    left_out = tuple(sorted(found - {*classes}))
    if left_out:
        watcher.warn(
            f"Only the classes that all models have are compared. Left out: {list_names(left_out)}."
        )
    return left_out


def check_readings(predictors: Mapping[str, Predictor], images: ImageSet) -> None:
    """Check that all models read medical images alike: each has its window and frames.

    Raises:
        DataError: They do not, and some of the images are medical.
    """
    readings = {
        name: reading_of(one.extractor.preprocess.contract) for name, one in predictors.items()
    }
    if len(set(readings.values())) > 1 and images.is_medical:
        listed = ", ".join(
            f"'{name}' --window {one.window} --frames {one.frames}"
            for name, one in readings.items()
        )
        raise DataError(
            f"The models read medical images differently, so they cannot be compared on these: "
            f"{listed}."
        )


def record_comparison(
    task: Task,
    answers: Mapping[str, Answers],
    part: Part,
    left_out: tuple[str, ...],
    warnings: Sequence[str],
) -> ComparisonRecord:
    """Compare all pairs of models, and record it.

    Args:
        task: Their task.
        answers: The predictions of each model for the images, by its name.
        part: The images, with the classes that all models have.
        left_out: Classes that only some of the models have.
        warnings: What may be wrong, in sentences.
    """
    groups = dependent_groups(part.images)
    return ComparisonRecord(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        models=tuple(answers),
        data=part.data,
        split=part.name,
        images=len(part.images),
        groups=len(set(groups)) if groups else None,
        classes=part.images.classes,
        left_out=left_out,
        pairs=compare_pairs(task, answers, part.images, groups),
        rejected=part.rejected,
        warnings=tuple(warnings),
    )


def compare_pairs(
    task: Task, answers: Mapping[str, Answers], images: ImageSet, groups: Sequence[str]
) -> tuple[Pair, ...]:
    """Compare all pairs of models; p-values are corrected for their number.

    Args:
        task: Their task.
        answers: The predictions of each model for the images, by its name.
        images: The images.
        groups: The group of each image; nothing if each is a group of its own.
    """
    targets = images.labels
    hits = {name: task.hits(found, targets, limits) for name, (found, limits) in answers.items()}
    names, members = np.array(images.names, dtype=object), _members(images)
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
    exclusive = images.task.activation == "softmax"
    present = images.task.encode(images.labels, len(images.classes)).numpy() == 1
    kind = "class" if exclusive else "label"
    members = {(kind, name): present[:, number] for number, name in enumerate(images.classes)}
    for column, values in images.slices.items():
        texts = np.array(values, dtype=object)
        title = f"column {column}" if column == kind else column
        members |= {(title, value): texts == value for value in sorted(set(values))}
    return members
