"""The whole way of images with several labels: train, fine-tune, evaluate, predict."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import headstart as hs
from headstart.cli.tables import show_candidates
from headstart.commands.evaluate import prevalence_of
from headstart.commands.train import TrainResult
from headstart.errors import OptionError
from headstart.options import EvaluateOptions
from tests.commands.conftest import QUICK
from tests.conftest import COLOURS, picture

LABELS = ("blue", "green", "red")
TOP = {"blue": 0, "green": 1, "red": 2}


def write(folder: Path, count: int, *, unknown: float = 0.0) -> Path:
    """Write pictures of three stripes, each in the colour of its label or grey, and a table."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", *(f"has_{name}" for name in LABELS)])
        for number in range(count):
            present = rng.random(3) < 0.5
            image = Image.new("RGB", (64, 64))
            for stripe, name in enumerate(LABELS):
                colour = COLOURS[name] if present[stripe] else (128, 128, 128)
                part = picture(3 * number + stripe, colour).crop((0, 0, 64, 22))
                image.paste(part, (0, 21 * stripe))
            image.save(folder / f"{number:03d}.png")
            cells = ["" if rng.random() < unknown else int(value) for value in present]
            writer.writerow([f"{number:03d}.png", "test" if number % 3 == 0 else "train", *cells])
    return folder / "table.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train on 40 images, of which a tenth of the values is unknown; the data is beside the run."""
    root = tmp_path_factory.mktemp("several")
    table = write(root / "photos", 60, unknown=0.1)
    return hs.train(
        table, labels="has_*", out=root / "run", cache=root / "cache", progress=False, **QUICK
    )


def test_training_finds_each_label(trained: TrainResult) -> None:
    """The run, its record, its JSON and its report are those of several labels."""
    record = trained.record
    assert record.task == "multi"
    assert record.data.classes == tuple(f"has_{name}" for name in LABELS)
    assert len(record.temperature) == 3
    assert record.test.auroc.macro.value > 0.8
    values = trained.to_json()["test"]
    assert values["macro_auroc"] == record.test.auroc.macro.value
    assert {"macro_ap", "micro_f1"} <= set(values)
    assert [one["class"] for one in values["operating_point"]] == list(record.data.classes)
    report = (trained.run / "report.html").read_text()
    assert "macro AUROC" in report and "Operating point: f1" in report
    assert "All labels right</th>" in report and ">Accuracy</th>" not in report


def test_words_are_those_of_labels(trained: TrainResult) -> None:
    """Images have labels, not classes; candidates are right if they have all of them right."""
    data = hs.open_images(trained.run.parent / "photos" / "table.csv", labels="has_*")
    assert data.summary.startswith("60 images with 3 labels (40 training, 20 test). The labels are")
    with (console := Console(width=100)).capture() as capture:
        show_candidates(console, trained.record)
    assert "all labels right" in capture.get()


def test_a_loaded_model_predicts_the_same_labels(trained: TrainResult) -> None:
    """The bundle keeps temperatures and thresholds of all labels."""
    image = next(trained.run.parent.glob("photos/*.png"))
    model = hs.load(trained.run)
    assert model.thresholds == trained.model.predictor.thresholds
    assert model.temperature == trained.model.predictor.temperature
    found = model.predict(image)
    assert found == trained.model.predict(image)
    limits = dict(zip(model.classes, model.thresholds.values, strict=True))
    assert dict(found.labels) == {
        name: probability for name, probability in found.top if probability >= limits[name]
    }


def test_predictions_are_written_with_all_labels(trained: TrainResult, tmp_path: Path) -> None:
    """The table has the labels, and the probability of each."""
    folder = trained.run.parent / "photos"
    found = hs.predict(trained.run, folder, out=tmp_path / "p.csv", progress=False)
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert rows[0]["labels"] == "|".join(label for label, _ in found[0].labels)
    assert float(rows[0]["p_has_red"]) == pytest.approx(found[0].probabilities[2])
    values = json.loads(json.dumps(found[0].to_json()))
    assert set(values) == {"image", "labels", "top"}


def test_the_test_part_is_evaluated_again(trained: TrainResult, tmp_path: Path) -> None:
    """The same figures as in the run, and predictive values at a stated prevalence."""
    result = hs.evaluate(trained.run, prevalence=0.05, progress=False)
    assert result.evaluation.auroc == trained.record.test.auroc
    (first, *_) = result.evaluation.operating
    assert first.prevalence == 0.05
    assert "at a prevalence of 5.00%" in result.summary.operating[0]


def test_the_own_test_part_has_the_prevalence_of_the_training(trained: TrainResult) -> None:
    """It is in the record of the run, unless another one is given; other data has its own."""
    model = hs.load(trained.run)
    record = replace(model.record, options={**model.record.options, "prevalence": 0.02})
    model = replace(model, record=record)
    assert prevalence_of(model, None, EvaluateOptions()) == 0.02
    assert prevalence_of(model, None, EvaluateOptions(prevalence=0.1)) == 0.1
    assert prevalence_of(model, "other.csv", EvaluateOptions()) is None


def test_the_module_gives_the_same_probabilities(trained: TrainResult) -> None:
    """An average of heads has a sigmoid for each label inside a network, too."""
    import torch

    data = hs.open_images(trained.run.parent / "photos" / "table.csv", labels="has_*")
    model = hs.Classifier(
        trained.model.backbone, classes=data.classes, cache=trained.run.parent / "cache"
    )
    model.fit(data.train, progress=False)
    predictor = model.predictor
    assert predictor.head.kind == "stack" and predictor.head.activation == "sigmoid"
    paths = data.test.paths[:4]
    expected = np.stack([predictor.predict(path).probabilities for path in paths])
    pixels = [predictor.extractor.preprocess.pixels(Image.open(path)) for path in paths]
    found = predictor.module()(torch.from_numpy(np.stack(pixels))).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_fine_tuning_and_mlp(trained: TrainResult, tmp_path: Path) -> None:
    """Both train with a sigmoid for each label, and unknown labels do not count."""
    data = hs.open_images(trained.run.parent / "photos" / "table.csv", labels="has_*")
    model = hs.Classifier(
        trained.model.backbone, "mlp", classes=data.classes, cache=tmp_path, features="last"
    )
    model.fit(data.train, progress=False)
    report = model.fine_tune(
        data.train, keep="always", epochs=1, views=1, batch_size=8, progress=False
    )
    assert report.kept
    assert len(model.predictor.thresholds.values) == 3
    assert model.evaluate(data.test, progress=False).auroc.macro.value > 0.5


def test_options_that_make_no_sense_are_refused(
    make_folder: Callable[..., Path], trained: TrainResult, tmp_path: Path
) -> None:
    """Before anything is trained, and with the reason."""
    table = trained.run.parent / "photos" / "table.csv"
    common = {"cache": tmp_path, "progress": False, **QUICK}
    with pytest.raises(OptionError, match="sensitivity must be above 0"):
        hs.train(table, labels="has_*", operating_point="sensitivity=1.2", **common)
    with pytest.raises(OptionError, match="balanced has no effect"):
        hs.train(table, labels="has_*", balanced=True, **common)
    three = make_folder(classes=("blue", "green", "red"), count=4)
    with pytest.raises(OptionError, match="needs two classes"):
        hs.train(three, operating_point="f1", **common)
    with pytest.raises(OptionError, match="prevalence has no effect"):
        hs.train(three, prevalence=0.1, **common)


def test_two_classes_have_an_operating_point(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The rarer class is predicted from its threshold on."""
    folder = make_folder(count=14)
    for path in sorted((folder / "red").glob("*.png"))[:4]:
        path.unlink()
    result = hs.train(
        folder,
        operating_point="sensitivity=0.9",
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        progress=False,
        **QUICK,
    )
    thresholds = hs.load(result.run).thresholds
    assert thresholds.positive == 1
    assert sum(thresholds.values) == pytest.approx(1)
    (operating,) = result.record.test.operating
    assert (operating.name, operating.purpose) == ("red", "sensitivity=0.9")
    assert "'red' at sensitivity=0.9" in result.summary.operating[0]
