"""Nothing that identifies a patient is in any output of a training on DICOM files."""

import json
import os
import re
import stat
import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydicom.datadict import DicomDictionary

from headstart.cli import main
from headstart.tuning import held_out
from tests.conftest import TINY
from tests.data.medical.files import dataset_of, noise, written
from tests.processes import start

TEXT = {"PN", "LO", "SH", "LT", "ST", "UT", "UC"}
BIRTH_DATE = "19010203"
# Words as they are planted, and other forms of them.
PLANTED = re.compile(rb"zq\d{4}x|okapi|" + BIRTH_DATE.encode(), re.IGNORECASE)


def planted(number: int) -> bytes:
    """Make a file with a unique word in every element that holds text."""
    bright = 1500 * (number % 2)
    dataset = dataset_of(noise(number, top=2500) + bright, WindowCenter=2000, WindowWidth=4000)
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        if kind in TEXT and keyword and 0x0008 <= tag >> 16 < 0x5000:
            setattr(dataset, keyword, f"Zq{tag % 10_000:04d}x")
    dataset.PatientName, dataset.PatientBirthDate = "Okapi^Zq0001x", BIRTH_DATE
    dataset.PatientID = f"Zq{number:04d}x"
    return written(dataset)


def run_commands(commands: list[str], configuration: str) -> None:
    """Run commands. A function of the module, for another process."""
    os.environ["XDG_CONFIG_HOME"] = configuration
    warnings.simplefilter("default")
    held_out.CROSS_VALIDATE_UP_TO = 0  # One round of fine-tuning is enough here.
    for command in commands:
        try:
            main(command.split())
        except SystemExit as end:
            if end.code:
                raise


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Train, evaluate and predict in a new folder; return the folder and all that was printed."""
    root = tmp_path_factory.mktemp("patients")
    for number in range(24):
        folder = root / "data" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        name = "okapi_19010203" if number == 4 else f"{number}"
        (folder / f"{name}.dcm").write_bytes(planted(number))
    damaged = planted(30)
    (root / "data" / "a" / "damaged.dcm").write_bytes(damaged[: len(damaged) - 500])
    (root / "one.dcm").write_bytes(planted(31))
    cache = f"--cache {root}/cache"
    train = f"train {root}/data --out {root}/run --backbone {TINY} --weights random --epochs 1"
    commands = [
        f"{train} --image-size 64 --tune stages:1 --json {cache}",
        f"evaluate {root}/run --out {root}/evaluation --json {cache}",
        f"predict {root}/run {root}/one.dcm --json --out {root}/predicted.csv {cache}",
    ]
    log = root.with_suffix(".log")
    process = start(run_commands, commands, str(root / "config"), log=log)
    process.join()
    assert process.exitcode == 0, log.read_text()
    return root, log.read_text()


def test_no_file_and_no_output_identifies_a_patient(trained: tuple[Path, str]) -> None:
    """The words are in the data, but not in run, bundle, cache, report, JSON, table or log."""
    root, printed = trained
    assert not PLANTED.findall(printed.encode())
    outputs = [file for file in root.rglob("*") if file.is_file() and "data" not in file.parts]
    found = {}
    for file in outputs:
        content = file.read_bytes()
        if file.suffix == ".parquet":
            content += json.dumps(pq.read_table(file).to_pylist(), default=str).encode()
        if words := PLANTED.findall(content + str(file.relative_to(root)).encode()):
            found[file] = words
    assert set(found) == {root / "one.dcm"}
    assert len(outputs) > 15


def test_the_run_names_patients_by_keyed_hashes(trained: tuple[Path, str]) -> None:
    """They differ from those in memory, and the key is readable by its owner only."""
    root, _ = trained
    groups = pq.read_table(root / "run" / "manifest.parquet")["group"].to_pylist()
    named = [group for group in groups if group is not None]
    assert len(set(named)) == 24
    assert all(re.fullmatch(r"patient-[0-9a-f]{16}", group) for group in named)
    (key,) = (root / "config").rglob("patient.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
