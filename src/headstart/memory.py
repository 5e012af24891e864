"""The memory that this process may use."""

import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_ASSUMED = 8 * 2**30


def machine_memory() -> int:
    """Return the bytes of memory of the machine or of the container, whichever is smaller.

    Not what is free at the moment, so that the same choices are made in every run. Windows does
    not tell, where 8 GB are assumed.
    """
    if not hasattr(os, "sysconf"):
        return _ASSUMED
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _LIMIT.read_text().strip() if _LIMIT.exists() else ""
    return min(memory, int(limit)) if limit.isdecimal() else memory
