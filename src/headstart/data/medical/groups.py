"""Which images belong together: those of a patient, of a study, and of the user's own groups."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headstart.data.manifest import Entry
from headstart.data.medical.headers import Header
from headstart.data.medical.patients import patient_group


@dataclass
class MedicalGroups:
    """Groups of images, which are hashed before anything is written.

    Attributes:
        headers: The headers of DICOM files, by path.
        patients: The number of different patients; 0 if they are not used as groups.
    """

    headers: Mapping[str, Header]
    patients: int = field(init=False)

    def __post_init__(self) -> None:
        issuers: dict[str, set[str]] = defaultdict(set)
        for header in self.headers.values():
            if header.patient:
                issuers[header.patient].add(header.issuer)
        # Where a file of an ID does not name the issuer, it may be any of them.
        self._issued = {name for name, found in issuers.items() if "" not in found}
        found = {self._patient(one) for one in self.headers.values() if one.patient}
        self.patients = len(found) if len(found) > 1 else 0
        self.same_patient = len(found) == 1 and len(self.headers) > 1
        self._parents: dict[str, str] = {}

    def assign(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries with their groups.

        An entry is in the group of its patient, or else of its study, and in the user's own group,
        and groups that share an entry are one.
        """
        keys = [list(self._keys(entry)) for entry in entries]
        for first, *others in filter(None, keys):
            for other in others:
                self._parents[self._root(other)] = self._root(first)
        return [
            replace(entry, group=patient_group(self._root(own[0]))) if own else entry
            for entry, own in zip(entries, keys, strict=True)
        ]

    def several_sites(self) -> int:
        """Return the number of patients with images of several institutions."""
        sites: dict[str, set[str]] = defaultdict(set)
        for header in self.headers.values():
            if header.patient and header.site:
                sites[self._patient(header)].add(header.site)
        return sum(len(found) > 1 for found in sites.values())

    def _keys(self, entry: Entry) -> Iterator[str]:
        header = self.headers.get(entry.path)
        if header and header.patient and self.patients:
            yield self._patient(header)
        elif header and header.study:
            yield f"study\0{header.study}"
        if entry.group is not None:
            yield f"group\0{entry.group}"

    def _patient(self, header: Header) -> str:
        issuer = header.issuer if header.patient in self._issued else ""
        return f"patient\0{issuer}\0{header.patient}"

    def _root(self, key: str) -> str:
        while (parent := self._parents.get(key, key)) != key:
            key = parent
        return key
