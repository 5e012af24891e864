"""Ctrl-C during a training: the first finishes the step and saves, the second exits at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def catch_interruption() -> Iterator[Interruption]:
    """Record the first Ctrl-C instead of raising; only the main thread receives signals."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.getsignal(signal.SIGINT)

    def record(number: int, frame: FrameType | None) -> None:
        interruption.requested = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, record)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
