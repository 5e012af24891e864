"""What the header of a DICOM file says about its patient, its study and its frames."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from headstart.data.formats import is_dicom_file
from headstart.data.medical.elements import (
    INSTALL,
    MedicalMissing,
    errors_without_values,
    read_elements_of,
    require_pydicom,
)
from headstart.data.medical.identity import Identity
from headstart.data.paths import walk_files
from headstart.errors import DataError, UnreadableImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_THREADS = 4
_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber")
_OTHERS = (
    *("SOPInstanceUID", "StudyInstanceUID", "IssuerOfPatientID", "InstitutionName"),
    *("NumberOfFrames", "BurnedInAnnotation", "PatientBirthDate", "SpecificCharacterSet"),
)


@dataclass(frozen=True)
class Header:
    """What a header says, none of which may be written except the number of frames.

    Attributes:
        patient: The patient ID; "" without one.
        issuer: Who issued it; "" if the file does not say.
        site: The institution; "" if the file does not say.
        study: StudyInstanceUID; "" without one.
        image: SOPInstanceUID; "" without one.
        frames: The number of frames.
        has_text: Whether it says that text is burned into its pixels.
        identity: What would identify the patient in the name of a file.
    """

    patient: str
    issuer: str
    site: str
    study: str
    image: str
    frames: int
    has_text: bool
    identity: Identity


def read_header(file: Path) -> Header | None:
    """Read the header of a DICOM file; return None if it is damaged.

    Raises:
        MedicalMissing: pydicom is not installed.
    """
    require_pydicom()
    try:
        with errors_without_values():
            return _header(read_elements_of(file, _tags()))
    except UnreadableImage:
        return None  # Decoding it will say why.


def read_headers(data: str, files: Sequence[Path]) -> list[Header | None]:
    """Read the headers of files on several threads; None for those that are damaged.

    Raises:
        DataError: pydicom is not installed.
    """
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(read_header, files))
    except MedicalMissing:
        raise DataError(
            f"'{data}' has {len(files):,} DICOM files. To read them, {INSTALL}"
        ) from None


@dataclass(frozen=True)
class DicomIndex:
    """The DICOM files of a folder, by what a table may call them.

    Attributes:
        by_image: Files by SOPInstanceUID.
        by_study: Files by StudyInstanceUID.
        by_name: Files by name, and by name without suffix.
    """

    by_image: Mapping[str, list[Path]]
    by_study: Mapping[str, list[Path]]
    by_name: Mapping[str, list[Path]]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the headers of all DICOM files below a folder.

        Raises:
            DataError: pydicom is not installed.
        """
        found = walk_files(folder, on_unreadable=lambda _: None)
        files = [file for file in found if is_dicom_file(file)]
        by_image, by_study, by_name = (defaultdict[str, list[Path]](list) for _ in range(3))
        for file, header in zip(files, read_headers(str(folder), files), strict=True):
            if header and header.image:
                by_image[header.image].append(file)
            if header and header.study:
                by_study[header.study].append(file)
            by_name[file.name].append(file)
            if file.suffix and not file.suffix[1:].isdigit():  # Not the last part of a UID.
                by_name[file.stem].append(file)
        return cls(by_image, by_study, by_name)

    def find(self, name: str) -> tuple[bool, list[Path]]:
        """Return whether a name is that of a study, and the files that it means."""
        if name in self.by_image:
            return False, self.by_image[name]
        if name in self.by_study:
            return True, self.by_study[name]
        return False, self.by_name.get(name, [])


def _header(dataset: "Dataset") -> Header:
    frames = _text(dataset, "NumberOfFrames")
    names, numbers = ([_text(dataset, one) for one in group] for group in (_NAMES, _NUMBERS))
    return Header(
        patient=_text(dataset, "PatientID").casefold(),
        issuer=_text(dataset, "IssuerOfPatientID").casefold(),
        site=_text(dataset, "InstitutionName").casefold(),
        study=_text(dataset, "StudyInstanceUID"),
        image=_text(dataset, "SOPInstanceUID"),
        frames=int(frames) if frames.isdecimal() else 1,
        has_text=_text(dataset, "BurnedInAnnotation").upper() == "YES",
        identity=Identity.of(names, numbers, _text(dataset, "PatientBirthDate")),
    )


def _text(dataset: "Dataset", keyword: str) -> str:
    """Return the value of an element as text; "" if it is missing or cannot be read."""
    try:
        value = dataset.get(keyword)
        return "" if value is None else str(value).strip()
    except Exception:  # pydicom converts values when they are read.
        return ""


@cache
def _tags() -> list[int]:
    from pydicom.datadict import tag_for_keyword

    return [tag for name in (*_NAMES, *_NUMBERS, *_OTHERS) if (tag := tag_for_keyword(name))]
