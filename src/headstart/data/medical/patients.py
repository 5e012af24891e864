"""Patients as groups, without their identity.

In memory, a patient is a hash of the patient ID, so that a split depends on nothing else. Such a
hash could be reversed by trying all IDs, so what is written is a hash with a secret key, see
`pseudonyms`.
"""

import hashlib

_PREFIX = "patient:"


def patient_group(*identity: str) -> str:
    """Return the group of a patient's images, which must not be written as it is."""
    text = "\0".join(value.strip().casefold() for value in identity)
    return _PREFIX + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def is_patient(group: str | None) -> bool:
    """Return whether a group is a patient, as in memory."""
    return group is not None and group.startswith(_PREFIX)
