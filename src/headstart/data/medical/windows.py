"""Grey values of a DICOM image, reduced to 8 bits by its own transforms or by the user's window.

The order is that of the standard: modality LUT or rescale, VOI LUT or window, then the inversion of
MONOCHROME1. The formulas are those of DICOM PS3.3, C.7.6.3.1.2, C.11.1.1 and C.11.2.1.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from headstart.arrays import Flags, Numbers, Pixels, Stored
from headstart.errors import UnreadableImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FIRST, PERCENTILE = "first", "percentile"
"""Windows by name: the first of the file itself, and the range of the image's own values."""

# With fewer different values than that, each value is transformed once instead of each pixel.
_TABLE = 2**17
PERCENTILES = (0.5, 99.5)
_ADVICE = "choose one with --window CENTER,WIDTH or --window percentile"


@dataclass(frozen=True)
class Window:
    """The range of values that is shown, from black to white.

    Attributes:
        center: The middle of the range.
        width: The width of the range.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID", as in the standard.
    """

    center: float
    width: float
    function: str = "LINEAR"

    @classmethod
    def between(cls, low: float, high: float) -> Self:
        """Return the window of the values from `low` to `high`."""
        return cls((low + high) / 2, high - low, "LINEAR_EXACT")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the window that is written as "CENTER,WIDTH"."""
        center, width = text.split(",")
        return cls(float(center), float(width), "LINEAR_EXACT")

    def apply(self, values: Numbers) -> Numbers:
        """Return brightness, from 0 for black to 1 for white.

        Raises:
            UnreadableImage: The width or the function is invalid.
        """
        center, width = self.center, self.width
        if self.function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            raise _unreadable(f"its window has an unknown function; {_ADVICE}")
        if not (np.isfinite(center) and width >= (1 if self.function == "LINEAR" else 0)):
            found = f"its window has the center {center:g} and the width {width:g}"
            raise _unreadable(f"{found}; {_ADVICE}")
        if self.function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(float)
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
        return np.clip((values - center) / width + 0.5, 0, 1)


@dataclass(frozen=True)
class Lookup:
    """A lookup table of DICOM.

    Attributes:
        first: The value of its first entry; lower values have the same entry.
        entries: What values become, the last one for all higher values.
        top: The largest possible entry.
    """

    first: int
    entries: Numbers
    top: float

    @classmethod
    def of(cls, item: "Dataset") -> Self:
        """Read a table.

        Raises:
            UnreadableImage: It is incomplete.
        """
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        data: Any = item.LUTData
        if isinstance(data, bytes):
            big_endian = item.original_encoding[1] is False
            data = np.frombuffer(data, ">u2" if big_endian else "<u2")
        entries = np.atleast_1d(np.asarray(data, dtype=float))[: count or 2**16]
        if not len(entries) or not 1 <= bits <= 16:
            raise _unreadable("its lookup table is empty or damaged")
        return cls(first, entries, 2.0**bits - 1)

    def apply(self, values: Numbers) -> Numbers:
        """Return the entries of values."""
        places = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1)
        entries: Numbers = self.entries[places.astype(np.intp)]
        return entries


def grey_levels(stored: Stored, header: "Dataset", window: str = FIRST) -> Pixels:
    """Reduce the stored values of a grey image to 8 bits.

    Args:
        stored: Integers or floats, shape (height, width).
        header: The elements of the image; those of its frame, if it has several.
        window: "first" for what the file says, or the range of all values if it says nothing;
            "percentile" for the range from the 0.5th to the 99.5th percentile; or "CENTER,WIDTH".

    Returns:
        Array of the same shape, values 0 to 255. Padding is black.

    Raises:
        UnreadableImage: Values are not finite, or a transform is invalid.
    """
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise _unreadable("it has values that are not finite")
    grey = _Grey(header, _modality(header), header.PhotometricInterpretation == "MONOCHROME1")
    shown = grey.window(stored, window)
    low, high = stored.min(), stored.max()
    if stored.dtype.kind == "f" or int(high) - min(int(low), 0) >= _TABLE:
        return grey.levels(stored.astype(float), shown)
    # Negative values count from the end of the table, as indices do.
    values = np.concatenate([np.arange(int(high) + 1), np.arange(min(int(low), 0), 0)])
    return grey.levels(values.astype(float), shown)[stored]


@dataclass(frozen=True)
class _Grey:
    """The transforms of a grey image.

    Attributes:
        header: Its elements.
        modality: Its modality LUT; None if values are rescaled or stay as they are.
        inverted: Whether low values are bright.
    """

    header: "Dataset"
    modality: Lookup | None
    inverted: bool

    def levels(self, stored: Numbers, shown: Window | Lookup) -> Pixels:
        """Return the level of stored values, 0 to 255."""
        brightness = shown.apply(self._real(stored))
        if isinstance(shown, Lookup):
            brightness = brightness / shown.top
        if self.inverted:
            brightness = 1 - brightness
        levels = np.rint(np.clip(brightness, 0, 1) * 255).astype(np.uint8)
        levels[self._is_padding(stored)] = 0
        return levels

    def window(self, stored: Stored, name: str) -> Window | Lookup:
        """Return what reduces real values to brightness."""
        if name == PERCENTILE:
            return Window.between(*np.percentile(self._real(self._inside(stored)), PERCENTILES))
        if name != FIRST:
            return Window.parse(name)
        return self._own() or self._range(stored)

    def _own(self) -> Window | Lookup | None:
        """Return the first VOI LUT of the file or else its first window; None without both."""
        if tables := self.header.get("VOILUTSequence"):
            return Lookup.of(tables[0])
        center, width = (_number(self.header, name) for name in ("WindowCenter", "WindowWidth"))
        if center is None or width is None:
            return None
        return Window(center, width, str(self.header.get("VOILUTFunction") or "LINEAR").upper())

    def _range(self, stored: Stored) -> Window:
        """Return the range of all values, or of 8 bits if they are shown as they are."""
        if self.modality:
            return Window.between(0, self.modality.top)
        if self.header.get("BitsStored") == 8 and stored.dtype == np.uint8 and not self._rescaled:
            return Window.between(0, 255)
        inside = self._inside(stored)
        low, high = sorted(self._real(np.array([inside.min(), inside.max()], dtype=float)))
        return Window.between(low, high)

    @property
    def _rescaled(self) -> bool:
        return _number(self.header, "RescaleSlope") is not None

    def _real(self, stored: Stored) -> Numbers:
        """Return real values, such as Hounsfield units."""
        if self.modality:
            return self.modality.apply(stored.astype(float))
        slope = _number(self.header, "RescaleSlope")
        intercept = _number(self.header, "RescaleIntercept")
        if slope is None or intercept is None:
            return stored.astype(float)
        return stored.astype(float) * slope + intercept

    def _inside(self, stored: Stored) -> Stored:
        """Return the values that are not padding, or all if there are no others."""
        if _number(self.header, "PixelPaddingValue") is None:
            return stored
        inside = stored[~self._is_padding(stored)]
        return inside if inside.size else stored

    def _is_padding(self, stored: Stored) -> Flags:
        """Return which values are padding around the image."""
        first = _number(self.header, "PixelPaddingValue")
        if first is None:
            return np.zeros(stored.shape, dtype=bool)
        last = _number(self.header, "PixelPaddingRangeLimit")
        low, high = sorted((first, first if last is None else last))
        return (stored >= low) & (stored <= high)


def _modality(header: "Dataset") -> Lookup | None:
    tables = header.get("ModalityLUTSequence")
    return Lookup.of(tables[0]) if tables else None


def _number(header: "Dataset", keyword: str) -> float | None:
    """Return the first of the numbers of an element; None without any."""
    value = header.get(keyword)
    if value is None or isinstance(value, (str, bytes)):
        return None
    numbers = np.atleast_1d(np.asarray(value, dtype=float))
    return float(numbers[0]) if numbers.size else None


def _unreadable(reason: str) -> UnreadableImage:
    return UnreadableImage("image", reason)
