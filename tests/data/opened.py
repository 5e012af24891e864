"""Open labelled images as a command does, but for a task of the tests."""

from collections.abc import Sequence
from pathlib import Path

from headstart.data.images import Images
from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.opening import images_of
from headstart.data.sources import open_source
from headstart.task import Task


def open_images(
    data: Path,
    *,
    task: Task,
    staging: Path,
    group: str | None = None,
    classes: Sequence[str] | None = None,
    **options,
) -> Images:
    """Open labelled images; see `images_of` for the options."""
    labelling = Labelling("multi" if task.name == "multi" else "single", known=classes or ())
    source = open_source(data, staging, Interpretation(labelling, group))
    return images_of(source, data, task=task, classes=classes, **options)
