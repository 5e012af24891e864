"""Import OpenVINO without its telemetry, which reports every import to a server.

The rest of Headstart imports `ov` from here and never imports `openvino` directly.
"""

import sys
from types import ModuleType
from typing import cast

_TELEMETRY = "openvino_telemetry"

# None makes the import fail, so that OpenVINO uses a stub that sends nothing.
_before = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = cast(ModuleType, None)
try:
    import openvino as ov
finally:
    del sys.modules[_TELEMETRY]
    if _before is not None:
        sys.modules[_TELEMETRY] = _before

__all__ = ["ov"]
