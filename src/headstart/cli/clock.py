"""When the command began, for the user: when its process was started, before any import."""

import os
import time
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/stat")
_START_FIELD = 19  # Counted from the field after the name of the program; see proc(5).


def process_start() -> float:
    """Return the start of this process by `time.perf_counter`; now, if the system cannot tell."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        fields = _STATUS.read_text().rpartition(")")[2].split()
        started = int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter() - (time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    return time.perf_counter()
