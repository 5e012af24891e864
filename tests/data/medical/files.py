"""DICOM and NIfTI files that are made for the tests."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"
WHEEL = Path(pydicom.data.__file__).parent / "test_files"
"""The DICOM files in pydicom's wheel."""


def dataset_of(pixels: NDArray[Any], *, bits: int = 12, **elements: object) -> Dataset:
    """Make the elements of a grey image, of one frame or of several.

    Args:
        pixels: Shape (height, width) or (frames, height, width), signed or unsigned.
        bits: The number of bits stored.
        elements: More elements by their keywords; those that are None are left out.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DIGITAL_XRAY
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.SOPClassUID, dataset.StudyInstanceUID = DIGITAL_XRAY, generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def dicom_of(pixels: NDArray[Any], *, bits: int = 12, **elements: object) -> bytes:
    """Make the content of a DICOM file, see `dataset_of`."""
    return written(dataset_of(pixels, bits=bits, **elements))


def written(dataset: Dataset) -> bytes:
    """Return the content of a DICOM file with these elements."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lookup(entries: NDArray[Any], *, first: int, bits: int) -> Dataset:
    """Make an item of a sequence of lookup tables."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def noise(seed: int, shape: tuple[int, ...] = (32, 32), top: int = 4095) -> NDArray[np.uint16]:
    """Return random values from 0 to a maximum."""
    return np.random.default_rng(seed).integers(0, top + 1, shape).astype(np.uint16)
