"""Medical images are listed one by one, with patients as groups and without identities."""

import csv
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel
import numpy as np
import pytest

from headstart.data.images import Images
from headstart.data.medical.volumes import Reading
from headstart.data.opening import images_of
from headstart.data.sources import open_source
from headstart.errors import OptionError
from headstart.tasks.single import Single
from tests.conftest import picture
from tests.data.medical.files import dataset_of, dicom_of, noise, written

Files = Mapping[str, bytes]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Images]:
    """Write files into a folder and open it."""

    def open_files(
        files: Files, reading: Reading | None = None, table: list[list[str]] | None = None
    ) -> Images:
        data = tmp_path / "data"
        for name, content in files.items():
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_bytes(content)
        if table:
            with (data / "labels.csv").open("w", newline="") as file:
                csv.writer(file).writerows(table)
        source = open_source(data, staging=tmp_path / "staging", reading=reading)
        return images_of(source, data, task=Single())

    return open_files


def xrays(count: int = 6, **elements: object) -> dict[str, bytes]:
    """Return files of two classes, of one patient each unless the elements say otherwise."""
    return {
        f"{'ab'[number % 2]}/{number}.dcm": dicom_of(
            noise(number), **{"PatientID": f"id{number}", **elements}
        )
        for number in range(count)
    }


def group_of(images: Images, name: str) -> str:
    """Return the group of an image."""
    return next(row["group"] for row in images.manifest.to_pylist() if row["image"] == name)


def test_patients_are_groups_that_do_not_depend_on_names(opened: Callable[..., Images]) -> None:
    """Images of a patient are one group; the same ID from another issuer is another patient."""
    files = xrays()
    files["a/again.dcm"] = dicom_of(noise(90), PatientID="ID0 ")
    files["b/other.dcm"] = dicom_of(noise(91), PatientID="id0", IssuerOfPatientID="North")
    images = opened(files)
    assert group_of(images, "a/again.dcm") == group_of(images, "a/0.dcm")
    assert group_of(images, "b/other.dcm") != group_of(images, "a/0.dcm")
    assert "id0" not in " ".join(group or "" for group in images.manifest["group"].to_pylist())
    assert "Patients: 7, each kept on one side of the split." in images.understood


def test_without_different_patients_studies_are_groups(opened: Callable[..., Images]) -> None:
    """A placeholder such as "anonymous" would make one group of everything."""
    files = xrays(PatientID="anonymous")
    for name in ("1", "2"):
        files[f"a/study{name}.dcm"] = dicom_of(
            noise(70 + int(name)), PatientID="anonymous", StudyInstanceUID="1.2.3"
        )
    images = opened(files)
    assert group_of(images, "a/study1.dcm") == group_of(images, "a/study2.dcm")
    assert group_of(images, "a/0.dcm") != group_of(images, "b/1.dcm")
    assert any("the same patient ID" in warning for warning in images.warnings)


def test_warnings_of_sites_and_of_burned_in_text(opened: Callable[..., Images]) -> None:
    """Both may go unnoticed until a model has learnt from them."""
    files = xrays()
    files["a/n.dcm"] = dicom_of(noise(80), PatientID="id8", InstitutionName="North")
    files["a/s.dcm"] = dicom_of(noise(81), PatientID="id8", InstitutionName="South")
    files["b/text.dcm"] = dicom_of(noise(82), PatientID="id9", BurnedInAnnotation="YES")
    warnings = " ".join(opened(files).warnings)
    assert "Patient IDs that occur at several institutions: 1." in warnings
    assert "1 ('b/text.dcm')" in warnings


def test_each_frame_is_an_image_of_one_group(opened: Callable[..., Images]) -> None:
    """So is each slice of a volume that is not empty; or only the one in the middle."""
    volume = np.random.default_rng(0).normal(size=(9, 8, 5)).astype(np.float32)
    volume[:, :, 0] = 0
    image = nibabel.Nifti1Image(volume, np.eye(4))
    files = xrays() | {
        "a/film.dcm": dicom_of(noise(50, (3, 32, 32)), PatientID="id50"),
        "b/scan.nii": image.to_bytes(),
    }
    images = opened(files, Reading("percentile"))
    names = [name for name in images.all.names if "#" in name]
    assert names == [f"a/film.dcm#{n}" for n in (1, 2, 3)] + [
        f"b/scan.nii#{n}" for n in (2, 3, 4, 5)
    ]
    assert group_of(images, "a/film.dcm#1") == group_of(images, "a/film.dcm#3")
    assert group_of(images, "b/scan.nii#2") == group_of(images, "b/scan.nii#5")
    assert (images.train.window, images.train.frames) == ("percentile", "each")
    middle = opened(files, Reading(frames="middle"))
    assert [name for name in middle.all.names if "#" in name] == ["b/scan.nii#3"]
    assert "a/film.dcm" in middle.all.names


def test_a_name_that_identifies_is_replaced(opened: Callable[..., Images]) -> None:
    """Neither the name nor the path of the file is kept, but its pixels are."""
    files = xrays(6, PatientName="Zebra^Quagga", PatientBirthDate="19010203")
    secret = dicom_of(noise(77), PatientID="id77", PatientName="Okapi^Jean")
    damaged = dataset_of(noise(78), PatientID="id78", PatientName="Okapi^Jean", WindowWidth=0)
    damaged.WindowCenter = 1
    files |= {"a/okapi_1.dcm": secret, "b/scan19010203.dcm": files["b/1.dcm"]}
    files |= {"b/OKAPI2.dcm": written(damaged)}
    images = opened(files)
    kept = images.manifest.select(["image", "path", "rejected"]).to_pylist()
    text = str(kept).lower().replace(str(Path(kept[0]["path"]).parents[1]).lower(), "")
    assert "okapi" not in text
    assert "19010203" not in text
    assert f"{hashlib.sha256(secret).hexdigest()[:16]}.dcm" in images.all.names
    assert len(images.all) == 8
    assert [reason for _, reason in images.rejected if "the width 0" in reason]


def test_a_table_names_images_by_uids_and_names(opened: Callable[..., Images]) -> None:
    """A study is all of its images; a name of several files, or of none, is rejected."""
    datasets = {
        f"p{number}/i{number}": dataset_of(noise(number), PatientID=f"id{number}")
        for number in range(6)
    }
    datasets["p4/i4"].StudyInstanceUID = datasets["p5/i5"].StudyInstanceUID = "1.2.3"
    datasets["p0/same.dcm"] = dataset_of(noise(10), PatientID="id0")
    datasets["p1/same.dcm"] = dataset_of(noise(11), PatientID="id1")
    table = [
        ["SOPInstanceUID", "label"],
        [datasets["p0/i0"].SOPInstanceUID, "a"],
        ["i1", "b"],
        ["p2/i2", "a"],
        ["i3.dcm", "b"],
        ["1.2.3", "b"],
        ["same", "a"],
        ["9.9", "a"],
    ]
    images = opened({name: written(dataset) for name, dataset in datasets.items()}, None, table)
    assert images.all.names == ["p0/i0", "p1/i1", "p2/i2", "p4/i4", "p5/i5"]
    reasons = dict(images.rejected)
    assert reasons["same"] == "2 files have this name or UID: p0/same.dcm and p1/same.dcm"
    assert "does not exist" in reasons["9.9"]
    assert "The table is 'labels.csv'." in images.understood


def test_options_for_medical_images_need_some(tmp_path: Path) -> None:
    """Without any, they are an error."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        picture(1).save(tmp_path / "data" / name / "1.png")
    with pytest.raises(OptionError, match="has no DICOM or NIfTI files"):
        open_source(tmp_path / "data", staging=tmp_path, reading=Reading("percentile"))
    images = open_source(tmp_path / "data", staging=tmp_path).entries
    assert {image.window for image in images} == {None}
