"""The annotations of a project, in a file to which lines are only added."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from headstart.json_log import JsonLog, JsonRow

Id = int | str


@dataclass(frozen=True)
class Labelled:
    """An annotation.

    Attributes:
        annotation: Its number.
        task: The number of its task.
        image: The name of the image.
        labels: What was chosen.
        multiple: Whether several could be.
    """

    annotation: Id
    task: Id
    image: str
    labels: tuple[str, ...]
    multiple: bool

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {
            "annotation": self.annotation,
            "task": self.task,
            "image": self.image,
            "labels": list(self.labels),
            "multiple": self.multiple,
        }


@dataclass(frozen=True)
class Withdrawn:
    """An annotation that was deleted or says nothing any more, or all of a deleted task.

    Attributes:
        annotation: Its number; None for all of a task.
        task: The number of the task, if that was deleted.
    """

    annotation: Id | None = None
    task: Id | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        if self.annotation is None:
            return {"deleted_task": self.task}
        return {"deleted": self.annotation}


Change = Labelled | Withdrawn


class Journal:
    """Annotations, each written to the disk before it counts. Several threads may use it.

    Args:
        path: The file, of JSON lines. A last line that was cut off is left out.

    Raises:
        OutputError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.project: str | None = None
        self._log, self._lock = JsonLog(path, "Annotations"), threading.Lock()
        self._unknown = 0
        self._by_annotation: dict[Id, Labelled] = {}
        for row in self._log.read():
            self._read(row)

    @property
    def damaged(self) -> int:
        """The number of lines that could not be read."""
        return self._log.damaged + self._unknown

    def add(self, project: str | None, changes: Iterable[Change]) -> int:
        """Write changes, and return how many of them change something.

        Raises:
            OutputError: They cannot be written, and none of them counts.
        """
        with self._lock:
            new = [change for change in changes if self._is_new(change)]
            if new:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                head: dict[str, JsonValue] = {"time": now, "project": project}
                self._log.append([head | change.to_json() for change in new])
                self.project = self.project or project
                for change in new:
                    self._apply(change)
        return len(new)

    def labelled(self) -> list[Labelled]:
        """Return the last annotation of each task."""
        with self._lock:
            return list({one.task: one for one in self._by_annotation.values()}.values())

    def _is_new(self, change: Change) -> bool:
        if isinstance(change, Labelled):
            return self._by_annotation.get(change.annotation) != change
        if change.annotation is not None:
            return change.annotation in self._by_annotation
        return any(one.task == change.task for one in self._by_annotation.values())

    def _apply(self, change: Change) -> None:
        if isinstance(change, Labelled):
            self._by_annotation.pop(change.annotation, None)  # Now it is the last one.
            self._by_annotation[change.annotation] = change
        elif change.annotation is not None:
            self._by_annotation.pop(change.annotation, None)
        else:
            kept = {key: one for key, one in self._by_annotation.items() if one.task != change.task}
            self._by_annotation = kept

    def _read(self, row: JsonRow) -> None:
        try:
            change = _change(row)
        except (ValueError, TypeError, KeyError, AttributeError):
            self._unknown += 1
            return
        self.project = self.project or _project_of(row)
        self._apply(change)


def _change(row: Mapping[str, object]) -> Change:
    """Read a line.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    if "deleted" in row:
        return Withdrawn(annotation=_id(row["deleted"]))
    if "deleted_task" in row:
        return Withdrawn(task=_id(row["deleted_task"]))
    labels = row["labels"]
    if not isinstance(labels, list):
        raise TypeError
    return Labelled(
        _id(row["annotation"]),
        _id(row["task"]),
        str(row["image"]),
        tuple(map(str, labels)),
        bool(row["multiple"]),
    )


def _project_of(row: JsonRow) -> str | None:
    project = row.get("project")
    return project if isinstance(project, str) else None


def _id(value: object) -> Id:
    if not isinstance(value, (int, str)):
        raise TypeError
    return value
