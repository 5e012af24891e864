"""The number of cores that this process may use."""

import os

_SHARE = "HEADSTART_CORES"


def cores() -> int:
    """Return the number of cores that this process may use.

    That is what the operating system assigned to it, or its share of a machine on which several
    workers run.
    """
    return share() or _assigned()


def share() -> int | None:
    """Return the number of cores that `use_share` set; None if it was not called."""
    value = os.environ.get(_SHARE)
    return int(value) if value else None


def use_share(count: int) -> None:
    """Use no more cores than this, here and in processes that are started later."""
    os.environ[_SHARE] = str(max(1, min(count, _assigned())))


def _assigned() -> int:
    if hasattr(os, "sched_getaffinity"):  # Not on macOS and Windows.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
