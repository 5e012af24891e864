"""Faces, on a photo by NASA that comes with scikit-image."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, chelsea

import headstart.data.faces as faces
from headstart.data.contract import CURRENT
from headstart.data.decoding import decode_image
from headstart.data.faces import NETWORK, count_large_faces, largest_face, weights_file
from headstart.data.inputs import as_image
from headstart.engines.dlib_engine import DlibEngine
from headstart.errors import OptionError, UnreadableImage
from tests.data.files import encoded

ONLY_FACE = replace(CURRENT, crop="face")
SAME = 0.6
"""The distance below which dlib's author takes two faces for the same."""


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(astronaut())


@pytest.fixture(scope="module")
def engine() -> DlibEngine:
    return DlibEngine()


def distance(engine: DlibEngine, first: Image.Image, second: Image.Image) -> float:
    one, other = engine.infer(np.stack([np.asarray(first), np.asarray(second)]))
    return float(np.linalg.norm(one - other))


def test_the_face_is_aligned_wherever_it_is(photo: Image.Image, engine: DlibEngine) -> None:
    """Turned, smaller, elsewhere or with a border, it is the same face in the same place."""
    face = largest_face(photo, path="photo")
    assert (face.size, face.mode) == ((150, 150), "RGB")
    others = [
        photo.rotate(12),
        photo.resize((300, 300)),
        photo.crop((100, 30, 400, 330)),
        photo.convert("L"),
    ]
    for other in others:
        found = largest_face(other, path="other")
        assert distance(engine, face, found) < SAME / 2
    assert largest_face(photo, path="photo", side=112).size == (112, 112)


def test_a_photo_that_ends_at_the_face(photo: Image.Image, engine: DlibEngine) -> None:
    """The detector alone misses it, as it needs some of what is around a face."""
    tight = photo.crop((184, 82, 262, 172))
    found = largest_face(tight, path="tight")
    assert distance(engine, largest_face(photo, path="photo"), found) < SAME


def test_of_a_crowd_the_largest_face_is_taken(photo: Image.Image, engine: DlibEngine) -> None:
    crowd = Image.new("RGB", (1024, 512))
    crowd.paste(photo.resize((400, 400)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (560, 0))
    crowd.paste(photo, (0, 0))
    assert count_large_faces(crowd, path="crowd") == 2
    assert count_large_faces(photo, path="photo") == 1
    face = largest_face(photo, path="photo")
    assert distance(engine, face, largest_face(crowd, path="crowd")) < 0.05


def test_no_face_is_said() -> None:
    with pytest.raises(UnreadableImage, match=r"cat.*no face is found in it"):
        largest_face(Image.fromarray(chelsea()), path="cat")


def test_files_and_images_in_memory_are_seen_alike(photo: Image.Image) -> None:
    """The contract says that only the face is seen, for every way in."""
    data = encoded(photo, "PNG")
    from_file = decode_image(data, min_side=64, contract=ONLY_FACE)
    in_memory = as_image(photo, min_side=64, contract=ONLY_FACE)
    assert from_file.size == in_memory.size == (64, 64)
    assert np.array_equal(np.asarray(from_file), np.asarray(in_memory))


def test_threads_find_the_same(photo: Image.Image) -> None:
    expected = np.asarray(largest_face(photo, path="photo"))
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: largest_face(photo, path=str(number)), range(8))
        assert all(np.array_equal(np.asarray(one), expected) for one in found)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not the one that was expected is not used."""
    weights_file.cache_clear()
    monkeypatch.setitem(faces.SHA256, NETWORK, "0" * 64)
    with pytest.raises(OptionError, match="is not the file that was expected"):
        weights_file(NETWORK)
    monkeypatch.setattr(faces, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'headstart\[faces\]'"):
        faces.require_faces()
