"""Silence the libraries that decode images."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_LIBRARIES = r"(PIL|pydicom|nibabel|gdcm|headstart\.data\.medical)(\.|$)"


class _WarningFilters:
    """Filters that silence libraries while at least one thread needs them.

    Python's warning filters belong to the whole process, so the threads are counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._added: list[tuple[object, ...]] = []

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                before = list(warnings.filters)
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                warnings.filterwarnings("ignore", module=_LIBRARIES)
                self._added = [added for added in warnings.filters if added not in before]

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                kept = [kept for kept in warnings.filters if kept not in self._added]
                warnings.filters[:] = kept  # type: ignore[index]


_FILTERS = _WarningFilters()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress warnings of the libraries that decode images.

    Our own limits and errors cover them and name the file. Those of pydicom may quote elements that
    identify a patient.

    Several threads may enter it at the same time.
    """
    _FILTERS.enter()
    try:
        yield
    finally:
        _FILTERS.leave()
