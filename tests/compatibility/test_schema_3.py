"""Bundles of schema version 3, which did not know their limits, give the same predictions."""

import json
import tarfile
from pathlib import Path

import pytest

import headstart as hs
from headstart.errors import OptionError

ARCHIVE = Path(__file__).with_name("schema_3.tar.xz")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the files of version 3."""
    folder = tmp_path_factory.mktemp("schema-3")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "schema-3"


def test_a_model_gives_the_same_predictions(written: Path, tmp_path: Path) -> None:
    """Probabilities agree to 1e-6, and nothing is called unknown."""
    expected = json.loads((written / "expected.json").read_text())
    model = hs.load(written / "bundle", precision="float32", cache=tmp_path)
    predictions = model.predict([written / name for name in expected])
    for name, prediction in zip(expected, predictions, strict=True):
        assert dict(prediction.top) == pytest.approx(expected[name], abs=1e-6)
        assert prediction.unknown is None


def test_a_model_says_what_it_cannot_do(written: Path, tmp_path: Path) -> None:
    """Prediction sets need held-out predictions, which it does not keep."""
    model = hs.load(written / "bundle", precision="float32", cache=tmp_path)
    image = next((written / "photos").rglob("*.png"))
    with pytest.raises(OptionError) as caught:
        model.predict(image, coverage=0.9)
    assert str(caught.value) == (
        "This model keeps no held-out predictions, which prediction sets and max_error need: it "
        "has several labels per image or an added class, or was trained without held-out images "
        "or by an earlier version."
    )
