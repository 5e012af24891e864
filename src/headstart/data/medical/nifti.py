"""Read the axial slices of NIfTI volumes with nibabel."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import SupportsFloat

import numpy as np

from headstart.arrays import Pixels, Stored
from headstart.data.medical.elements import MedicalMissing, silenced
from headstart.data.medical.windows import FIRST, PERCENTILE, PERCENTILES, Window
from headstart.errors import UnreadableImage

_MAX_VOXELS = 2**29
# Percentiles are of about as many voxels, evenly spread.
_SAMPLED = 2**22


@dataclass(frozen=True)
class Slices:
    """The axial slices of a volume.

    Attributes:
        values: Shape (slices, height, width), from the feet to the head, with the front of the
            patient at the top and the right of the patient on the left.
        window: The range of values that is shown.
        oriented: Whether the file says how the patient lies; otherwise the order of its axes is
            taken for the usual one.
    """

    values: Stored
    window: Window
    oriented: bool

    def __len__(self) -> int:
        return len(self.values)

    def levels(self, number: int) -> Pixels | None:
        """Return the levels of a slice, counted from 0, 0 to 255; None if it is empty."""
        brightness = self.window.apply(self.values[number].astype(float))
        levels: Pixels = np.rint(brightness * 255).astype(np.uint8)
        return levels if levels.min() != levels.max() else None


def read_nifti(file: Path, window: str = FIRST) -> Slices:
    """Read a volume.

    Args:
        file: A NIfTI file, compressed or not.
        window: "first" for the display range that the file gives, or else "percentile", which is
            the range from the 0.5th to the 99.5th percentile of the volume; or "CENTER,WIDTH".

    Raises:
        UnreadableImage: It is damaged, is not a volume, or has values that are not finite.
        MedicalMissing: nibabel is not installed.
    """
    try:
        import nibabel
    except ImportError:
        raise MedicalMissing from None
    try:
        with silenced():
            return _read(nibabel, file, window)
    except (UnreadableImage, MemoryError):
        raise
    except (zlib.error, EOFError):
        raise UnreadableImage(str(file), "its compressed data is damaged or incomplete") from None
    except Exception as error:  # nibabel raises nearly anything on a damaged file.
        raise UnreadableImage(
            str(file), f"it is a damaged NIfTI file ({type(error).__name__})"
        ) from None


def _read(nibabel: ModuleType, file: Path, window: str) -> Slices:
    image = nibabel.load(file)
    shape = tuple(int(size) for size in image.shape)
    if len(shape) > 3 and set(shape[3:]) == {1}:
        image, shape = image.slicer[(..., *(0 for _ in shape[3:]))], shape[:3]
    if len(shape) == 2:
        image, shape = (
            nibabel.Nifti1Image(
                np.asanyarray(image.dataobj)[:, :, np.newaxis], image.affine, image.header
            ),
            (*shape, 1),
        )
    if len(shape) != 3:
        reason = f"it has {len(shape)} dimensions ({' x '.join(map(str, shape))})"
        raise UnreadableImage(str(file), f"{reason}; save each volume as a file of its own")
    if not 0 < np.prod(shape, dtype=float) <= _MAX_VOXELS:
        raise UnreadableImage(
            str(file),
            f"it has {np.prod(shape, dtype=float):,.0f} voxels; the limit is {_MAX_VOXELS:,}",
        )
    if image.get_data_dtype().names or image.get_data_dtype().kind == "c":
        raise UnreadableImage(str(file), "its voxels are colours or complex numbers")
    oriented = bool(image.header["qform_code"] or image.header["sform_code"])
    canonical = nibabel.as_closest_canonical(image) if oriented else image
    values = np.asarray(canonical.dataobj, dtype=np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImage(str(file), "it has values that are not finite")
    # From right, front and top as the axes of the volume to rows and columns of slices.
    slices = values[::-1, ::-1, :].transpose(2, 1, 0)
    return Slices(slices, _window(image.header, values, window), oriented)


def _window(header: Mapping[str, SupportsFloat], values: Stored, name: str) -> Window:
    if name not in (FIRST, PERCENTILE):
        return Window.parse(name)
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if name == FIRST and np.isfinite([low, high]).all() and low < high:
        return Window.between(low, high)
    step = max(1, values.size // _SAMPLED)
    return Window.between(*np.percentile(values.ravel()[::step], PERCENTILES))
