"""Runs and bundles that the first version wrote still load, and predict what they predicted.

`schema_1.tar.xz` holds runs of every head and recipe on tiny networks, the photos that they were
trained and tested on, and the probabilities that the version that wrote them gave (float32).
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
    """Unpack what the first version wrote."""
    folder = tmp_path_factory.mktemp("schema-1")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "schema-1"


@pytest.fixture(scope="module")
def expected(written):
    """Read what the version that wrote the models predicted."""
    return json.loads((written / "expected.json").read_text())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_predicts_what_it_predicted(written, expected, tmp_path, name):
    """Labels are the same, probabilities agree to a millionth."""
    model = hs.load(written / name, precision="float32", cache=tmp_path)
    found = model.predict([written / image for image in expected["images"]])
    for one, before in zip(found, expected["predictions"][name], strict=True):
        assert one.label == before.pop("")
        assert dict(one.top) == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_saved_in_this_version(written, tmp_path, name):
    """Loaded and saved again, nothing is lost: the tensors are the same, bit for bit."""
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
def test_training_can_go_on(written, tmp_path, name, kind, balanced, seed):
    """What was asked for is read from the record of a run."""
    model = hs.load(written / name, precision="float32", cache=tmp_path)
    found = model.specification
    assert (found.kind, found.balanced, found.seed) == (kind, balanced, seed)
    assert hs.Classifier.from_predictor(model).classes == model.classes


@pytest.mark.parametrize("name", RUNS)
def test_a_record_is_read(written, name):
    """Numbers come back as they stand in the file, and the report can be drawn again."""
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
        assert [one.name for one in record.test.per_class] == list(record.data.classes)
        assert record.temperature == values["test"]["temperature"]
        part = Single().report_part(record.test)
    assert record.data.name in render_report(record, part, [])


def test_what_fine_tuning_did_is_read(written):
    """The epochs and both models' numbers come back."""
    values = json.loads((written / "runs" / "tuned" / "metrics.json").read_text())["tuning"]
    tuning = Record.read(written / "runs" / "tuned").tuning
    assert tuning.part == values["part"] and tuning.kept == values["kept"]
    assert tuning.tuned_log_loss == values["tuned_log_loss"]
    assert [one.val_loss for one in tuning.epochs] == [one["val_loss"] for one in values["epochs"]]
    assert tuning.setting.images_per_second == values["setting"]["images_per_second"]


def test_a_later_version_is_refused_by_name(written, tmp_path):
    """A record of a later headstart says to upgrade."""
    values = json.loads((written / "runs" / "linear" / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps(values | {"schema": 99}))
    with pytest.raises(hs.HeadstartError) as caught:
        Record.read(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path / 'metrics.json'}' has version 99; this headstart reads up to 2. "
        "Upgrade headstart."
    )
