"""NIfTI volumes are cut into axial slices in the orientation of radiologists."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.data.medical.nifti import read_nifti
from headstart.errors import UnreadableImage


def volume(tmp_path: Path, values: NDArray[Any], affine: NDArray[Any] | None = None) -> Path:
    """Write a volume; by default, its axes point to the right, the front and the top."""
    file = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), file)
    return file


def test_slices_show_the_front_at_the_top_and_the_right_on_the_left(tmp_path: Path) -> None:
    """The brightest voxel is at the right, front and top of the patient."""
    values = np.zeros((5, 6, 7), np.float32)
    values[4, 5, 6] = 1
    slices = read_nifti(volume(tmp_path, values), "0.5,1")
    assert len(slices) == 7
    assert slices.oriented
    assert np.argwhere(slices.values == 1).tolist() == [[6, 0, 0]]
    levels = slices.levels(6)
    assert levels is not None
    assert levels.shape == (6, 5)
    assert slices.levels(0) is None  # Empty.


def test_the_orientation_of_the_file_does_not_matter(tmp_path: Path) -> None:
    """A volume that is stored with other axes has the same slices."""
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    expected = read_nifti(volume(tmp_path, values)).values
    turned = nibabel.Nifti1Image(values, np.eye(4))
    ornt = nibabel.orientations.axcodes2ornt(("P", "S", "L"))
    other = tmp_path / "other.nii"
    nibabel.save(turned.as_reoriented(ornt), other)
    assert np.array_equal(read_nifti(other).values, expected)


def test_windows_of_volumes(tmp_path: Path) -> None:
    """The display range of the file comes first, then the percentiles of the whole volume."""
    values = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    file = volume(tmp_path, values)
    window = read_nifti(file).window
    assert (window.center, window.width) == pytest.approx((499.5, 989), abs=1)
    image = nibabel.load(file)
    image.header["cal_min"], image.header["cal_max"] = 100, 300
    nibabel.save(image, tmp_path / "calibrated.nii")
    window = read_nifti(tmp_path / "calibrated.nii").window
    assert (window.center, window.width) == (200, 200)
    assert read_nifti(file, "40,400").window.width == 400


def test_a_volume_without_orientation_is_sliced_as_stored(tmp_path: Path) -> None:
    """It says so."""
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.int16), None)
    nibabel.save(image, tmp_path / "plain.nii")
    slices = read_nifti(tmp_path / "plain.nii")
    assert not slices.oriented
    assert slices.values.shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((3, 3, 3), np.nan, np.float32), "not finite"),
        (np.zeros((3, 3, 3, 2), np.int16), r"4 dimensions \(3 x 3 x 3 x 2\)"),
        (np.zeros((3, 3, 3), np.complex64), "complex"),
    ],
)
def test_what_is_not_a_volume_is_refused(tmp_path: Path, values: NDArray[Any], reason: str) -> None:
    """The reason says what it is."""
    with pytest.raises(UnreadableImage, match=reason):
        read_nifti(volume(tmp_path, values))


@pytest.mark.parametrize("content", [b"", b"junk" * 100, b"\x1f\x8b\x08junk"])
def test_damaged_volumes_are_refused(tmp_path: Path, content: bytes) -> None:
    """Also those of which the compressed data is incomplete."""
    file = tmp_path / "damaged.nii.gz"
    file.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_nifti(file)
    whole = volume(tmp_path, np.random.default_rng(0).normal(size=(9, 9, 9)))
    whole.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(UnreadableImage, match=r"incomplete|damaged"):
        read_nifti(whole)


def test_a_fourth_dimension_of_one_is_dropped(tmp_path: Path) -> None:
    """It is still one volume."""
    values = np.random.default_rng(0).normal(size=(3, 4, 5, 1))
    assert read_nifti(volume(tmp_path, values)).values.shape == (5, 4, 3)


def test_a_flat_file_is_one_slice(tmp_path: Path) -> None:
    """It may be a projection."""
    values = np.random.default_rng(0).normal(size=(3, 4))
    assert read_nifti(volume(tmp_path, values)).values.shape == (1, 4, 3)
