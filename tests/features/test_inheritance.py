"""Features that were stored with the first pixel contract are taken over where pixels are equal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.contract import CURRENT, FIRST, PixelContract
from headstart.features.extraction import extract, stored_features
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore
from headstart.files import file_sha256
from tests.conftest import picture
from tests.data.files import png_of
from tests.features.test_extraction import FINGERPRINT, MeanEngine, no_engine


def under(contract: PixelContract) -> Fingerprint:
    """Return the fingerprint of a contract."""
    return replace(FINGERPRINT, preprocess=replace(FINGERPRINT.preprocess, contract=contract))


def features_of(files, folder: Path, engine, contract: PixelContract) -> np.ndarray:
    """Return the features of files under a contract, through a store."""
    fingerprint = under(contract)

    def extract_missing(missing, table):
        used = engine() if callable(engine) else engine
        extract(missing, table, used, fingerprint.preprocess)

    features, _ = stored_features(
        files,
        store=FeatureStore(folder),
        fingerprint=fingerprint,
        extract_missing=extract_missing,
    )
    return features


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a file and returns its path and sha256."""

    def write(name: str, content: bytes | Image.Image) -> tuple[str, str]:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path)
        return str(path), file_sha256(path)

    return write


def test_equal_pixels_are_not_computed_again(write, tmp_path: Path) -> None:
    """Photos, grey images of 16 bits and transparent images on white have the same features."""
    alpha = picture(2, side=16)
    alpha.putalpha(Image.linear_gradient("L").resize((16, 16)))
    files = [
        write("a.jpg", picture(0, side=16)),
        write("b.png", picture(1, side=16)),
        write("c.png", alpha),
        write("d.png", Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 16)),
    ]
    before = features_of(files, tmp_path / "store", MeanEngine(), FIRST)
    after = features_of(files, tmp_path / "store", no_engine, CURRENT)
    assert np.array_equal(before, after)


def test_changed_pixels_are_computed_again(write, tmp_path: Path) -> None:
    """Only colour in 16 bits is, and its features differ."""
    deep = np.random.default_rng(0).integers(0, 4096, (16, 16, 3)).astype(np.uint16)
    files = [write("a.png", picture(0, side=16)), write("b.png", png_of(deep))]
    engine = MeanEngine()
    before = features_of(files, tmp_path / "store", MeanEngine(), FIRST)
    after = features_of(files, tmp_path / "store", engine, CURRENT)
    assert engine.images == 1
    assert np.array_equal(before[0], after[0])
    assert after[1].mean() > 8 * before[1].mean()


def test_another_background_changes_transparent_images_only(write, tmp_path: Path) -> None:
    """Opaque images keep their features."""
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 128))
    files = [write("a.png", picture(0, side=16)), write("b.png", image)]
    engine = MeanEngine()
    features_of(files, tmp_path / "store", MeanEngine(), FIRST)
    after = features_of(files, tmp_path / "store", engine, PixelContract(background="black"))
    assert engine.images == 1
    assert after[1, 1] == 0


def test_the_first_contract_never_takes_features_of_a_later_one(write, tmp_path: Path) -> None:
    """A model of before computes its own."""
    deep = np.full((16, 16, 3), 4095, np.uint16)
    files = [write("a.png", png_of(deep))]
    features_of(files, tmp_path / "store", MeanEngine(), CURRENT)
    assert features_of(files, tmp_path / "store", MeanEngine(), FIRST).max() == 15
