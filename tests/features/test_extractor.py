"""A backbone's features: of files through the store, of images in memory as if they were files."""

import numpy as np
import pytest
from PIL import Image

from headstart.backbones.backbone import load_backbone
from headstart.data.hashing import file_sha256
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import as_stored
from tests.conftest import picture

TINY = "test_resnet"


@pytest.fixture
def files(tmp_path):
    """Write pictures, coloured and grey; give path and sha256 of each."""
    out = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        image = picture(number)
        (image if number else image.convert("L")).save(path)
        out.append((str(path), file_sha256(path)))
    return out


@pytest.fixture
def extractor(tmp_path):
    """Give an extractor in float32."""
    backbone = load_backbone(TINY, weights="random")
    return FeatureExtractor(backbone, cache=tmp_path / "cache", precision="float32")


def test_files_and_images_have_the_same_features(extractor, files):
    """An image in memory gets the features of its file."""
    stored, kind = extractor.of_files(files)
    assert stored.shape == (5, extractor.layout.width)
    assert kind == extractor.stored_as == "float32"
    images = [Image.open(path) for path, _ in files]
    direct = np.concatenate(list(extractor.of_images(images)))
    np.testing.assert_allclose(as_stored(direct, kind), stored, rtol=1e-4, atol=1e-5)
    for image in images:
        image.close()


def test_another_process_finds_what_was_stored(extractor, files, tmp_path, monkeypatch):
    """A new extractor of an equal backbone reads the store and builds no engine."""
    first, _ = extractor.of_files(files)
    again = FeatureExtractor(
        load_backbone(TINY, weights="random"), cache=tmp_path / "cache", precision="float32"
    )
    np.testing.assert_array_equal(again.of_files(files)[0], first)
    assert "engine" not in vars(again)


def test_weights_that_change_after_the_extractor_was_made(extractor, files, tmp_path):
    """Features of changed weights are never stored as those of the old ones."""
    first, _ = extractor.of_files(files[:2])
    late = FeatureExtractor(
        load_backbone(TINY, weights="random"), cache=tmp_path / "cache2", precision="float32"
    )
    for parameter in late.backbone.parameters():
        parameter.data.mul_(1.5)
    late.of_files(files[:2])
    fresh = FeatureExtractor(
        load_backbone(TINY, weights="random"), cache=tmp_path / "cache2", precision="float32"
    )
    np.testing.assert_allclose(fresh.of_files(files[:2])[0], first, rtol=1e-4, atol=1e-5)
