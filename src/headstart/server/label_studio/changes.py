"""What an event of Label Studio, or an export of its tasks, changes in the annotations."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

from headstart.server.label_studio.config import ImageChoices
from headstart.server.label_studio.journal import Change, Labelled, Withdrawn
from headstart.server.label_studio.protocol import AnnotatedTask, Annotation, Event, Task

log = logging.getLogger("headstart.server")

ANNOTATED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
DELETED = ("ANNOTATION_DELETED", "ANNOTATIONS_DELETED")
TASKS_DELETED = ("TASK_DELETED", "TASKS_DELETED")


def changes_of_event(event: Event, choices: ImageChoices | None) -> Iterator[Change]:
    """Yield what an event changes.

    Args:
        event: What happened.
        choices: The choices for an image, if something was annotated.
    """
    annotations: list[Annotation] = _listed(event.annotation)
    if event.action in TASKS_DELETED:
        yield from (Withdrawn(task=task.id) for task in event.tasks)
    elif event.action in DELETED:
        yield from (Withdrawn(annotation=one.id) for one in annotations)
        yield from (Withdrawn(annotation=one.id) for one in event.annotations)
    elif event.action in ANNOTATED and choices is not None:
        sent: list[Task] = _listed(event.task)
        tasks = {task.id: task for task in sent}
        alone = sent[0] if len(sent) == len(annotations) == 1 else None
        for annotation in annotations:
            task = alone if annotation.task is None else tasks.get(annotation.task)
            yield from _changes_of(annotation, task, choices)


def changes_of_tasks(tasks: Iterable[AnnotatedTask], choices: ImageChoices) -> Iterator[Change]:
    """Yield what the annotations of tasks change."""
    for task in tasks:
        for annotation in task.annotations:
            yield from _changes_of(annotation, task, choices)


def _changes_of(
    annotation: Annotation, task: Task | None, choices: ImageChoices
) -> Iterator[Change]:
    """Yield what an annotation changes; nothing if its image is not known."""
    labels = annotation.labels(choices)
    if labels is None:
        yield Withdrawn(annotation=annotation.id)
        return
    image = task.image(choices) if task else None
    if task is None or image is None:
        log.warning("Annotation %s is not kept: its image was not sent.", annotation.id)
        return
    yield Labelled(annotation.id, task.id, image, labels, choices.multiple)


_One = TypeVar("_One")


def _listed(value: _One | list[_One] | None) -> list[_One]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
