"""What the header of a DICOM file says about its patient, its study and its frames."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from headstart.data.medical.dicom import MedicalMissing, errors_without_values, read_elements_of
from headstart.data.medical.files import is_dicom_file
from headstart.data.medical.patients import patient_group
from headstart.data.paths import walk_files
from headstart.errors import UnreadableImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")
_OTHERS = (
    *("SOPInstanceUID", "StudyInstanceUID", "IssuerOfPatientID", "InstitutionName"),
    *("NumberOfFrames", "BurnedInAnnotation", "SpecificCharacterSet"),
)
# Shorter parts of names and numbers occur in other names of files by chance.
_SHORTEST_NAME, _SHORTEST_NUMBER = 3, 4


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        patient: The group of the patient's images; None without an ID. Not to be written.
        site: The institution; "" if the file does not say. Not to be written.
        study: StudyInstanceUID; "" without one.
        image: SOPInstanceUID; "" without one.
        frames: The number of frames.
        has_text: Whether it says that text is burned into its pixels.
        identifying: Words that would identify the patient, in lower case. Not to be written.
    """

    patient: str | None
    site: str
    study: str
    image: str
    frames: int
    has_text: bool
    identifying: frozenset[str]

    def identifies(self, name: str) -> bool:
        """Return whether the name of a file has one of the identifying words."""
        return not self.identifying.isdisjoint(_words(name)) or any(
            word in name.casefold() for word in self.identifying if len(word) > _SHORTEST_NUMBER
        )


def read_header(file: Path) -> Header | None:
    """Read the header of a DICOM file; return None if it is damaged.

    Raises:
        MedicalMissing: pydicom is not installed.
    """
    try:
        with errors_without_values():
            return _header(read_elements_of(file, _tags()))
    except UnreadableImage:
        return None  # Decoding it will say why.


@dataclass(frozen=True)
class DicomIndex:
    """The DICOM files of a folder, by what a table may call them.

    Attributes:
        by_name: Files by SOPInstanceUID, by name, and by name without suffix.
        by_study: Files by StudyInstanceUID.
    """

    by_name: Mapping[str, list[Path]]
    by_study: Mapping[str, list[Path]]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the headers of all DICOM files below a folder.

        Without pydicom, files are known by their names only.
        """
        by_name, by_study = defaultdict[str, list[Path]](list), defaultdict[str, list[Path]](list)
        for file in walk_files(folder, on_unreadable=lambda _: None):
            if not is_dicom_file(file):
                continue
            header = header_or_none(file)
            names = {file.name, file.stem, header.image if header else ""} - {""}
            for name in names:
                by_name[name].append(file)
            if header and header.study:
                by_study[header.study].append(file)
        return cls(by_name, by_study)

    def find(self, name: str) -> tuple[bool, list[Path]]:
        """Return whether a name is that of a study, and the files that it means."""
        if files := self.by_name.get(name):
            return False, files
        return True, self.by_study.get(name, [])


def header_or_none(file: Path) -> Header | None:
    """Do as `read_header`, but return None if pydicom is not installed, too."""
    try:
        return read_header(file)
    except MedicalMissing:
        return None


def _header(dataset: "Dataset") -> Header:
    number = _text(dataset, "PatientID")
    issuer = _text(dataset, "IssuerOfPatientID")
    frames = _text(dataset, "NumberOfFrames")
    return Header(
        patient=patient_group(issuer, number) if number else None,
        site=_text(dataset, "InstitutionName").casefold(),
        study=_text(dataset, "StudyInstanceUID"),
        image=_text(dataset, "SOPInstanceUID"),
        frames=int(frames) if frames.isdecimal() else 1,
        has_text=_text(dataset, "BurnedInAnnotation").upper() == "YES",
        identifying=frozenset(_identifying(dataset)),
    )


def _identifying(dataset: "Dataset") -> Iterator[str]:
    for name in _NAMES:
        for word in _words(_text(dataset, name)):
            if len(word) >= _SHORTEST_NAME:
                yield word
    for name in _NUMBERS:
        for value in (_text(dataset, name), *_words(_text(dataset, name))):
            if len(value) >= _SHORTEST_NUMBER:
                yield value.casefold()


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


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
