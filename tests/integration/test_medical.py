"""From DICOM files and a table to a report, and back to predictions."""

import csv
import runpy
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import headstart as hs
from headstart.errors import DataError, OptionError
from headstart.predictor.predictor import FailedPrediction
from tests.conftest import TINY
from tests.data.medical.files import dataset_of, dicom_of, noise, written

ROOT = Path(__file__).parents[2]
OPTIONS = {"backbone": TINY, "weights": "random", "image_size": 64, "progress": False}


def scan(number: int, **elements: object) -> dict[str, object]:
    """Return the elements of an X-ray of a patient with two, of which the odd ones are bright."""
    dark = np.kron(noise(number, (8, 12), top=2000), np.ones((8, 8), np.uint16))
    elements |= {"PatientID": f"id{number // 2}", "WindowCenter": 2000, "WindowWidth": 4000}
    return {"pixels": dark + np.uint16(2000) * (number % 2), **elements}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Write X-rays without suffix, and a table that names them by SOPInstanceUID."""
    folder = tmp_path / "scans"
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["SOPInstanceUID", "finding", "label"])
        for number in range(60):
            dataset = dataset_of(**scan(number))
            (folder / f"IM{number}").write_bytes(written(dataset))
            writer.writerow([dataset.SOPInstanceUID, "", "sick" if number % 2 else "well"])
    return folder


def test_the_example_trains_on_a_folder_and_its_table(
    scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints sensitivity and specificity, and keeps patients on one side."""
    monkeypatch.chdir(scans.parent)
    monkeypatch.setattr(sys, "argv", ["medical.py", "scans"])
    runpy.run_path(str(ROOT / "examples" / "medical.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "sensitivity" in printed
    assert "at a prevalence of 5.00%" in printed
    predictor = hs.load("runs/scans")
    new = scans / "IM3"
    assert predictor.predict(new).label == "sick"
    assert predictor.predict(new.read_bytes()).label == "sick"


def test_the_model_keeps_window_and_frames(tmp_path: Path) -> None:
    """Frames and slices are predicted one by one as they were trained, or only the middle one."""
    for number in range(16):
        folder = tmp_path / "data" / ("sick" if number % 2 else "well")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.dcm").write_bytes(dicom_of(**scan(number)))
    volume = np.random.default_rng(0).normal(2000, 500, (40, 30, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "volume.nii.gz")
    frames = np.stack([noise(number) for number in range(3)])
    (tmp_path / "film.dcm").write_bytes(dicom_of(frames, PatientID="x"))
    files = [tmp_path / "volume.nii.gz", tmp_path / "film.dcm", tmp_path / "data/sick/1.dcm"]
    cache = tmp_path / "cache"
    for every in ("each", "middle"):
        run = hs.train(
            tmp_path / "data",
            out=tmp_path / every,
            window="2000,4000",
            frames=every,
            cache=cache,
            **OPTIONS,
        ).run
        contract = hs.load(run, cache=cache).extractor.preprocess.contract
        assert (contract.window, contract.frames) == ("2000,4000", every)
        results = hs.predict(run, files, cache=cache, progress=False)
        names = [Path(result.image).name for result in results]
        slices, films = (range(1, 6), range(1, 4)) if every == "each" else ([3], [2])
        expected = [f"volume.nii.gz#{n}" for n in slices] + [f"film.dcm#{n}" for n in films]
        assert names == [*expected, "1.dcm"]
        assert not any(isinstance(result, FailedPrediction) for result in results)


def test_a_volume_that_cannot_be_read_is_a_failed_prediction(tmp_path: Path, scans: Path) -> None:
    """It says why, under its own name."""
    run = hs.train(scans, out=tmp_path / "run", cache=tmp_path / "cache", **OPTIONS).run
    bad = tmp_path / "bad.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2)), np.eye(4)), bad)
    (result,) = hs.predict(run, [bad], cache=tmp_path / "cache", progress=False)
    assert isinstance(result, FailedPrediction)
    assert (result.image, result.error[:20]) == (str(bad), "it has 4 dimensions ")


def test_a_patient_key_without_patients_is_an_error(tmp_path: Path, scans: Path) -> None:
    """So are a window that is not one, and a key that is missing."""
    with pytest.raises(OptionError, match="must be first, percentile or CENTER,WIDTH"):
        hs.open_images(scans, window="wide", progress=False)
    with pytest.raises(OptionError, match="cannot be read"):
        hs.train(scans, patient_key=tmp_path / "none", out=tmp_path / "run", **OPTIONS)


def test_models_that_read_differently_are_not_compared(tmp_path: Path, scans: Path) -> None:
    """Neither would see the images that it was trained on."""
    runs = [
        hs.train(
            scans, out=tmp_path / window, window=window, cache=tmp_path / "cache", **OPTIONS
        ).run
        for window in ("first", "percentile")
    ]
    with pytest.raises(DataError, match="read medical images differently"):
        hs.compare(runs, scans, cache=tmp_path / "cache", progress=False)


def test_copies_of_a_volume_keep_their_names(tmp_path: Path, scans: Path) -> None:
    """Each prediction is named after the file that was passed."""
    run = hs.train(scans, out=tmp_path / "run", cache=tmp_path / "cache", **OPTIONS).run
    values = np.random.default_rng(0).normal(2000, 500, (8, 8, 2)).astype(np.float32)
    for name in ("x.nii", "y.nii"):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / name)
    files = [tmp_path / "x.nii", tmp_path / "y.nii"]
    results = hs.predict(run, files, cache=tmp_path / "cache", progress=False)
    assert [Path(one.image).name for one in results] == ["x.nii#1", "x.nii#2", "y.nii#1", "y.nii#2"]
