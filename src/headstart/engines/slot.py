"""One engine per process, shared by its threads and rebuilt after a fork."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from weakref import WeakSet

from headstart.engines.engine import Engine


class EngineSlot:
    """Holds an engine that is built when it is first needed.

    An engine's threads do not survive a fork, and even to destroy it in the child would wait for
    them for ever. So a forked child abandons the engine of its parent and builds its own.
    """

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._building = threading.Lock()
        _SLOTS.add(self)

    def get(self, build: Callable[[], Engine]) -> Engine:
        """Return the engine, built by this call if there is none yet in this process."""
        with self._building:
            if self._engine is None:
                self._engine = build()
            return self._engine

    def abandon(self) -> None:
        """Forget the engine without destroying it, and the lock that its builder may hold."""
        if self._engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))
        self._engine = None
        self._building = threading.Lock()


_SLOTS: WeakSet[EngineSlot] = WeakSet()


def _abandon_all() -> None:
    for slot in list(_SLOTS):
        slot.abandon()
    # Nor do the threads of PyTorch's OpenMP survive: with one thread it needs none of them.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
