"""Name the patients of a manifest by hashes with a secret key, before it is written."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

import platformdirs
import pyarrow as pa

from headstart.data.manifest import with_column
from headstart.data.medical.patients import is_patient
from headstart.errors import OptionError, StoreError

_WRITTEN = "patient-"
_KEY_FILE, _KEY_BYTES = "patient.key", 32
_DIGITS = 16


def patient_key(manifest: pa.Table, file: Path | None = None) -> bytes | None:
    """Return the secret key for the patients of a manifest; None if it has no patients.

    Args:
        manifest: The manifest in memory.
        file: A file with a key of at least 32 bytes. By default, it is created once in the user's
            configuration folder, where only the user can read it.

    Raises:
        OptionError: The file cannot be read or is too short, or there are no patients.
        StoreError: The default file cannot be created.
    """
    if not any(map(is_patient, manifest["group"].to_pylist())):
        if file is not None:
            raise OptionError(
                "--patient-key is for the patient IDs of DICOM files, and there are none. Leave it "
                "out."
            )
        return None
    return _read(file) if file else _own_key()


def with_pseudonyms(manifest: pa.Table, key: bytes) -> pa.Table:
    """Return a manifest whose patients are named by hashes with a secret key."""
    groups = [_pseudonym(group, key) for group in manifest["group"].to_pylist()]
    return with_column(manifest, "group", groups)


def _pseudonym(group: str | None, key: bytes) -> str | None:
    if group is None or not is_patient(group):
        return group
    digest = hmac.new(key, group.encode(), hashlib.sha256).hexdigest()
    return _WRITTEN + digest[:_DIGITS]


def _read(file: Path) -> bytes:
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise OptionError(f"--patient-key '{file}' cannot be read: {error.strerror}.") from None
    if len(key) < _KEY_BYTES:
        raise OptionError(
            f"The patient key '{file}' has {len(key)} bytes and needs at least {_KEY_BYTES}. "
            "Create one, for example with: openssl rand -hex 32"
        )
    return key


def _own_key() -> bytes:
    """Return the key in the user's configuration folder, which is created if there is none."""
    file = platformdirs.user_config_path("headstart") / _KEY_FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as opened:
                opened.write(secrets.token_hex(_KEY_BYTES))
    except OSError as error:
        raise StoreError(
            f"The key for patient IDs, '{file}', cannot be created: {error.strerror}. Pass "
            "--patient-key with a file of your own."
        ) from None
    return _read(file)
