"""Which files are medical images."""

from pathlib import Path

DICOM_SUFFIXES = frozenset((".dcm", ".dicom", ".dic"))
"""The suffixes of DICOM files, which often have none."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")

DICOM_HEAD = 132
"""The number of bytes by which a DICOM file is recognised."""

_MAGIC = b"DICM"
# How files without a preamble begin, in little-endian order: with the first element of group 2, or
# with one of the first elements of group 8.
_FIRST, _GROUP, _LAST_ELEMENT = b"\x02\x00\x00\x00", b"\x08\x00", 0x20


def is_dicom(data: bytes) -> bool:
    """Return whether a file, or its first 132 bytes, are those of a DICOM file."""
    if data[DICOM_HEAD - len(_MAGIC) : DICOM_HEAD] == _MAGIC or data.startswith(_FIRST):
        return True
    return data.startswith(_GROUP) and len(data) > 8 and data[2] <= _LAST_ELEMENT and data[3] == 0


def is_medical_name(name: str) -> bool:
    """Return whether a file has the suffix of a DICOM file or of a NIfTI volume."""
    return name.lower().endswith((*DICOM_SUFFIXES, *NIFTI_SUFFIXES))


def is_nifti(file: Path) -> bool:
    """Return whether a file has the suffix of a NIfTI volume."""
    return file.name.lower().endswith(NIFTI_SUFFIXES)
