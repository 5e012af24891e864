"""The folder of a project: annotations, images, the options of its training, and the run."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError, OptionError, OutputError, ServerError, reason_of
from headstart.files import Locked, locked, write_atomically, write_json
from headstart.options import TrainOptions
from headstart.server.label_studio.host import Unavailable
from headstart.server.label_studio.images import Images, short_name
from headstart.server.label_studio.journal import Change, Journal, Withdrawn
from headstart.server.label_studio.training_set import Row, TrainingSet
from headstart.serving_options import ServeOptions
from headstart.watching import LibraryWatcher

log = logging.getLogger("headstart.server")

ANNOTATIONS, OPTIONS, RUN, IMAGES = "annotations.jsonl", "options.json", "run", "images"
_TABLE, _TRAINED, _LOCK = "training.jsonl", "trained.json", ".lock"
_OF_SERVER = ("cache", "device", "out", "overwrite", "precision", "resume", "task")


@dataclass(frozen=True)
class _Trained:
    """What the run was trained on, and its result.

    Attributes:
        table: The hash of the table.
        result: The result, in words.
    """

    table: str
    result: str


class Project:
    """A folder for the annotations of one project of Label Studio, and for what is learnt of them.

    Args:
        folder: The folder; a new one is made.
        images: Finds the images.
        options: The options of the server.

    Raises:
        ServerError: The folder is something else, or another server uses it.
        OptionError: The options of the training are wrong.
        OutputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, images: Images, options: ServeOptions) -> None:
        _check_folder(folder)
        self.folder, self._images = folder, images
        self._held = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(folder / _LOCK))
        except Locked:
            raise ServerError(f"Another server uses '{folder}'. Choose another folder.") from None
        except OSError as error:
            raise OutputError(f"Folder '{folder}' cannot be made: {reason_of(error)}.") from None
        try:
            self._options = _training_options(folder, options)
            self.journal = Journal(folder / ANNOTATIONS)
        except HeadstartError:
            self.close()
            raise
        if self.journal.damaged:
            log.warning("%s: damaged lines, left out: %d", ANNOTATIONS, self.journal.damaged)

    def close(self) -> None:
        """Let another server use the folder."""
        self._held.close()

    def keep(self, number: str | None, changes: Iterable[Change]) -> int:
        """Write changes to the disk, and return how many of them change something.

        Args:
            number: The number of the project in Label Studio.
            changes: The changes.

        Raises:
            OutputError: They cannot be written.
        """
        kept = []
        for change in changes:
            try:
                kept.append(self._findable(change))
            except Unavailable as error:
                log.warning("An annotation is not kept. Its image: %s.", error)
        return self.journal.add(number, kept)

    def prepare(self) -> None:
        """Import what trains, so that the first training does not wait for it."""

    def train(self) -> None:
        """Train on all annotations so far, unless the run was trained on exactly these.

        The new run replaces the earlier one, also if it is less accurate.

        Raises:
            HeadstartError: It cannot be trained.
        """
        begin = time.perf_counter()
        labelled = self.journal.labelled()
        multiple = bool(labelled) and labelled[-1].multiple
        data = TrainingSet.of(self._rows(), multiple=multiple)
        if not data.is_enough:
            log.info(data.what_is_missing)
            return
        table, before = data.table(), self._trained()
        digest = sha256(table.encode()).hexdigest()
        if before and before.table == digest and (self.folder / RUN).is_dir():
            log.info("The model has been trained on all annotations.")
            return
        if data.waiting:
            log.info(
                "Labels with too few images, not trained: %s.", ", ".join(sorted(data.waiting))
            )
        result = self._run(table, data.task)
        self._write(_TRAINED, {"table": digest, "result": result})
        log.info(
            "Trained on %d annotated images in %.1f s: %s.%s",
            *(len(data.rows), time.perf_counter() - begin, result),
            f" Before: {before.result}." if before else "",
        )

    def _findable(self, change: Change) -> Change:
        """Return a change whose image is found again.

        Raises:
            Unavailable: The image, which is a part of the task, cannot be kept.
        """
        if isinstance(change, Withdrawn):
            return change
        return replace(change, image=self._images.keep(change.image))

    def _run(self, table: str, task: str) -> str:
        """Train, and return the result in words."""
        from headstart.commands.train import run_training  # PyTorch is slow to import.

        try:
            write_atomically(self.folder / _TABLE, table)
        except OSError as error:
            raise OutputError(f"'{_TABLE}' cannot be written: {reason_of(error)}.") from None
        options = TrainOptions.of(**self._options, task=task, out=self.folder / RUN, overwrite=True)
        result = run_training(self.folder / _TABLE, options, LibraryWatcher(warn=log.info))
        return result.summary.headline + result.summary.context if result.summary else "not tested"

    def _rows(self) -> list[Row]:
        """Return the annotated images whose files can be had."""
        rows = []
        for one in self.journal.labelled():
            try:
                rows.append((self._images.file(one.image).resolve(), one.labels))
            except Unavailable as error:
                log.warning("Task %s: image '%s': %s.", one.task, short_name(one.image), error)
        return rows

    def _trained(self) -> _Trained | None:
        try:
            return _Trained(**json.loads((self.folder / _TRAINED).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, name: str, values: dict[str, str]) -> None:
        try:
            write_json(self.folder / name, values)
        except OSError as error:
            raise OutputError(f"'{name}' cannot be written: {reason_of(error)}.") from None


def _check_folder(folder: Path) -> None:
    """Check that a folder is one of a project, empty, or not there yet."""
    ours = any((folder / name).is_file() for name in (ANNOTATIONS, OPTIONS, _LOCK))
    if folder.is_file() or (folder.is_dir() and not ours and any(folder.iterdir())):
        raise ServerError(
            f"'{folder}' is neither a model nor a folder of annotations. Name a new folder, in "
            "which annotations are kept and a model is trained, or a model."
        )


def _training_options(folder: Path, options: ServeOptions) -> dict[str, Any]:
    """Read the options of the training.

    Raises:
        OptionError: There is none of that name, a value is wrong, or the server decides it.
    """
    path = folder / OPTIONS
    try:
        values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise OptionError(f"'{path}' cannot be read: {error}.") from None
    if not isinstance(values, dict):
        raise OptionError(f"'{path}' must have one JSON object with options of train.")
    if taken := [name for name in _OF_SERVER if name in values]:
        raise OptionError(f"'{path}' must not have '{taken[0]}', which the server decides.")
    TrainOptions.of(**values)
    compute = {"cache": options.cache, "device": options.device, "precision": options.precision}
    return {**values, **compute}
