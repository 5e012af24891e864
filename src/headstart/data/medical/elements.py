"""Read elements of DICOM files, without showing any of them."""

import io
import logging
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.data.medical.files import DICOM_HEAD
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

INSTALL = "run pip install 'headstart[medical]'"

_DEFLATED = b"1.2.840.10008.1.2.1.99"
# The group of the transfer syntax, and the types whose elements have a length of four bytes.
_META_GROUP = b"\x02\x00"
_LONG_LENGTHS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
# As much of a file is read to find its transfer syntax.
_HEAD = 2**16
# A deflated file may become this many times larger, but no larger than an image may be.
_BYTES_OF_PIXEL = 8


class MedicalMissing(Exception):
    """The packages that read medical images are not installed."""


def require_pydicom() -> None:
    """Check that pydicom is installed.

    Raises:
        MedicalMissing: It is not.
    """
    if find_spec("pydicom") is None:
        raise MedicalMissing


def read_elements(data: bytes, tags: list[int], limits: DecodeLimits) -> "Dataset":
    """Read some elements of a file.

    Raises:
        UnreadableImage: It is not a DICOM file, or is larger than an image may be when inflated.
    """
    import pydicom

    _check_inflated_size(data, limits)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=tags)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        by_encoding = {
            (True, True): pydicom.uid.ImplicitVRLittleEndian,
            (False, True): pydicom.uid.ExplicitVRLittleEndian,
            (False, False): pydicom.uid.ExplicitVRBigEndian,
        }
        dataset.file_meta.TransferSyntaxUID = by_encoding[bool(implicit), bool(little)]
    return dataset


def read_elements_of(file: Path, tags: list[int]) -> "Dataset":
    """Read some elements of a file, but not its pixels.

    Raises:
        UnreadableImage: See `read_elements`.
    """
    import pydicom

    with file.open("rb") as opened:
        head = opened.read(_HEAD)
        if _DEFLATED in head[: _end_of_meta(head)]:  # The whole file has to be inflated.
            opened.seek(0)
            return read_elements(opened.read(), tags, DecodeLimits())
        opened.seek(0)
        return pydicom.dcmread(opened, stop_before_pixels=True, force=True, specific_tags=tags)


@contextmanager
def errors_without_values() -> Iterator[None]:
    """Turn errors of pydicom into `UnreadableImage`, and silence its warnings.

    Neither is shown, as they may quote elements that identify a patient.
    """
    with silenced():
        try:
            yield
        except (UnreadableImage, MedicalMissing, MemoryError):
            raise
        except RecursionError:
            raise UnreadableImage("image", "its elements are nested too deeply") from None
        except Exception as error:  # pydicom raises nearly anything.
            kind = type(error).__name__
            raise UnreadableImage("image", f"it is a damaged DICOM file ({kind})") from None


@contextmanager
def silenced() -> Iterator[None]:
    """Drop what pydicom and nibabel log in this thread, and their warnings."""
    with _SILENCE, quiet_libraries():
        yield


class _Silence(logging.Filter):
    """Drops what is logged in threads that are reading files."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = threading.local()
        for name in ("pydicom", "nibabel"):
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self._depth, "value", 0)

    def __enter__(self) -> None:
        self._depth.value = getattr(self._depth, "value", 0) + 1

    def __exit__(self, *_: object) -> None:
        self._depth.value -= 1


_SILENCE = _Silence()


def _check_inflated_size(data: bytes, limits: DecodeLimits) -> None:
    """Check that a deflated file is not a bomb."""
    start = _end_of_meta(data)
    if _DEFLATED not in data[:start]:
        return
    most = max(limits.max_bytes, _BYTES_OF_PIXEL * limits.max_pixels)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[start:]
    while rest and size <= most:
        size += len(inflater.decompress(rest, 2**20))
        rest = inflater.unconsumed_tail
    if size > most:
        raise UnreadableImage("image", f"it inflates to more than the limit of {most:,} bytes")


def _end_of_meta(data: bytes) -> int:
    """Return the end of the elements of group 2, which are never deflated."""
    place = DICOM_HEAD
    while data[place : place + 2] == _META_GROUP:
        if data[place + 4 : place + 6] in _LONG_LENGTHS:
            place += 12 + int.from_bytes(data[place + 8 : place + 12], "little")
        else:
            place += 8 + int.from_bytes(data[place + 6 : place + 8], "little")
    return min(place, len(data))
