"""A model that is saved for MLflow loads with `mlflow.pyfunc` and predicts the same."""

import os
import sys
from importlib.metadata import version

import numpy as np
import pytest

import headstart as hs
from headstart.errors import BundleError, OptionError, OutputError
from tests.conftest import COLOURS, picture, write_blue_and_red

# MLflow warns about the type hints of its own examples when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def pyfunc():
    """Return MLflow's module for models, without its telemetry."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    return pytest.importorskip("mlflow.pyfunc")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a small model with its folder, and paths of images."""
    folder = tmp_path_factory.mktemp("mlflow")
    write_blue_and_red(folder / "photos", 12)
    data = hs.open_images(folder / "photos", cache=folder / "cache")
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    options = {"precision": "float32", "cache": folder / "cache"}
    model = hs.Classifier(backbone, hs.LinearHead(), classes=data.classes, **options)
    predictor = model.fit(data.train).predictor
    predictor.save(folder / "model")
    return predictor, folder / "model", [str(path) for path in data.test.paths[:3]]


@pytest.mark.parametrize("as_path", [True, False])
def test_a_saved_model_predicts_the_same(pyfunc, trained, tmp_path, as_path):
    """From paths, arrays and tables; a model in memory and its bundle are saved alike."""
    import pandas as pd

    import headstart.mlflow

    predictor, folder, paths = trained
    headstart.mlflow.save_model(folder if as_path else predictor, tmp_path / "saved")
    model = pyfunc.load_model(str(tmp_path / "saved"))
    expected = predictor.predict(paths)
    arrays = [np.asarray(picture(7, COLOURS["red"])), np.asarray(picture(8, COLOURS["blue"]))]
    for images in (paths, pd.DataFrame({"file": paths}), pd.DataFrame({"n": 1, "path": paths})):
        found = model.predict(images)
        assert found["label"].tolist() == [one.label for one in expected]
        np.testing.assert_allclose(found["probability"], [one.probability for one in expected])
        assert [len(top) for top in found["top"]] == [2, 2, 2]
    assert model.predict(arrays)["label"].tolist() == ["red", "blue"]


def test_it_is_stored_as_its_bundle(pyfunc, trained, tmp_path):
    """There is no pickle, and the requirement is this version of headstart."""
    import headstart.mlflow

    headstart.mlflow.save_model(trained[0], tmp_path / "saved")
    names = sorted(path.name for path in (tmp_path / "saved").rglob("*") if path.is_file())
    assert {"MLmodel", "config.json", "model.safetensors", "README.md"} <= set(names)
    assert not any(name.endswith((".pkl", ".pickle")) for name in names)
    requirements = (tmp_path / "saved" / "requirements.txt").read_text()
    assert f"headstart=={version('headstart')}" in requirements.splitlines()


def test_a_logged_model_loads_from_its_run(pyfunc, trained, tmp_path, monkeypatch):
    """It is found by the address that logging returns."""
    import mlflow

    import headstart.mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "tracking").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "tracking").as_uri())
    try:
        info = headstart.mlflow.log_model(trained[0], "cells")
        model = pyfunc.load_model(info.model_uri)
        labels = model.predict(trained[2])["label"].tolist()
    finally:
        mlflow.end_run()
        mlflow.set_tracking_uri(None)
    assert labels == [one.label for one in trained[0].predict(trained[2])]


def test_what_cannot_be_saved(pyfunc, trained, tmp_path):
    """An existing folder is kept, and a model that does not exist is named."""
    import headstart.mlflow

    (tmp_path / "old").mkdir()
    with pytest.raises(OutputError, match="already exists"):
        headstart.mlflow.save_model(trained[0], tmp_path / "old")
    with pytest.raises(BundleError, match="does not exist"):
        headstart.mlflow.save_model(tmp_path / "none", tmp_path / "new")


def test_a_table_without_images(pyfunc, trained):
    """The error names the columns."""
    import pandas as pd

    from headstart.mlflow import PyFuncModel

    with pytest.raises(OptionError, match=r"has the columns a, b, but neither 'image' nor 'path'"):
        PyFuncModel(trained[0]).predict(pd.DataFrame({"a": [1], "b": [2]}))


def test_without_mlflow(trained, tmp_path, monkeypatch):
    """The error says what to install."""
    import headstart.mlflow

    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    with pytest.raises(OptionError, match=r"pip install 'headstart\[mlflow\]'"):
        headstart.mlflow.save_model(trained[0], tmp_path / "saved")
