"""Runs and bundles of schema version 1 still load and give the same predictions.

`schema_1.tar.xz` contains runs of every head and recipe on tiny networks, their training and test
images, and the probabilities predicted by the version that wrote them, in float32.
"""

import json
import tarfile
from pathlib import Path

import pytest

import headstart as hs
from headstart.predictor.bundle import read_bundle
from headstart.record import Record
from headstart.report import render_report
from headstart.tasks.single import Single

ARCHIVE = Path(__file__).with_name("schema_1.tar.xz")
RUNS = (
    *("auto", "dihedral", "kernel", "linear", "mlp", "nearest", "no-test", "recommended"),
    *("tuned", "tuned-auto", "tutorial", "val", "vit"),
)
MODELS = (*(f"runs/{name}" for name in RUNS), "bundles/blend", "bundles/tuned-kernel")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Unpack the files of version 1."""
    folder = tmp_path_factory.mktemp("schema-1")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "schema-1"


@pytest.fixture(scope="module")
def expected(written):
    """Read the predictions of the version that wrote the models."""
    return json.loads((written / "expected.json").read_text())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_same_predictions(written, expected, tmp_path, name):
    """Labels are equal, and probabilities agree to 1e-6."""
    model = hs.load(written / name, precision="float32", cache=tmp_path)
    predictions = model.predict([written / image for image in expected["images"]])
    for prediction, before in zip(predictions, expected["predictions"][name], strict=True):
        assert prediction.label == before.pop("")
        assert dict(prediction.top) == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_saved_in_this_version(written, tmp_path, name):
    """Loading and saving a model preserves the tensors exactly."""
    model = hs.load(written / name, precision="float32", cache=tmp_path)
    model.save(tmp_path / "again")
    before, after = read_bundle(written / name), read_bundle(tmp_path / "again")
    assert before.tensors.keys() == after.tensors.keys()
    for key, tensor in before.tensors.items():
        assert tensor.tobytes() == after.tensors[key].tobytes()
    assert before.config.classes == after.config.classes


@pytest.mark.parametrize(
    ("name", "kind", "balanced", "seed"),
    [
        ("runs/auto", "auto", False, 0),
        ("runs/linear", "linear", True, 3),
        ("runs/nearest", "nearest", False, 0),
        ("runs/tutorial", "tutorial", False, 0),
        ("bundles/tuned-kernel", "auto", False, 0),
    ],
)
def test_training_can_continue(written, tmp_path, name, kind, balanced, seed):
    """The specification of the head is read from the record of a run."""
    model = hs.load(written / name, precision="float32", cache=tmp_path)
    specification = model.specification
    assert (specification.kind, specification.balanced, specification.seed) == (
        kind,
        balanced,
        seed,
    )
    assert hs.Classifier.from_predictor(model).classes == model.classes


@pytest.mark.parametrize("name", RUNS)
def test_a_record_is_read(written, name):
    """Values are as in the file, and the report can be rendered again."""
    values = json.loads((written / "runs" / name / "metrics.json").read_text())
    record = Record.read(written / "runs" / name)
    assert record.task == "single"
    assert record.data.classes == tuple(values["data"]["classes"])
    assert record.seconds == values["seconds"]
    assert (record.test is None) == (values["test"] is None)
    part = None
    if record.test:
        assert record.test.accuracy == values["test"]["accuracy"]
        assert record.test.confusion == tuple(map(tuple, values["confusion"]))
        assert [result.name for result in record.test.per_class] == list(record.data.classes)
        assert record.temperature == values["test"]["temperature"]
        part = Single().report_part(record.test)
    assert record.data.name in render_report(record, part, [])


def test_the_record_of_fine_tuning_is_read(written):
    """The epochs and the results of both models are as in the file."""
    values = json.loads((written / "runs" / "tuned" / "metrics.json").read_text())["tuning"]
    tuning = Record.read(written / "runs" / "tuned").tuning
    assert tuning.part == values["part"] and tuning.kept == values["kept"]
    assert tuning.tuned_log_loss == values["tuned_log_loss"]
    assert [epoch.val_loss for epoch in tuning.epochs] == [
        epoch["val_loss"] for epoch in values["epochs"]
    ]
    assert tuning.setting.images_per_second == values["setting"]["images_per_second"]


def test_a_later_version_is_an_error(written, tmp_path):
    """The error says to upgrade."""
    values = json.loads((written / "runs" / "linear" / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps(values | {"schema": 99}))
    with pytest.raises(hs.HeadstartError) as caught:
        Record.read(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path / 'metrics.json'}' has version 99, but this version of headstart reads "
        "only up to 2. Upgrade headstart."
    )
