"""Grey values are reduced to 8 bits as DICOM defines it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.data.medical.windows import grey_levels
from headstart.errors import UnreadableImage
from tests.data.medical.files import dataset_of, lookup, noise

DEPTHS = [(bits, signed) for bits in (8, 10, 12, 14, 16) for signed in (False, True)]


def every_value(bits: int, signed: bool) -> NDArray[Any]:
    """Return all values of a depth as an image; a part of them if there are many."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    values = np.linspace(low, high - 1, 256).round().reshape(16, 16)
    return values.astype(np.int16 if signed else np.uint16)


def defined(function: str, x: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """Return what PS3.3 C.11.2.1.2 and C.11.2.1.3 define for an output from 0 to 255."""
    if function == "SIGMOID":
        return 255 / (1 + np.exp(-4 * (x - center) / width))
    if function == "LINEAR":
        y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
        below, above = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    else:
        y = ((x - center) / width + 0.5) * 255
        below, above = center - width / 2, center + width / 2
    return np.where(x <= below, 0, np.where(x > above, 255, y))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
def test_windows_are_those_of_the_standard(
    bits: int, signed: bool, function: str, inverted: bool
) -> None:
    """Each function, depth and sign is within one level of its definition, after rescaling."""
    stored = every_value(bits, signed)
    center, width = 2.5 * float(stored.mean()) - 90, 2.5 * 2**bits / 3
    header = dataset_of(
        stored,
        bits=bits,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        RescaleSlope=2.5,
        RescaleIntercept=-100,
        WindowCenter=[center, 5],
        WindowWidth=[width, 7],
        VOILUTFunction=function,
    )
    expected = defined(function, 2.5 * stored.astype(float) - 100, center, width)
    levels = grey_levels(stored, header)
    assert np.abs(levels - (255 - expected if inverted else expected)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
def test_a_lookup_table_maps_values_and_holds_its_ends(bits: int, signed: bool) -> None:
    """A VOI LUT takes precedence over a window, also with fewer bits than its number of entries."""
    stored = every_value(bits, signed)
    first = int(stored.min()) + 3
    entries = np.random.default_rng(0).integers(0, 256, 2 ** (bits - 1))
    table = lookup(entries, first=first if first >= 0 else first + 2**16, bits=8)
    table["LUTDescriptor"].VR = "SS" if signed else "US"
    table.LUTDescriptor = [len(entries), first, 8]
    header = dataset_of(stored, bits=bits, VOILUTSequence=[table], WindowCenter=0, WindowWidth=1)
    places = np.clip(stored.astype(int) - first, 0, len(entries) - 1)
    assert np.array_equal(grey_levels(stored, header), entries[places])


def test_a_modality_table_comes_before_the_window() -> None:
    """Values that a modality LUT maps are what the window is about."""
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16)
    table = lookup(np.arange(256)[::-1] * 16, first=0, bits=12)
    header = dataset_of(stored, bits=8, ModalityLUTSequence=[table])
    assert np.abs(grey_levels(stored, header) - (255 - stored) * 16 / 4095 * 255).max() <= 0.5
    header.WindowCenter, header.WindowWidth, header.VOILUTFunction = 2040, 4080, "LINEAR_EXACT"
    assert np.array_equal(grey_levels(stored, header), 255 - stored)


def test_without_a_window_the_whole_range_is_shown() -> None:
    """Nothing is clipped: the smallest value is black and the largest white."""
    stored = noise(0, top=700).astype(np.int16) - 300
    levels = grey_levels(stored, dataset_of(stored, RescaleSlope=1, RescaleIntercept=-1024))
    low, high = float(stored.min()), float(stored.max())
    assert np.abs(levels - (stored - low) / (high - low) * 255).max() <= 0.5


def test_eight_bits_without_transforms_stay_as_they_are() -> None:
    """An ultrasound image is not stretched."""
    stored = noise(0, top=100).astype(np.uint8)
    assert np.array_equal(grey_levels(stored, dataset_of(stored, bits=8)), stored)


def test_padding_is_black_and_does_not_count() -> None:
    """Padding neither widens the range nor turns white when values are inverted."""
    stored = noise(0, top=1000) + np.uint16(1000)
    stored[:4], stored[4:6] = 0, 5
    header = dataset_of(
        stored,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=0,
        PixelPaddingRangeLimit=5,
    )
    levels = grey_levels(stored, header)
    assert not levels[:6].any()
    assert levels[6:].min() == 0
    assert levels[6:].max() == 255
    assert grey_levels(np.zeros((4, 4), np.uint16), header).max() == 0  # Nothing but padding.


def test_the_users_window_replaces_that_of_the_file() -> None:
    """CENTER,WIDTH is exact; the percentiles leave out one value in a hundred."""
    stored = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    header = dataset_of(stored, bits=14, WindowCenter=5, WindowWidth=10)
    window = grey_levels(stored, header, "5000,2000")
    assert np.abs(window - defined("LINEAR_EXACT", stored.astype(float), 5000, 2000)).max() <= 0.5
    small = grey_levels(stored / 10_000, header, "0.5,1")
    assert np.abs(small - stored / 10_000 * 255).max() <= 0.5
    levels = grey_levels(stored, header, "percentile")
    assert ((levels == 0).mean(), (levels == 255).mean()) == pytest.approx((0.005, 0.005), abs=5e-3)


def test_floats_and_wide_integers_are_transformed_one_by_one() -> None:
    """A dose in 32 bits and a float image have too many values for a table."""
    wide = np.array([[0, 2**31], [2**30, 2**31 - 1]], dtype=np.uint32)
    assert grey_levels(wide, dataset_of(wide, bits=32)).tolist() == [[0, 255], [128, 255]]
    floats = np.array([[-1.0, 3.0], [1.0, 2.0]])
    assert grey_levels(floats, dataset_of(wide, bits=32)).tolist() == [[0, 255], [128, 191]]


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"WindowCenter": 40, "WindowWidth": 0}, "the width 0; choose one with --window"),
        ({"WindowCenter": 40, "WindowWidth": -5}, "the width -5"),
        ({"WindowCenter": 4, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "unknown function"),
        ({"VOILUTSequence": [lookup(np.array([]), first=0, bits=8)]}, "lookup table"),
    ],
)
def test_an_invalid_transform_is_refused(elements: dict[str, Any], reason: str) -> None:
    """The reason says what is wrong."""
    stored = noise(0)
    with pytest.raises(UnreadableImage, match=reason):
        grey_levels(stored, dataset_of(stored, **elements))


def test_values_that_are_not_finite_are_refused() -> None:
    """They have no brightness."""
    stored = np.array([[1.0, np.nan]])
    with pytest.raises(UnreadableImage, match="not finite"):
        grey_levels(stored, dataset_of(noise(0)))
