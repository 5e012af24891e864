"""List medical images: patients as groups, each frame of a file, names that identify nobody."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from headstart.data.formats import is_dicom_file, is_image_file, is_table
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.medical.files import is_nifti
from headstart.data.medical.groups import MedicalGroups
from headstart.data.medical.headers import Header, read_headers
from headstart.data.medical.identity import Identity
from headstart.data.medical.volumes import Reading, Volume, unpack_volume
from headstart.data.paths import list_names, walk_files
from headstart.errors import OptionError, UnreadableImage

_THREADS = 4
_DIGITS = 16
_UNKNOWN = "its row in the table means no file, or several"


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
        DataError: There are DICOM files, and pydicom is not installed.
        OptionError: `reading` is given, and there are no medical images.
    """
    paths = dict.fromkeys(entry.path for entry in source.entries if not entry.rejected)
    dicom = [path for path in paths if is_dicom_file(Path(path))]
    if not dicom and not any(is_nifti(Path(path)) for path in paths):
        if reading is not None and required:
            raise OptionError(
                f"--window and --frames are for medical images, and '{source.name}' has no DICOM "
                "or NIfTI files. Leave them out."
            )
        return source
    found = zip(dicom, read_headers(source.name, list(map(Path, dicom))), strict=True)
    headers = {path: header for path, header in found if header is not None}
    damaged = frozenset(dicom) - frozenset(headers)
    listing = _Listing(staging, reading or Reading(), headers, damaged)
    entries = listing.unpacked(listing.groups.assign(source.entries))
    return replace(
        source,
        entries=entries,
        understood=(*source.understood, *listing.understood()),
        warnings=(*source.warnings, *listing.warnings()),
        guessed_group=None,
    )


def table_of_medical_images(folder: Path) -> Path | None:
    """Return the table of a folder of medical images: the only one in it; None if there is none."""
    tables = [file for file in sorted(folder.iterdir()) if file.is_file() and is_table(file)]
    if len(tables) != 1:
        return None
    images = [file for file in walk_files(folder, on_unreadable=_ignore) if is_image_file(file)]
    medical = sum(is_nifti(file) or is_dicom_file(file) for file in images)
    return tables[0] if medical and medical > len(images) / 2 else None


def _ignore(_: OSError) -> None:
    """Ignore a folder that cannot be read; reading the source will say so."""


@dataclass
class _Listing:
    """Lists the images of files, and notes what the user should know.

    Attributes:
        staging: Folder for the images of files that hold several.
        reading: How they are read.
        headers: The headers of DICOM files, by path.
        damaged: The paths of DICOM files whose headers cannot be read.
        groups: Which of them belong together.
        volumes: The number of images of each file that holds several.
        renamed: The number of files whose names would identify a patient.
        with_text: Names of files that say that text is burned into their pixels.
        unoriented: Names of volumes that do not say how the patient lies.
    """

    staging: Path
    reading: Reading
    headers: Mapping[str, Header]
    damaged: frozenset[str]
    groups: MedicalGroups = field(init=False)
    volumes: list[int] = field(default_factory=list)
    renamed: int = 0
    with_text: list[str] = field(default_factory=list)
    unoriented: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.groups = MedicalGroups(self.headers)
        self._everyone = Identity()
        for header in self.headers.values():
            self._everyone.add(header.identity)

    def unpacked(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries of all images; files are unpacked on several threads."""
        with ThreadPoolExecutor(_THREADS) as pool:
            volumes = list(pool.map(self._volume, entries))
        return [
            image
            for entry, volume in zip(entries, volumes, strict=True)
            for image in self._images_of(entry, volume)
        ]

    def _volume(self, entry: Entry) -> Volume | UnreadableImage | None:
        """Unpack a file that holds several images, or whose name identifies its patient."""
        header, file = self.headers.get(entry.path), Path(entry.path)
        several = is_nifti(file) or (header is not None and header.frames != 1)
        if entry.rejected or not (several or self._identifies(entry)):
            return None
        try:
            return unpack_volume(file, self.staging, self.reading)
        except UnreadableImage as error:
            return error

    def _identifies(self, entry: Entry) -> bool:
        """Return whether the name of an entry would identify a patient."""
        if header := self.headers.get(entry.path):
            return header.identity.occurs_in(entry.image)
        unknown = entry.rejected or entry.path in self.damaged
        return bool(unknown) and self._everyone.occurs_in(entry.image)

    def _images_of(self, entry: Entry, volume: Volume | UnreadableImage | None) -> Iterator[Entry]:
        """Yield the images of a file, without what would identify a patient."""
        header = self.headers.get(entry.path)
        if header or is_nifti(Path(entry.path)):
            window, frames = self.reading.window, self.reading.frames
            entry = replace(entry, window=window, frames=frames)
        entry = replace(entry, guessed_group=None)
        if self._identifies(entry):
            self.renamed += 1
            reason = _UNKNOWN if self._everyone.occurs_in(entry.rejected or "") else entry.rejected
            name = f"renamed file {self.renamed}"
            entry = replace(entry, image=name, path="", rejected=reason)
            if isinstance(volume, Volume):
                entry = replace(entry, image=f"{volume.key[:_DIGITS]}.dcm")
        if isinstance(volume, UnreadableImage):
            yield replace(entry, rejected=volume.reason)
            return
        listed = self._of_volume(entry, volume) if volume else [entry]
        if header and header.has_text:
            self.with_text.append(listed[0].image)
        yield from listed

    def _of_volume(self, entry: Entry, volume: Volume) -> list[Entry]:
        if not volume.oriented:
            self.unoriented.append(entry.image)
        group = entry.group or f"volume-{volume.key[:_DIGITS]}"
        if len(volume.images) == 1 and not volume.sliced:
            ((_, path),) = volume.images
            return [replace(entry, path=str(path), group=group)]
        self.volumes.append(len(volume.images))
        return [
            replace(entry, image=f"{entry.image}#{number}", path=str(path), group=group)
            for number, path in volume.images
        ]

    def understood(self) -> Iterator[str]:
        """Yield how the files were understood."""
        if self.groups.patients:
            yield f"Patients: {self.groups.patients:,}, each kept on one side of the split."
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
        if self.groups.same_patient:
            yield (
                "All DICOM files have the same patient ID, so that only images of the same study "
                "are kept together."
            )
        if several := self.groups.several_sites():
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
