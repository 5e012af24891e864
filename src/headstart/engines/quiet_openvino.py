"""Import OpenVINO without its telemetry, which reports every import to a server.

The rest of Headstart imports `ov` from here and never imports `openvino` directly.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Import OpenVINO and its tools in this block, so that they use a stub that sends nothing."""
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = cast(ModuleType, None)  # None makes its import fail.
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if before is not None:
            sys.modules[_TELEMETRY] = before


with without_telemetry():
    import openvino as ov

__all__ = ["ov", "without_telemetry"]
