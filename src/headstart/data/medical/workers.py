"""Decode compressed pixels in processes of their own.

The decoders of JPEG, JPEG-LS and JPEG 2000 are native code that aborts or takes minutes on some
damaged files. A process that ends is replaced, and its image refused.
"""

import atexit
import io
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import IO

import numpy as np

from headstart.arrays import Stored
from headstart.cores import cores

# Limits on the time for an image: on the clock, and of the processor for any size and by pixels.
_SECONDS = 60.0
_CPU_SECONDS, _PIXELS_A_SECOND = 2.0, 1e6
_LENGTH = 8


class DecoderWorkers:
    """A process for each processor, started when they are needed.

    Args:
        seconds: Time limit for an image, by the clock.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._free: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(cores()):
            self._free.put(None)

    def decode(self, syntax: str, options: dict[str, object], pixels: bytes) -> Stored | None:
        """Decode the pixels of one frame; return None if they cannot be decoded.

        Args:
            syntax: The UID of the transfer syntax.
            options: What pydicom's decoders need to know about the image.
            pixels: The encapsulated frame.
        """
        request = pickle.dumps((syntax, options, pixels))
        worker, answer = self._free.get(), None
        try:
            for fresh in (False, True):  # A worker that ended before is no reason to refuse.
                if fresh or worker is None:
                    worker = _start()
                answer = self._ask(worker, request)
                if answer is not None:
                    break
                _end(worker)
                worker = None
        except BaseException:  # Ctrl-C: the worker's answer would be taken for that of another.
            if worker is not None:
                _end(worker)
                worker = None
            raise
        finally:
            self._free.put(worker)
        return np.load(io.BytesIO(answer), allow_pickle=False) if answer else None

    def close(self) -> None:
        """End all processes; they are started again when they are needed."""
        for worker in [self._free.get() for _ in range(self._free.qsize())]:
            if worker is not None:
                _end(worker)
            self._free.put(None)

    def _ask(self, worker: subprocess.Popen[bytes], request: bytes) -> bytes | None:
        """Return the answer of a worker, which is empty if it failed; None if it ended."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        timer = Timer(self._seconds, worker.kill)
        timer.start()
        try:
            _send(worker.stdin, request)
            return _receive(worker.stdout)
        except OSError:  # It has ended.
            return None
        finally:
            timer.cancel()


def _start() -> subprocess.Popen[bytes]:
    """Start a worker, which ends when its input is closed."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "headstart.data.medical.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.communicate()  # Closes the pipes.


def _send(stream: IO[bytes], content: bytes) -> None:
    stream.write(len(content).to_bytes(_LENGTH, "big") + content)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """Return the next content; None at the end of the stream."""
    length = stream.read(_LENGTH)
    if len(length) < _LENGTH:
        return None
    size = int.from_bytes(length, "big")
    content = stream.read(size)
    return content if len(content) == size else None


def _work() -> None:
    """Answer requests until the input is closed."""
    from pydicom.pixels import get_decoder

    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # Decoders may print.
    while (request := _receive(sys.stdin.buffer)) is not None:
        syntax, options, pixels = pickle.loads(request)
        buffer = io.BytesIO()
        try:
            with _limited(_CPU_SECONDS + options["rows"] * options["columns"] / _PIXELS_A_SECOND):
                stored, _ = get_decoder(syntax).as_array(pixels, index=0, **options)
            np.save(buffer, stored, allow_pickle=False)
        except BaseException:  # Decoders raise anything; the image is refused.
            buffer = io.BytesIO()
        _send(answers, buffer.getvalue())


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process if the block takes more of the processor's time, where that is possible.

    Time on the clock says little: the machine may be busy.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)  # Its signal ends a process by default.
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


WORKERS = DecoderWorkers()
atexit.register(WORKERS.close)

if __name__ == "__main__":
    _work()
