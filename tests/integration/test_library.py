"""The six steps in Python."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.errors import OptionError
from tests.conftest import TINY


def test_the_steps_one_by_one(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open, load, freeze, add a head, fit, evaluate, predict, save, load."""
    make_folder()
    monkeypatch.chdir(tmp_path)
    data = hs.open_images("photos/")
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    backbone.freeze()
    assert isinstance(backbone, torch.nn.Module)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    model = hs.Classifier(
        backbone, head=hs.MLPHead(hidden=256, dropout=0.5), classes=data.classes, features="last"
    )
    assert model.fit(data.train) is model
    assert model.evaluate(data.test).accuracy == 1.0
    prediction = model.predict("photos/blue/000.png")
    assert (prediction.image, prediction.label) == ("photos/blue/000.png", "blue")
    model.save("runs/photos")
    loaded = hs.load("runs/photos")
    assert loaded.predict("photos/blue/000.png") == prediction
    evaluations = [each.evaluate(data.test) for each in (model, loaded)]
    assert evaluations[0] == evaluations[1]


def test_a_loaded_model_gives_the_same_probabilities(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Saving and loading preserves the probabilities exactly."""
    data = hs.open_images(make_folder())
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    model = hs.Classifier(backbone, hs.LinearHead(), classes=data.classes).fit(data.train)
    model.save(tmp_path / "model")
    loaded = hs.load(tmp_path / "model")
    assert loaded.predict(data.test.paths) == model.predict(data.test.paths)
    before, after = (each.probabilities_of(data.all) for each in (model, loaded))
    assert np.array_equal(before, after)


def test_predicting_before_fitting_says_what_to_do(make_folder: Callable[..., Path]) -> None:
    """A model that was not fitted cannot predict."""
    data = hs.open_images(make_folder())
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    model = hs.Classifier(backbone, classes=data.classes)
    with pytest.raises(OptionError) as error:
        model.predict(data.test.paths[0])
    assert str(error.value) == "The classifier is not fitted yet. Call fit first."


def test_train_takes_the_options_of_the_command_line(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """`hs.train` performs all steps and returns the run, the model and the record."""
    result = hs.train(
        make_folder(),
        out=str(tmp_path / "run"),
        cache=str(tmp_path / "cache"),
        backbone=TINY,
        weights="random",
        image_size=64,
        head="nearest",
        features="multilevel",
        test=0.25,
        seed=3,
    )
    assert result.run == tmp_path / "run"
    assert result.record.head == "nearest"
    assert result.model.predict(tmp_path / "photos/red/000.png").label == "red"
