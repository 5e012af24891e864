"""A thread that looks at a project's images, and learns from its labels whenever they change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from headstart.errors import DataError, HeadstartError
from headstart.studio.labels import State
from headstart.studio.probing import NO_SUGGESTIONS, Probe, Suggestions, fit_probe, suggest
from headstart.studio.project import Project
from headstart.studio.workbench import Workbench

log = logging.getLogger("headstart.server")

_CHUNK = 256
"""Images that are looked at before labels that have changed meanwhile are learnt from."""
_PATIENCE = 30.0


@dataclass(frozen=True)
class Learnt:
    """What the thread has found out.

    Attributes:
        lesson: The last change of labels that it has seen, see `State.lesson`.
        version: It grows whenever something is found out.
        probe: The model of the labels, or None.
        why_not: Why there is no model, in a sentence; "" if there is one, or too few labels.
        suggestions: The images to label next.
        duplicates: Groups of images that are copies of each other, or almost.
    """

    lesson: int = -1
    version: int = 0
    probe: Probe | None = None
    why_not: str = ""
    suggestions: Suggestions = NO_SUGGESTIONS
    duplicates: tuple[tuple[str, ...], ...] = ()


class Learner:
    """Looks at new images, and fits the live probe.

    Args:
        project: The project.
        workbench: Knows the images' features.
        changed: Called whenever something was found out.

    Attributes:
        learnt: What was found out last.
        looked_at: The images that were looked at.
        problems: Why images cannot be used.
    """

    def __init__(self, project: Project, workbench: Workbench, changed: Callable[[], None]) -> None:
        self.learnt = Learnt()
        self.looked_at: frozenset[str] = frozenset()
        self.problems: dict[str, str] = {}
        self._project, self._workbench, self._changed = project, workbench, changed
        self._wake, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="learner", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, after what it is doing."""
        self._stopping = True
        self._wake.set()
        self._thread.join(_PATIENCE)

    def wake(self) -> None:
        """Say that labels have changed."""
        self._wake.set()

    def _work(self) -> None:
        lesson, unseen = -1, False  # Whether images were looked at since it has learnt last.
        while not self._stopping:
            self._wake.clear()
            labels, news = self._state(), False
            try:
                news = self._look_at_some(labels.items)
                unseen = unseen or news
                if labels.lesson != lesson or (unseen and not news):
                    self._learn(labels, looked=unseen)
                    unseen = False
            except Exception as error:
                why_not = str(error)
                if not isinstance(error, HeadstartError):
                    log.exception("The studio's thread failed.")
                    why_not = "Something failed; the terminal says what."
                failed = replace(self.learnt, lesson=labels.lesson, probe=None, why_not=why_not)
                self._set(failed)
            lesson = labels.lesson  # What has failed is not tried again without a change.
            if not news and not self._stopping:
                self._wake.wait()

    def _state(self) -> State:
        with self._project.lock:
            return self._project.labels.state

    def _look_at_some(self, images: Collection[str]) -> bool:
        """Look at some images that are new or have changed; return whether there were any.

        They are spread over all that are left, so that the first ones are not all of one folder.
        """
        left = [name for name in images if name not in self.looked_at]
        new = left[:: max(1, len(left) // _CHUNK)][:_CHUNK] or self._workbench.changed(images)
        if not new:
            return False
        self._workbench.look_at(new)
        problems = {name: why for name, why in self.problems.items() if name not in new}
        found = {name: reason for name in new if (reason := self._workbench.problem_of(name))}
        self.problems = problems | found
        self.looked_at |= frozenset(new)
        self._changed()
        return True

    def _learn(self, labels: State, *, looked: bool) -> None:
        """Fit the probe and show it; then find suggestions, unless labels have changed again."""
        learnt = replace(self.learnt, lesson=labels.lesson, probe=None, why_not="")
        classes = {
            label
            for item in labels.items.values()
            if not item.dropped
            for label in item.labels or ()
        }
        least = {"single": 2, "multi": 1}
        try:
            if len(classes) >= least.get(labels.kind, len(classes) + 1):
                probe = fit_probe(self._workbench, labels, self.learnt.probe)
                learnt = replace(learnt, probe=probe)
        except DataError as error:
            learnt = replace(learnt, why_not=str(error))
        if looked:
            images = [name for name, item in labels.items.items() if not item.dropped]
            learnt = replace(learnt, duplicates=self._workbench.duplicates(images))
        self._set(learnt)
        if not self._wake.is_set():
            suggestions = suggest(self._workbench, labels, learnt.probe)
            self._set(replace(learnt, suggestions=suggestions))

    def _set(self, learnt: Learnt) -> None:
        self.learnt = replace(learnt, version=self.learnt.version + 1)
        self._changed()
