"""List medical images: patients as groups, each frame of a file, names that identify nobody."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from headstart.data.formats import is_image_file
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.medical.files import is_dicom_file, is_nifti
from headstart.data.medical.headers import Header, header_or_none
from headstart.data.medical.patients import patient_group
from headstart.data.medical.volumes import Reading, unpack_volume
from headstart.data.paths import list_names, walk_files
from headstart.data.tables import is_table
from headstart.errors import OptionError, UnreadableImage

_THREADS = 4
_DIGITS = 16


def with_medical_images(
    source: Source, staging: Path, reading: Reading | None = None, *, required: bool = True
) -> Source:
    """Return a source in which medical images are listed one by one, with patients as groups.

    Other images stay as they are.

    Args:
        source: The source, with one entry for each file.
        staging: Folder for the images of files that hold several.
        reading: How medical images are read; None for the default.
        required: Whether `reading` must have an effect.

    Raises:
        OptionError: `reading` is given, and there are no medical images.
    """
    files = {entry.path: Path(entry.path) for entry in source.entries if not entry.rejected}
    dicom = {path: file for path, file in files.items() if is_dicom_file(file)}
    if not dicom and not any(map(is_nifti, files.values())):
        if reading is not None and required:
            raise OptionError(
                f"--window and --frames are for medical images, and '{source.name}' has no DICOM "
                "or NIfTI files. Leave them out."
            )
        return source
    with ThreadPoolExecutor(_THREADS) as pool:
        found = dict(zip(dicom, pool.map(header_or_none, dicom.values()), strict=True))
    headers = {path: header for path, header in found.items() if header is not None}
    listing = _Listing(staging, reading or Reading(), headers)
    entries = [listed for entry in source.entries for listed in listing.images_of(entry)]
    return replace(
        source,
        entries=entries,
        understood=(*source.understood, *listing.understood()),
        warnings=(*source.warnings, *listing.warnings()),
    )


def table_of_medical_images(folder: Path) -> Path | None:
    """Return the table of a folder of medical images: the only one in it; None if there is none."""
    tables = [file for file in sorted(folder.iterdir()) if file.is_file() and is_table(file)]
    if len(tables) != 1:
        return None
    images = [file for file in walk_files(folder, on_unreadable=_ignore) if is_image_file(file)]
    medical = bool(images) and all(is_nifti(file) or is_dicom_file(file) for file in images)
    return tables[0] if medical else None


def _ignore(_: OSError) -> None:
    """Ignore a folder that cannot be read; reading the source will say so."""


@dataclass
class _Listing:
    """Lists the images of files, and notes what the user should know.

    Attributes:
        staging: Folder for the images of files that hold several.
        reading: How they are read.
        headers: The headers of DICOM files, by path.
        volumes: The number of images of each file that holds several.
        renamed: The number of files whose names would identify a patient.
        with_text: Names of files that say that text is burned into their pixels.
        unoriented: Names of volumes that do not say how the patient lies.
    """

    staging: Path
    reading: Reading
    headers: Mapping[str, Header]
    volumes: list[int] = field(default_factory=list)
    renamed: int = 0
    with_text: list[str] = field(default_factory=list)
    unoriented: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._patients = {header.patient for header in self.headers.values() if header.patient}

    def images_of(self, entry: Entry) -> Iterator[Entry]:
        """Yield the images of a file."""
        header, file = self.headers.get(entry.path), Path(entry.path)
        is_volume = not entry.rejected and is_nifti(file)
        if header is None and not is_volume:
            yield entry
            return
        identifies = header is not None and header.identifies(entry.image)
        several = is_volume or (header is not None and header.frames != 1)
        window, frames = self.reading.window, self.reading.frames
        entry = replace(entry, group=self._group(entry, header), window=window, frames=frames)
        listed = self._unpacked(entry, identifies) if several or identifies else [entry]
        if header and header.has_text:
            self.with_text.append(listed[0].image)
        yield from listed

    def _unpacked(self, entry: Entry, identifies: bool) -> list[Entry]:
        """Return the images of a file, each written to a file of its own."""
        file = Path(entry.path)
        self.renamed += identifies
        if identifies:
            entry = replace(entry, image=f"renamed file {self.renamed}", path="")
        try:
            volume = unpack_volume(file, self.staging, self.reading)
        except UnreadableImage as error:
            return [replace(entry, rejected=error.reason)]
        if identifies:
            entry = replace(entry, image=f"{volume.key[:_DIGITS]}.dcm")
        if not volume.oriented:
            self.unoriented.append(entry.image)
        group = entry.group or f"volume-{volume.key[:_DIGITS]}"
        images = [
            replace(entry, image=f"{entry.image}#{number}", path=str(path), group=group)
            for number, path in volume.images
        ]
        if len(images) == 1 and not is_nifti(file):
            return [replace(images[0], image=entry.image)]
        self.volumes.append(len(images))
        return images

    def _group(self, entry: Entry, header: Header | None) -> str | None:
        """Return the group of a file: the user's own, or its patient, or else its study."""
        if entry.group is not None:
            return patient_group("", entry.group)
        if header is None:
            return None
        if header.patient and len(self._patients) > 1:
            return header.patient
        return patient_group("study", header.study) if header.study else None

    def understood(self) -> Iterator[str]:
        """Yield how the files were understood."""
        if len(self._patients) > 1:
            yield f"Patients: {len(self._patients):,}, each kept on one side of the split."
        if self.volumes:
            yield (
                f"Files with several images: {len(self.volumes):,}, with {sum(self.volumes):,} "
                "images, those of a file kept on one side of the split."
            )
        if self.renamed:
            yield (
                f"Files renamed, because their names would identify a patient: {self.renamed:,}."
            )

    def warnings(self) -> Iterator[str]:
        """Yield what may be a mistake or a risk."""
        if len(self._patients) == 1 and len(self.headers) > 1:
            yield (
                "All DICOM files have the same patient ID, so that only images of the same study "
                "are kept together."
            )
        sites: dict[str, set[str]] = defaultdict(set)
        for header in self.headers.values():
            if header.patient and header.site:
                sites[header.patient].add(header.site)
        if several := sum(len(found) > 1 for found in sites.values()):
            yield (
                f"Patient IDs that occur at several institutions: {several:,}. Each is taken for "
                "one patient."
            )
        if self.with_text:
            yield (
                "Images with text burned into their pixels, which may identify patients and which "
                f"a model may learn: {len(self.with_text):,} ({list_names(self.with_text)})."
            )
        if self.unoriented:
            yield (
                "Volumes that do not say how the patient lies, sliced along their last axis: "
                f"{len(self.unoriented):,} ({list_names(self.unoriented)})."
            )
