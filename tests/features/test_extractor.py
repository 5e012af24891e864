"""Features of files, through the store, and of images in memory."""

import numpy as np
import pytest
from PIL import Image

from headstart.backbones.backbone import load_backbone
from headstart.engines.precision import PrecisionTrial, cached_trial
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.files import file_sha256
from tests.conftest import picture

TINY = "test_resnet"


@pytest.fixture
def files(tmp_path):
    """Write colour and grey pictures, and return the path and sha256 of each."""
    files = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        image = picture(number)
        (image if number else image.convert("L")).save(path)
        files.append((str(path), file_sha256(path)))
    return files


@pytest.fixture
def extractor(tmp_path):
    """Return an extractor in float32."""
    backbone = load_backbone(TINY, weights="random")
    return FeatureExtractor(backbone, cache=tmp_path / "cache", precision="float32")


def test_files_and_images_have_the_same_features(extractor, files):
    """An image in memory has the same features as its file."""
    stored, kind = extractor.of_files(files)
    assert stored.shape == (5, extractor.layout.width)
    assert kind == extractor.stored_as == "float32"
    images = [Image.open(path) for path, _ in files]
    direct = np.concatenate(list(extractor.of_images(images)))
    np.testing.assert_allclose(as_stored(direct, kind), stored, rtol=1e-4, atol=1e-5)
    for image in images:
        image.close()


def test_another_extractor_reads_stored_features(extractor, files, tmp_path, monkeypatch):
    """A new extractor with an equal backbone reads the store and creates no engine."""
    first, _ = extractor.of_files(files)
    again = FeatureExtractor(
        load_backbone(TINY, weights="random"), cache=tmp_path / "cache", precision="float32"
    )
    np.testing.assert_array_equal(again.of_files(files)[0], first)
    assert "engine" not in vars(again)


def test_weights_that_change_after_construction(extractor, files, tmp_path):
    """Features of changed weights are never stored under the old weights."""
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


def auto(tmp_path, monkeypatch, trial):
    """Return an extractor with a given trial result on a processor with bf16, and the trials run.

    Without a result, no trial may be run.
    """
    trials = []

    def run_trial(build, size):
        assert trial is not None, "timed although there was no need"
        trials.append(size)
        return trial

    monkeypatch.setattr("headstart.engines.openvino_engine.cpu_has_bf16", lambda: True)
    monkeypatch.setattr("headstart.features.extractor.try_precisions", run_trial)
    monkeypatch.setattr("headstart.features.extractor.cached_trial", cached_trial)
    backbone = load_backbone(TINY, weights="random")
    return FeatureExtractor(backbone, cache=tmp_path / "cache"), trials


def test_a_trial_decides_the_precision(tmp_path, monkeypatch):
    """The trial is run once, when first needed, and other extractors use the cached result."""
    extractor, trials = auto(tmp_path, monkeypatch, PrecisionTrial(100.0, 80.0, 0.999))
    assert trials == []
    assert extractor.precision == extractor.fingerprint.precision == "float32"
    assert trials == [extractor.backbone.preprocess.size]
    again, _ = auto(tmp_path, monkeypatch, None)
    assert again.precision == "float32"
    fresh, _ = auto(tmp_path / "other", monkeypatch, PrecisionTrial(100.0, 120.0, 0.999))
    assert fresh.precision == "bf16"


def test_an_explicit_precision_is_not_timed(tmp_path, monkeypatch):
    """With precision "bf16" there is no trial."""
    extractor, _ = auto(tmp_path, monkeypatch, None)
    bf16 = FeatureExtractor(extractor.backbone, cache=tmp_path, precision="bf16")
    assert (bf16.precision, bf16.trial) == ("bf16", None)
