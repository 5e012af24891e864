"""Bundles of schema version 2, which had no pixel contract, give the same predictions.

`schema_2.tar.xz` contains a bundle on a tiny network, images with its predictions in float32, and
among them those whose pixels later contracts changed: colour and grey with alpha in 16 bits, and an
image that is fully transparent.
"""

import json
import tarfile
from pathlib import Path

import pytest

import headstart as hs
from headstart.data.contract import CURRENT, FIRST

ARCHIVE = Path(__file__).with_name("schema_2.tar.xz")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the files of version 2."""
    folder = tmp_path_factory.mktemp("schema-2")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "schema-2"


def test_a_model_gives_the_same_predictions(written: Path, tmp_path: Path) -> None:
    """Probabilities agree to 1e-6 for every image, whatever later contracts changed."""
    expected = json.loads((written / "expected.json").read_text())
    assert {Path(name).stem for name in expected} == {"0", "1", "alpha", "deep", "empty"}
    model = hs.load(written / "bundle", precision="float32", cache=tmp_path)
    for name, prediction in zip(
        expected, model.predict([written / name for name in expected]), strict=True
    ):
        assert dict(prediction.top) == pytest.approx(expected[name], abs=1e-6)


def test_a_model_keeps_its_contract_when_it_is_saved_again(written: Path, tmp_path: Path) -> None:
    """The first contract is written into the new bundle, and is not that of new models."""
    model = hs.load(written / "bundle", precision="float32", cache=tmp_path)
    assert model.extractor.preprocess.contract == FIRST != CURRENT
    model.save(tmp_path / "again")
    again = hs.load(tmp_path / "again", precision="float32", cache=tmp_path)
    assert again.extractor.preprocess.contract == FIRST
    deep = written / "photos" / "red" / "deep.png"
    assert again.predict(deep).top == model.predict(deep).top
