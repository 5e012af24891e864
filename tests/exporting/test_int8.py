"""8-bit integers: chosen on training images, and accepted or not on test images."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import headstart as hs
from headstart.engines.quiet_openvino import ov
from headstart.exporting import int8, job
from headstart.exporting.formats import Layer, OpenVino
from headstart.exporting.graph import AnsweringNetwork
from headstart.exporting.int8 import Way, has_attention, judge
from headstart.record.export import ExportRecord
from headstart.runs.images import images_of_run
from headstart.tasks.single import Single
from tests.exporting.planting import Changed, swapped

BACKBONE = "__module.model.pooling.network"


@dataclass(frozen=True)
class Refused:
    """An export whose every way of quantising swaps red and blue, and what it did on the way.

    Attributes:
        record: Its record.
        ways: The name, the number of images and the kind of network of each quantisation.
        asked: The files of each run of the script, without the parity gate.
        calibration: The files whose pixels were used to quantise, each time.
    """

    record: ExportRecord
    ways: list[tuple[str, int, bool]]
    asked: list[list[str]]
    calibration: list[list[str]]


@pytest.fixture(scope="module")
def refused(trained, exported, model, photos, tmp_path_factory):
    """Export in 8-bit integers that are wrong; no loss is allowed."""
    network = Changed(AnsweringNetwork(model.module(), model), swapped)
    wrong = OpenVino().convert(network, 64, half=False)
    ways, asked, calibration = [], [], []
    answers, pixels = job.answers_of_export, job.ExportJob._pixels

    def quantise(_, layers, images, way, *, attention):
        ways.append((way.name, len(images), attention))
        return wrong

    def answering(folder, files, classes):
        asked.append([str(file) for file in files])
        return answers(folder, files, classes)

    def reading(self, images):
        calibration.append(list(images.paths))
        return pixels(self, images)

    out, parity = tmp_path_factory.mktemp("int8") / "out", exported("openvino").parity
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "quantise", quantise)
        patch.setattr(job, "CALIBRATION_IMAGES", 5)
        patch.setattr(job, "check_parity", lambda _, files, *rest, **named: (parity, files))
        patch.setattr(job, "answers_of_export", answering)
        patch.setattr("headstart.exporting.parity.answers_of_export", answering)
        patch.setattr(job.ExportJob, "_pixels", reading)
        options = {"images": photos, "cache": trained.run.parent / "cache", "progress": False}
        options |= {"format": "openvino", "int8": True, "max_drop": 0}
        record = hs.export(trained.run, out=out, **options)
    return Refused(record, ways, asked, calibration)


def quantised_layers(file):
    """Return the names of the operations of a file that take 8-bit integers."""
    network = ov.Core().read_model(file)
    rounded = [one for one in network.get_ops() if one.get_type_name() == "FakeQuantize"]
    assert rounded
    return {
        target.get_node().get_friendly_name()
        for one in rounded
        for target in one.output(0).get_target_inputs()
    }


@pytest.mark.usefixtures("unchecked")
def test_only_the_backbone_is_quantised(export, exported, model, monkeypatch, tmp_path):
    """The file is smaller and accepted; head and distances stay in float32."""
    monkeypatch.setattr(job, "CALIBRATION_IMAGES", 4)
    record = export(int8=True, max_drop=20)
    result = record.quantisation
    assert result.accepted and record.weights == "int8" and record.half is None
    assert (result.metric, result.images) == ("accuracy", 12)
    assert [name for name, _, _ in result.by_class] == ["blue", "red"]
    assert dict(record.files)["model.bin"] < 0.6 * dict(exported("openvino").files)["model.bin"]
    layers = quantised_layers(tmp_path / "out" / "model.xml")
    assert all(name.startswith(BACKBONE) for name in layers), layers
    readme = (tmp_path / "out" / "README.md").read_text()
    assert ", 8-bit integers." in readme.splitlines()[2]
    assert f"8-bit integers ({result.way}): accuracy " in readme
    assert json.loads(json.dumps(record.to_json()))["quantisation"]["accepted"] is True


def test_the_backbone_is_known_in_onnx(exported, onnx_layers):
    """Every convolution belongs to it, some of them depthwise, and the head does not."""
    exported("onnx")
    convolutions = [layer for layer in onnx_layers if layer.kind != "other"]
    assert {layer.kind for layer in convolutions} == {"convolution", "depthwise"}
    assert all(layer.in_backbone for layer in convolutions)
    outside = {layer.name for layer in onnx_layers if not layer.in_backbone}
    assert any("Gemm" in name or "addmm" in name for name in outside), outside


def test_a_loss_is_refused_and_said(exported, refused):
    """The file in float32 stays, and the README says why."""
    record, result = refused.record, refused.record.quantisation
    assert (result.accepted, record.weights) == (False, "float32")
    assert result.float32 - result.int8 > 0.5 and result.changed > 6
    folder = Path(record.folder)
    exact = Path(exported("openvino").folder) / "model.bin"
    assert (folder / "model.bin").read_bytes() == exact.read_bytes()
    readme = (folder / "README.md").read_text()
    assert "8-bit integers." not in readme.splitlines()[2]
    assert "That is more than --max-drop allows, so the weights stayed in float32." in readme
    assert f"{result.changed} answers change." in readme


def test_the_way_is_chosen_on_training_images(trained, refused):
    """Test images are used once, after a way has been chosen; calibration images never judge."""
    assert [name for name, _, _ in refused.ways] == [way.name for way in int8.WAYS]
    assert {(count, attention) for _, count, attention in refused.ways} == {(5, False)}
    images = images_of_run(trained.run, Single())
    test, others, *ways, judged = refused.asked
    assert ways == [others] * 3
    assert len(others) == 5 and set(others) <= set(images.train.paths)
    assert test == judged == images.test.paths
    calibration = refused.calibration[0]
    assert refused.calibration == [calibration]
    assert len(calibration) == 5 and set(calibration) <= set(images.train.paths)
    assert not set(calibration) & set(others)


@pytest.mark.parametrize(
    ("way", "kept"),
    [
        (Way("all"), set()),
        (Way("first", kept=("first",)), {"a"}),
        (Way("deep", kept=("first", "depthwise")), {"a", "b"}),
    ],
)
def test_some_layers_stay_in_float32(monkeypatch, way, kept):
    """Those outside the backbone always, and those that a way keeps."""
    found = {}

    def quantize(model, dataset, **settings):
        found.update(settings)
        return model

    fake = SimpleNamespace(
        Dataset=lambda images, function: [function(image) for image in images],
        quantize=quantize,
        QuantizationPreset=SimpleNamespace(MIXED="mixed"),
        ModelType=SimpleNamespace(TRANSFORMER="transformer"),
        IgnoredScope=lambda names: names,
    )

    @contextmanager
    def nncf():
        yield fake

    monkeypatch.setattr(int8, "_nncf", nncf)
    layers = [
        Layer("a", "convolution", True),
        Layer("b", "depthwise", True),
        Layer("c", "convolution", True),
        Layer("d", "other", True),
        Layer("head", "other", False),
    ]
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    assert int8.quantise("model", layers, images, way, attention=True) == "model"
    assert set(found["ignored_scope"]) == {"head", *kept}
    assert (found["subset_size"], found["model_type"]) == (2, "transformer")


def test_transformers_are_recognised(model):
    """They are quantised with other settings."""
    assert has_attention(hs.load_backbone("test_vit", weights="random"))
    assert not has_attention(model.extractor.pooling)


@pytest.fixture(scope="module")
def held_out(trained):
    """Return the twelve test images of the run."""
    return images_of_run(trained.run, Single()).test


@pytest.mark.parametrize(("max_drop", "accepted"), [(8.0, False), (100 / 12, True), (100, True)])
def test_the_loss_is_measured_on_test_images(model, held_out, max_drop, accepted):
    """One more mistake in twelve is a loss of 8.33 points; just as much may be allowed."""
    exact = np.eye(2)[held_out.labels] * 0.8 + 0.1
    worse = exact.copy()
    worse[0] = worse[0, ::-1]
    result = judge(model, held_out, exact, worse, "way", changed=1, max_drop=max_drop)
    assert (result.float32, result.int8) == (1, pytest.approx(11 / 12))
    assert result.accepted is accepted
    name = model.classes[held_out.labels[0]]
    assert {one: new for one, _, new in result.by_class}[name] == pytest.approx(5 / 6)
    assert result.ci95[0] < -1 / 12 < result.ci95[1]
    assert (result.changed, result.way, result.images) == (1, "way", 12)


def test_better_is_accepted(model, held_out):
    """A gain is not a loss."""
    exact = np.eye(2)[held_out.labels][:, ::-1] * 0.8 + 0.1
    result = judge(model, held_out, exact, 1 - exact, "way", changed=12, max_drop=0)
    assert result.accepted and result.int8 == 1
