"""Files that hold several images: NIfTI volumes, and DICOM files with several frames.

Each image is written to the staging folder once, without anything else of its file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from headstart.data.contract import Frames, PixelContract
from headstart.data.decoding import read_image
from headstart.data.formats import is_dicom_file
from headstart.data.medical.dicom import DicomImages
from headstart.data.medical.elements import INSTALL, MedicalMissing
from headstart.data.medical.files import is_nifti
from headstart.data.medical.headers import read_header
from headstart.data.medical.nifti import read_nifti
from headstart.data.staging import make_staging
from headstart.errors import StoreError, UnreadableImage
from headstart.files import atomic_create, file_sha256

# Increase it whenever an image may be written with other pixels.
_VERSION = 1
_UNORIENTED = "unoriented"


@dataclass(frozen=True)
class Reading:
    """How medical images are read.

    Attributes:
        window: The range of grey values that is shown: "first", "percentile" or "CENTER,WIDTH".
        frames: Whether each frame or slice is an image, or only the middle one.
    """

    window: str = "first"
    frames: Frames = "each"


def reading_of(contract: PixelContract) -> Reading:
    """Return how a model reads medical images."""
    return Reading(contract.window, contract.frames)


@dataclass(frozen=True)
class Volume:
    """The images of a file.

    Attributes:
        key: Hash of the file's content.
        images: Number of each image within the file, from 1, and the path of its file.
        sliced: Whether they are slices of a NIfTI volume.
        oriented: See `nifti.Slices`.
    """

    key: str
    images: tuple[tuple[int, Path], ...]
    sliced: bool
    oriented: bool = True


def is_volume(file: Path) -> bool:
    """Return whether a file holds several images, by its suffix or its header."""
    if is_nifti(file):
        return True
    if not is_dicom_file(file):
        return False
    try:
        header = read_header(file)
    except MedicalMissing:
        return False  # Decoding it will say so.
    return header is not None and header.frames > 1


def unpack_volume(file: Path, staging: Path, reading: Reading) -> Volume:
    """Write each image of a file as a PNG, unless that was done before.

    Raises:
        UnreadableImage: The file cannot be read, or none of its images has any contrast.
        StoreError: The images cannot be written.
    """
    try:
        key = file_sha256(file)
    except OSError as error:
        raise UnreadableImage(str(file), error.strerror or "it cannot be read") from None
    window = reading.window.replace(",", "x")
    folder = make_staging(staging) / f"volume-{key}-{window}-{reading.frames}-{_VERSION}"
    if not folder.is_dir():
        try:
            with atomic_create(folder) as partial:
                partial.mkdir(parents=True)
                _write(file, partial, reading)
        except MedicalMissing:
            raise UnreadableImage(
                str(file), f"it is a medical image; to read it, {INSTALL}"
            ) from None
        except MemoryError:
            raise UnreadableImage(str(file), "there is not enough memory to decode it") from None
        except OSError as error:  # Of writing; those of reading are `UnreadableImage`.
            raise StoreError(
                f"Images cannot be written to '{folder}': {error.strerror}. Make room, or choose "
                "another cache folder with --cache."
            ) from None
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise UnreadableImage(str(file), "its images are empty: all values are equal")
    return Volume(
        key,
        tuple((int(path.stem), path) for path in paths),
        is_nifti(file),
        oriented=not (folder / _UNORIENTED).exists(),
    )


def _write(file: Path, folder: Path, reading: Reading) -> None:
    found = _slices(file, folder, reading) if is_nifti(file) else _frames(file, reading)
    for number, image in found:
        image.save(folder / f"{number + 1:06d}.png", compress_level=1)


def _slices(file: Path, folder: Path, reading: Reading) -> Iterator[tuple[int, Image.Image]]:
    """Yield the slices of a NIfTI volume that are not empty, or the one nearest to the middle."""
    slices = read_nifti(file, reading.window)
    if not slices.oriented:
        (folder / _UNORIENTED).touch()
    numbers = sorted(range(len(slices)), key=lambda number: abs(number - len(slices) // 2))
    for number in numbers:
        levels = slices.levels(number)
        if levels is not None:
            yield number, Image.fromarray(levels)
            if reading.frames == "middle":
                return


def _frames(file: Path, reading: Reading) -> Iterator[tuple[int, Image.Image]]:
    """Yield the frames of a DICOM file, or the middle one."""
    images = DicomImages.open(read_image(str(file)))
    numbers = [images.count // 2] if reading.frames == "middle" else range(images.count)
    for number in numbers:
        yield number, images.decode(number, reading.window)
