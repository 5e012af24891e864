"""Which files are medical images."""

from pathlib import Path

DICOM_SUFFIXES = frozenset((".dcm", ".dicom", ".dic"))
"""The suffixes of DICOM files, which often have none."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")

DICOM_HEAD = 132
"""The number of bytes by which a DICOM file is recognised."""

_MAGIC = b"DICM"
# How files without a preamble begin: with the length of a group, in little-endian order.
_BARE = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")


def is_dicom(data: bytes) -> bool:
    """Return whether a file, or its first 132 bytes, are those of a DICOM file."""
    return data[DICOM_HEAD - len(_MAGIC) : DICOM_HEAD] == _MAGIC or data.startswith(_BARE)


def is_dicom_file(file: Path) -> bool:
    """Return whether a file is DICOM, by its suffix or, without one, by its first bytes."""
    suffix = file.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if suffix and not suffix[1:].isdigit():  # Files are often named by UIDs, 1.2.840.113.
        return False
    try:
        if not file.is_file():  # Opening a pipe would wait for ever.
            return False
        with file.open("rb") as opened:
            return is_dicom(opened.read(DICOM_HEAD))
    except OSError:
        return False


def is_nifti(file: Path) -> bool:
    """Return whether a file has the suffix of a NIfTI volume."""
    return file.name.lower().endswith(NIFTI_SUFFIXES)
