"""What is written names patients by hashes with a secret key."""

from pathlib import Path

import platformdirs
import pyarrow as pa
import pytest

from headstart.data.manifest import SCHEMA
from headstart.data.medical.patients import patient_group
from headstart.data.medical.pseudonyms import patient_key, with_pseudonyms
from headstart.errors import OptionError, StoreError

GROUPS = [
    patient_group("", "id1"),
    None,
    "family 1",
    patient_group("", "id2"),
    patient_group("", "ID1 "),
]


def manifest(groups: list[str | None] = GROUPS) -> pa.Table:
    """Return a manifest with these groups."""
    return pa.Table.from_pylist([{"group": group} for group in groups], schema=SCHEMA)


def test_only_patients_are_renamed_and_by_the_key() -> None:
    """The same patient has the same name with a key, and another one with another key."""
    first, second = (
        with_pseudonyms(manifest(), key)["group"].to_pylist() for key in (b"1" * 32, b"2" * 32)
    )
    assert first[1:3] == [None, "family 1"]
    assert first[0] == first[4] != first[3]
    assert not set(first) & (set(second) | set(GROUPS)) - {None, "family 1"}


def test_the_key_is_created_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Later runs name patients alike."""
    monkeypatch.setattr(platformdirs, "user_config_path", lambda name: tmp_path / name)
    key = patient_key(manifest())
    assert key == patient_key(manifest())
    assert key is not None
    assert len(key) >= 32
    assert patient_key(manifest(["family 1"])) is None


def test_a_key_of_ones_own(tmp_path: Path) -> None:
    """It must be readable and long enough, and there must be patients."""
    file = tmp_path / "key"
    with pytest.raises(OptionError, match="cannot be read: No such file"):
        patient_key(manifest(), file)
    file.write_text("short")
    with pytest.raises(OptionError, match="has 5 bytes and needs at least 32"):
        patient_key(manifest(), file)
    file.write_text("x" * 40 + "\n")
    assert patient_key(manifest(), file) == b"x" * 40
    with pytest.raises(OptionError, match="there are none"):
        patient_key(manifest(["family 1"]), file)


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says which option helps."""
    (tmp_path / "headstart").write_text("a file")
    monkeypatch.setattr(platformdirs, "user_config_path", lambda name: tmp_path / name)
    with pytest.raises(StoreError, match="--patient-key"):
        patient_key(manifest())
