"""The thread that trains, one training at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from headstart.errors import HeadstartError

log = logging.getLogger("headstart.server")

PAUSE = 2.0
"""A training starts so many seconds after an annotation, for further ones to join it."""

# After a training, so many times as long for predictions alone, but not longer than this.
_REST, _LONGEST_REST = 4, 15.0
_PATIENCE = 60.0


class Trainer:
    """Trains in a thread when it is asked to.

    Args:
        prepare: Called first in the thread.
        train: Trains on everything that is there.
    """

    def __init__(self, prepare: Callable[[], None], train: Callable[[], None]) -> None:
        self._prepare, self._train = prepare, train
        self._changed = threading.Condition()
        self._wanted = self._at_once = self._stopping = False
        self._thread = threading.Thread(target=self._work, name="train", daemon=True)

    def start(self) -> None:
        """Start the thread, which first trains on what an earlier server has left."""
        self._wanted = True
        self._thread.start()

    def ask(self, *, at_once: bool = False) -> None:
        """Ask for a training: soon, together with further changes, or as soon as possible."""
        with self._changed:
            self._wanted, self._at_once = True, self._at_once or at_once
            self._changed.notify()

    def stop(self) -> None:
        """Stop, after the training that is in progress. What it leaves out, the next start does."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(_PATIENCE)

    def _work(self) -> None:
        self._prepare()
        pause = 0.0
        while self._is_asked(pause):
            begin = time.monotonic()
            try:
                self._train()
            except HeadstartError as error:
                log.warning("The annotations cannot be trained on: %s", error)
            except Exception:
                log.exception("The training failed.")
            pause = max(PAUSE, min(_LONGEST_REST, _REST * (time.monotonic() - begin)))

    def _is_asked(self, pause: float) -> bool:
        """Wait until a training is wanted; return whether it should start."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._stopping)
            self._changed.wait_for(lambda: self._at_once or self._stopping, pause)
            self._wanted = self._at_once = False
            return not self._stopping
