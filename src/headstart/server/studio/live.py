"""A project that is open in the studio, with what is computed beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from headstart.commands.train import run_training
from headstart.errors import DataError, HeadstartError
from headstart.options import TrainOptions
from headstart.studio.acts import Act
from headstart.studio.labels import Item
from headstart.studio.probing import NO_SUGGESTIONS, Probe, Suggestions, fit_probe, suggest
from headstart.studio.project import HIDDEN, Project
from headstart.studio.workbench import Workbench
from headstart.watching import SilentWatcher

log = logging.getLogger("headstart.server")

_CHUNK = 256
"""Images that are looked at before labels that have changed meanwhile are learnt from."""
_PATIENCE = 30.0


@dataclass(frozen=True)
class _Learnt:
    """What a thread has found out.

    Attributes:
        version: The number of changes when it was found out.
        number: The number of acts that it has seen.
        probe: The model of the labels, or None.
        why_not: Why there is no model, in a sentence; "" if there is one, or too few labels.
        suggestions: The images to label next.
    """

    version: int = 0
    number: int = -1
    probe: Probe | None = None
    why_not: str = ""
    suggestions: Suggestions = NO_SUGGESTIONS


@dataclass(frozen=True)
class _Finish:
    """The training of the whole model.

    Attributes:
        running: Whether it is going on.
        run: The folder of the model, once it is there.
        number: The number of acts that it has seen.
        error: Why there is none.
    """

    running: bool = False
    run: str | None = None
    number: int = -1
    error: str = ""


class Live:
    """A project, and a thread that looks at its images and learns from its labels.

    Args:
        project: The project.
        workbench: Knows the images' features.
        options: How the whole model is trained; where it is written is decided here.
    """

    def __init__(self, project: Project, workbench: Workbench, options: TrainOptions) -> None:
        self.project, self._workbench, self._options = project, workbench, options
        self._finish = _Finish()
        self._changed = threading.Condition()
        self._version, self._stopping = 1, False
        self._learnt, self._learnt_number = _Learnt(), -1
        self._looked_at: set[str] = set()
        self._problems: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, name="studio", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, after what it is doing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE)

    def do(self, act: Act) -> int:
        """Do something; return the number of acts when it is on the disk.

        Raises:
            HeadstartError: It is impossible, or cannot be written.
        """
        self.project.do(act)
        self._tell()
        return self.project.labels.number

    def add_file(self, name: str, data: bytes, labels: tuple[str, ...], group: str) -> str:
        """Keep a file that was dropped, and return its path within the project."""
        image = self.project.add_file(name, data, labels, group)
        self._tell()
        return image

    @property
    def run(self) -> Path:
        """The folder of the trained model."""
        return self.project.folder / HIDDEN / "model"

    def finish(self) -> None:
        """Begin to train the whole model on all labels, unless that is being done.

        Raises:
            OutputError: The table of labels cannot be written.
        """
        with self._changed:
            if self._finish.running:
                return
            with self.project.lock:
                table, number = self.project.write_table(), self.project.labels.number
            self._finish = _Finish(running=True)
        self._tell()
        threading.Thread(target=self._train, args=(table, number), daemon=True).start()

    def _train(self, table: Path, number: int) -> None:
        options = self._options.model_copy(update={"out": self.run, "overwrite": True})
        try:
            run_training(table, options, SilentWatcher())
            done = _Finish(run=str(self.run), number=number)
        except HeadstartError as error:
            done = _Finish(error=str(error))
        except Exception:
            log.exception("The training failed.")
            done = _Finish(error="The training failed. The studio's terminal says why.")
        with self._changed:
            self._finish = done
        self._tell()

    def state(self, *, since: int, seen: int, wait: float) -> dict[str, JsonValue]:
        """Return what has changed for a page.

        Args:
            since: The number of acts that the page knows.
            seen: The version that it knows; 0 for none.
            wait: Seconds to wait for a change.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._version > seen or self._stopping, wait)
            version, learnt = self._version, self._learnt
            problems, looked_at = dict(self._problems), len(self._looked_at)
            finish = self._finish
        with self.project.lock:
            labels = self.project.labels
            since = since if seen else -1
            items = labels.changed_since(since)
            state: dict[str, JsonValue] = {
                "version": version,
                "number": labels.number,
                "name": self.project.folder.resolve().name,
                "classes": list(labels.classes),
                "items": {name: _item_json(item) for name, item in items.items()},
                "undo": labels.can_undo,
                "redo": labels.can_redo,
                "looked_at": looked_at,
                "images": len(labels.items),
                "problems": {**problems},
                "finish": vars(finish),
            }
        if learnt.version > seen:
            state["learnt"] = _learnt_json(learnt)
        return state

    def _tell(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _work(self) -> None:
        """Look at new images, and learn from labels that have changed, until it is stopped."""
        unseen = False  # Whether images were looked at since it has learnt last.
        while not self._stopping:
            with self.project.lock:
                items, number = dict(self.project.labels.items), self.project.labels.number
            news = False
            try:
                news = self._look_at_some(items)
                unseen = unseen or news
                if number != self._learnt_number or (unseen and not news):
                    self._learn(items, number)
                    unseen = False
            except HeadstartError as error:
                self._set_learnt(number, None, str(error))
            except Exception:
                log.exception("The studio's thread failed.")
                self._set_learnt(number, None, "Something failed; the terminal says what.")
            self._learnt_number = number  # What has failed is not tried again without a change.
            with self._changed:
                if not news:
                    self._changed.wait_for(lambda: self._is_behind or self._stopping)

    @property
    def _is_behind(self) -> bool:
        return self.project.labels.number != self._learnt_number

    def _look_at_some(self, items: Mapping[str, Item]) -> bool:
        """Look at some images that are new; return whether there were any."""
        new = [name for name in items if name not in self._looked_at][:_CHUNK]
        if not new:
            return False
        self._workbench.look_at(new)
        found = {name: reason for name in new if (reason := self._workbench.problem_of(name))}
        with self._changed:
            self._looked_at.update(new)
            self._problems |= found
        self._tell()
        return True

    def _learn(self, items: Mapping[str, Item], number: int) -> None:
        probe, why_not = None, ""
        labels = {label for item in items.values() if not item.dropped for label in item.labels}
        try:
            if len(labels) > 1:
                probe = fit_probe(self._workbench, items, number)
        except DataError as error:
            why_not = str(error)
        self._set_learnt(number, probe, why_not, suggest(self._workbench, items, probe))

    def _set_learnt(
        self,
        number: int,
        probe: Probe | None,
        why_not: str,
        suggestions: Suggestions = NO_SUGGESTIONS,
    ) -> None:
        with self._changed:
            self._version += 1
            self._learnt = _Learnt(self._version, number, probe, why_not, suggestions)
            self._changed.notify_all()


def _item_json(item: Item | None) -> JsonValue:
    if item is None:
        return None
    return {"labels": list(item.labels), "dropped": item.dropped}


def _learnt_json(learnt: _Learnt) -> dict[str, JsonValue]:
    probe = learnt.probe
    values: dict[str, JsonValue] = {
        "number": learnt.number,
        "why_not": learnt.why_not,
        "verdict": "",
        "next": list(learnt.suggestions.next),
        "alike": [list(names) for names in learnt.suggestions.alike],
        "guesses": {},
        "doubts": [],
    }
    if probe:
        values |= {
            "images": probe.images,
            "verdict": probe.evaluation.verdict if probe.evaluation else "",
            "guesses": {
                name: [guess.label, round(guess.probability, 4)]
                for name, guess in probe.guesses.items()
            },
            "doubts": [vars(doubt) for doubt in probe.doubts],
        }
    return values
