"""Medical images are listed one by one, with patients as groups and without identities."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel
import numpy as np
import pytest

from headstart.data.images import Images
from headstart.data.interpretation import Interpretation
from headstart.data.medical.volumes import Reading
from headstart.data.opening import images_of
from headstart.data.sources import open_source
from headstart.errors import DataError, OptionError
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
        source = open_source(data, tmp_path / "staging", Interpretation(reading=reading))
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
    for site in ("North", "South"):
        name = f"b/{site}.dcm"
        files[name] = dicom_of(noise(len(files)), PatientID="id90", IssuerOfPatientID=site)
    images = opened(files)
    assert group_of(images, "a/again.dcm") == group_of(images, "a/0.dcm")
    assert group_of(images, "b/North.dcm") != group_of(images, "b/South.dcm")
    assert "id0" not in " ".join(group or "" for group in images.manifest["group"].to_pylist())
    assert "Patients: 8, each kept on one side of the split." in images.understood


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
        ["elsewhere/i1", "a"],
    ]
    images = opened({name: written(dataset) for name, dataset in datasets.items()}, None, table)
    assert images.all.names == ["p0/i0", "p1/i1", "p2/i2", "p4/i4", "p5/i5"]
    reasons = dict(images.rejected)
    assert reasons["same"] == "2 files have this name or UID"
    assert "does not exist" in reasons["9.9"]
    assert "does not exist" in reasons["elsewhere/i1"]  # Not the other file of this name.
    assert "The table is 'labels.csv'." in images.understood


def test_options_for_medical_images_need_some(tmp_path: Path) -> None:
    """Without any, they are an error."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        picture(1).save(tmp_path / "data" / name / "1.png")
    with pytest.raises(OptionError, match="has no DICOM or NIfTI files"):
        open_source(tmp_path / "data", tmp_path, Interpretation(reading=Reading("percentile")))
    images = open_source(tmp_path / "data", staging=tmp_path).entries
    assert {image.window for image in images} == {None}


def test_an_id_without_issuer_is_that_of_any(opened: Callable[..., Images]) -> None:
    """Some files of a patient may lack the issuer."""
    files = xrays()
    for number, issuer in enumerate((None, "North")):
        elements = {"IssuerOfPatientID": issuer} if issuer else {}
        files[f"a/x{number}.dcm"] = dicom_of(noise(60 + number), PatientID="id60", **elements)
    images = opened(files)
    assert group_of(images, "a/x0.dcm") == group_of(images, "a/x1.dcm")


def test_the_users_groups_and_patients_are_merged(opened: Callable[..., Images]) -> None:
    """A patient with two groups is one group, also with other files of these groups."""
    names = [f"x{number}.dcm" for number in range(6)]
    files = {
        name: dicom_of(noise(number), PatientID=f"id{number // 2}")
        for number, name in enumerate(names)
    }
    png = io.BytesIO()
    picture(5).save(png, "PNG")
    groups = ["g0", "g1", "g2", "g3", "g4", "g5"]
    rows = zip(names, "aabbab", groups, ["Okapi One"] * 6, strict=True)
    table = [
        ["image", "label", "group", "patient_name"],
        *map(list, rows),
        ["y.png", "a", "g1", ""],
    ]
    images = opened(files | {"y.png": png.getvalue()}, None, table)
    assert group_of(images, "x0.dcm") == group_of(images, "x1.dcm") == group_of(images, "y.png")
    assert group_of(images, "x2.dcm") != group_of(images, "x0.dcm")
    assert "Okapi" not in str(images.manifest.to_pylist())


def test_names_in_rejected_rows_identify_nobody(opened: Callable[..., Images]) -> None:
    """Neither the row nor the reason keeps them."""
    files = {
        f"p{number}/{name}.dcm": dicom_of(
            noise(10 * number + place), PatientID=f"id{number}", PatientName="Okapi^Jean"
        )
        for number in range(4)
        for place, name in enumerate(("okapi", f"n{number}"))
    }
    table = [["image", "label"], *([f"n{number}", "ab"[number % 2]] for number in range(4))]
    images = opened(files, None, [*table, ["okapi", "a"], ["jeanokapi_9", "b"]])
    assert len(images.all) == 4
    assert len(images.rejected) == 2
    assert "okapi" not in str(images.rejected).lower()


def test_the_users_window_replaces_an_invalid_one(opened: Callable[..., Images]) -> None:
    """The error advises it."""
    files = xrays(WindowCenter=40, WindowWidth=0)
    with pytest.raises(DataError, match="--window percentile"):
        opened(files)
    assert len(opened(files, Reading("percentile")).all) == 6


def test_folders_are_the_labels_if_the_table_has_none(opened: Callable[..., Images]) -> None:
    """A table of acquisitions may lie beside the folders."""
    images = opened(xrays(), None, [["series", "kvp"], ["1", "120"]])
    assert images.classes == ("a", "b")


def test_a_study_is_found_before_the_stem_of_a_name(opened: Callable[..., Images]) -> None:
    """Names of files without suffix are often UIDs, of which the last part is no suffix."""
    files = {
        f"1.2.3.{number}": written(
            dataset_of(noise(number), PatientID=f"id{number}", StudyInstanceUID=f"1.2.{number % 2}")
        )
        for number in range(6)
    }
    images = opened(files, None, [["study_instance_uid", "label"], ["1.2.0", "a"], ["1.2.1", "b"]])
    assert len(images.all) == 6
    assert images.all.counts() == (3, 3)
