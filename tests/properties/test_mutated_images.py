"""Whatever bytes an image file has, it is read or refused: no crash, no hang, bounded memory."""

import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from headstart.data.checks import check_image
from headstart.data.decoding import decode
from headstart.data.medical.nifti import read_nifti
from headstart.data.quiet import quiet_libraries
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits
from tests.data.mutations import SAMPLES, VOLUMES, mutate

COUNT, MOST_SECONDS, MOST_MB = 250, 2.0, 1500
LIMITS = DecodeLimits()


def memory() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check_and_decode(data: bytes) -> np.ndarray | None:
    """Check a file and decode it; both read it, or both refuse it with a reason."""
    try:
        info, thumbnail = check_image(data, path="x", limits=LIMITS)
    except UnreadableImage as error:
        assert error.reason
        with pytest.raises(UnreadableImage):
            decode(data, limits=LIMITS)
        return None
    assert (info.width, info.height) >= (1, 1)
    assert thumbnail.shape == (16, 17)
    return decode(data, min_side=224, limits=LIMITS)


@pytest.mark.parametrize("kind", SAMPLES)
def test_changed_files_are_read_or_refused(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Each takes less than two seconds of the processor, and raises only `UnreadableImage`."""
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    source, samples = random.Random(kind), SAMPLES[kind]()
    before, read = memory(), 0
    with quiet_libraries():
        for _ in range(COUNT):
            data = mutate(source.choice(samples), source)
            begin = time.process_time()
            pixels = check_and_decode(data)
            assert time.process_time() - begin < MOST_SECONDS
            read += pixels is not None
            assert pixels is None or (pixels.dtype == np.uint8 and pixels.shape[2] == 3)
    assert memory() - before < MOST_MB
    assert 0 < read < COUNT
    capfd.readouterr()  # libtiff writes a line for each error.


def test_changed_volumes_are_read_or_refused(tmp_path: Path) -> None:
    """Each is read slice by slice, or refused."""
    source, samples = random.Random(0), VOLUMES["NIfTI"]()
    before, read = memory(), 0
    for number in range(COUNT):
        data = mutate(source.choice(samples), source)
        file = tmp_path / ("x.nii.gz" if data[:2] == b"\x1f\x8b" else "x.nii")
        file.write_bytes(data)
        begin = time.process_time()
        try:
            slices = read_nifti(file)
            levels = [slices.levels(number) for number in range(len(slices))]
        except UnreadableImage as error:
            assert error.reason
            continue
        read += len(levels) > 0
        assert time.process_time() - begin < MOST_SECONDS
    assert memory() - before < MOST_MB
    assert 0 < read < COUNT


@pytest.mark.parametrize("kind", SAMPLES)
def test_files_without_changes_are_read(kind: str) -> None:
    """The files that are changed above are images."""
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    for data in SAMPLES[kind]():
        pixels = check_and_decode(data)
        assert pixels is not None and pixels.size
