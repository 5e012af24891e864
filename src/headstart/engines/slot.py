"""Lazily computed values that threads share and that are safe after a fork."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from headstart.engines.engine import Engine

Value = TypeVar("Value")


class Slot(Generic[Value]):
    """Holds a value that is computed once, by the first thread that needs it."""

    def __init__(self, value: Value | None = None) -> None:
        self._value = value
        self._lock = threading.Lock()
        _SLOTS.add(self)

    def get(self, compute: Callable[[], Value]) -> Value:
        """Return the value, and compute it if this process does not have it yet."""
        with self._lock:
            if self._value is None:
                self._value = compute()
            return self._value

    def after_fork(self) -> None:
        """Replace the lock, as a thread that held the old one does not exist in the child."""
        self._lock = threading.Lock()


class EngineSlot(Slot[Engine]):
    """Holds an engine.

    An engine's threads do not survive a fork, and destroying the engine in the child would wait for
    them forever. So a forked child abandons its parent's engine and creates its own.
    """

    def after_fork(self) -> None:
        """Abandon the engine without destroying it."""
        if self._value is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._value))
        self._value = None
        super().after_fork()


_SLOTS: WeakSet[Slot[Any]] = WeakSet()


def _after_fork() -> None:
    for slot in list(_SLOTS):
        slot.after_fork()
    # The threads of PyTorch's OpenMP do not survive either; with one thread, none is needed.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
