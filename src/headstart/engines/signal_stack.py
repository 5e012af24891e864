"""Keep OpenVINO from replacing the stack on which signals are handled."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux, see sigaltstack(2)."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Restore this thread's alternate signal stack after the block.

    OpenVINO's CPU plugin replaces it when it is loaded, and puts the earlier one back when it is
    unloaded. After two that were not unloaded in reverse order, that is memory which was freed, and
    Ctrl-C ends the process with a segmentation fault. If its stack is no longer in use, it puts
    nothing back.
    """
    if sys.platform != "linux":
        yield
        return
    stack = _SignalStack()
    libc = ctypes.CDLL(None)
    known = libc.sigaltstack(None, ctypes.byref(stack)) == 0
    try:
        yield
    finally:
        if known:
            libc.sigaltstack(ctypes.byref(stack), None)
