"""An export: what is written, that it answers as the model does, and that it is complete."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

import headstart as hs
from headstart.answers import Thresholds
from headstart.backbones.licences import describe_licence
from headstart.data.inputs import as_image
from headstart.engines.quiet_openvino import ov
from headstart.exporting.graph import AnsweringNetwork
from headstart.exporting.half_weights import store_onnx_as_half, stored_as_half
from headstart.exporting.metadata import metadata_of
from headstart.exporting.script import FIRST_LINE, run_script
from headstart.tasks.multi import Multi
from tests.conftest import COLOURS, picture
from tests.exporting.planting import change_network, swapped

FILES = {
    "onnx": ["README.md", "model.onnx", "predict.py"],
    "openvino": ["README.md", "model.bin", "model.xml", "predict.py"],
    "torch": ["README.md", "model.pt2", "predict.py"],
}
REFUSED = ("sixteen_bits.png", "cut_off.jpg")
PHOTOS = [picture(700 + number, colour) for number, colour in enumerate(COLOURS.values())]
NOISE = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
IMAGES = [*PHOTOS, *NOISE]


@pytest.fixture(scope="module")
def pixels(model):
    """Return five preprocessed images."""
    preprocess = model.extractor.preprocess
    return np.stack([preprocess.pixels(as_image(image)) for image in IMAGES])


def session_of(model):
    """Return a function that runs an ONNX file or model."""
    content = model if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content)
    return lambda images: session.run(None, {"images": images})


def assert_predictions(outputs, model):
    """Assert that outputs are the predictions for the five images."""
    probabilities, predicted, unknown = map(np.asarray, outputs)
    expected = model.predict(IMAGES)
    rows = np.stack([one.probabilities for one in expected])
    np.testing.assert_allclose(probabilities, rows, atol=1e-4)
    assert predicted.dtype == unknown.dtype == bool
    assert [model.classes[row.argmax()] for row in predicted] == [one.label for one in expected]
    assert predicted.sum() == len(IMAGES)
    assert unknown.tolist() == [one.unknown for one in expected]


@pytest.mark.parametrize("name", FILES)
def test_each_format_is_written_and_checked(exported, name):
    """The record lists the files with their bytes, and the comparison with the model."""
    record = exported(name)
    folder = Path(record.folder)
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    assert sorted(sizes) == FILES[name] and dict(record.files) == sizes
    assert (record.format, record.weights, record.only_features) == (name, "float32", False)
    assert (record.half, record.quantisation) == (None, None)
    parity = record.parity
    assert (parity.images, parity.converted, parity.hard_cases) == (36, 0, 17)
    assert parity.refused == REFUSED
    assert 0 < parity.difference < 1e-4 and parity.batch_difference < 1e-4
    assert parity.measured_changed == 0 or parity.precision == "bf16"
    assert record.seconds > 0


def test_a_record_is_plain_json(exported):
    """The record survives the way through text."""
    values = exported("onnx").to_json()
    again = json.loads(json.dumps(values))
    assert again["files"] == dict(exported("onnx").files)
    assert again["parity"]["images"] == 36 and again["half"] is None


@pytest.mark.parametrize("count", [1, 5])
def test_onnx_gives_the_predictions_of_the_model(exported, model, pixels, count):
    """The file takes any number of images, and its outputs are named."""
    file = Path(exported("onnx").folder) / "model.onnx"
    run = session_of(file)
    parts = [run(pixels[start : start + count]) for start in range(0, 5, count)]
    assert_predictions([np.concatenate(output) for output in zip(*parts, strict=True)], model)
    session = onnxruntime.InferenceSession(file)
    assert [one.name for one in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape[1:] == [64, 64, 3]
    names = [one.name for one in session.get_outputs()]
    assert names == ["probabilities", "predicted", "unknown"]


@pytest.mark.parametrize("count", [1, 5])
def test_openvino_gives_the_predictions_of_the_model(exported, model, pixels, count):
    """The file takes any number of images."""
    network = ov.Core().read_model(Path(exported("openvino").folder) / "model.xml")
    run = ov.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    parts = [
        [output.copy() for output in run(pixels[start : start + count]).values()]
        for start in range(0, 5, count)
    ]
    assert_predictions([np.concatenate(output) for output in zip(*parts, strict=True)], model)


def test_pytorch_gives_the_predictions_of_the_model(exported, model, pixels):
    """The program takes one image and several."""
    network = torch.export.load(Path(exported("torch").folder) / "model.pt2").module()
    assert_predictions(network(torch.from_numpy(pixels)), model)
    single = network(torch.from_numpy(pixels[:1]))
    np.testing.assert_allclose(single[0], network(torch.from_numpy(pixels))[0][:1], atol=1e-6)


def test_onnx_passes_the_checker_and_describes_itself(exported, model):
    """Classes are in order; everything to read a file as the model does is in the metadata."""
    network = onnx.load(Path(exported("onnx").folder) / "model.onnx")
    onnx.checker.check_model(network, full_check=True)
    (note,) = network.metadata_props
    values = json.loads(note.value)
    assert note.key == "headstart"
    assert values["classes"] == ["blue", "red"] == list(model.classes)
    assert values["outputs"] == ["probabilities", "predicted", "unknown"]
    assert (values["task"], values["operating_point"]) == ("single", None)
    assert (values["backbone"], values["weights"]) == ("test_efficientnet", "random")
    assert values["licence"] == ""
    preprocess = values["preprocess"]
    assert (preprocess["size"], preprocess["resize"]) == (64, "squash")
    assert preprocess["interpolation"] == model.extractor.preprocess.interpolation
    assert (preprocess["background"], preprocess["contract"]) == (255, 2)


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_this_machine(exported, trained, name):
    """Neither the folder of this project nor that of the user or the run is in any file."""
    secrets = {str(Path(hs.__file__).parents[2]), str(trained.run.parent), torch.__path__[0]}
    if str(Path.home()) != "/":
        secrets.add(f"{Path.home()}/")
    for file in Path(exported(name).folder).iterdir():
        content = file.read_bytes()
        assert [one for one in secrets if one.encode() in content] == [], file.name


def test_the_readme_tells_how_to_use_it_and_what_was_checked(exported):
    """It names the classes, the outputs and the checks."""
    text = (Path(exported("onnx").folder) / "README.md").read_text()
    assert text.startswith("# Image classifier with 2 classes\n\nExported by Headstart ")
    for line in (
        "- Classes, in the order of the outputs: blue, red",
        "pip install numpy pillow onnxruntime",
        "| input | `images` | uint8, 0 to 255, red, green, blue | (batch, 64, 64, 3) |",
        "| output | `predicted` | bool | (batch, classes) |",
        "| files | 36 images, and 17 that are easily decoded wrongly |",
        "| labels other than the model's in float32 | 0 |",
        "| refused by predict.py | sixteen_bits.png, cut_off.jpg |",
    ):
        assert line in text.splitlines()


def test_a_predictor_is_exported(export, model, tmp_path):
    """A model in memory is checked with images that are named; a missing folder is created."""
    record = export(model, out=tmp_path / "new" / "out")
    assert (record.parity.images, record.parity.precision) == (3, "float32")
    assert sorted(dict(record.files)) == FILES["openvino"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


@pytest.mark.usefixtures("unchecked")
def test_an_earlier_export_is_replaced(export, tmp_path):
    """With overwrite, the files of another format are gone."""
    (tmp_path / "out").mkdir()
    for name in ("predict.py", "README.md", "model.onnx"):
        (tmp_path / "out" / name).write_text(FIRST_LINE + " earlier")
    export(overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES["openvino"]
    assert "earlier" not in (tmp_path / "out" / "predict.py").read_text()


def test_images_that_the_script_does_not_read_are_compared_as_png(export, tmp_path):
    """16 bits per channel are converted; an image that cannot be read is left out."""
    folder = tmp_path / "images"
    folder.mkdir()
    PHOTOS[0].save(folder / "a.png")
    grey = np.asarray(PHOTOS[1].convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(folder / "b.png")
    (folder / "c.png").write_text("no image")
    record = export(images=folder)
    assert (record.parity.images, record.parity.converted) == (2, 1)
    assert "1 of them as PNG" in (tmp_path / "out" / "README.md").read_text()


def test_several_labels_with_thresholds(export, model, tmp_path, photos):
    """The script lists the labels that reach their threshold; the metadata has the thresholds."""
    limits = Thresholds("sensitivity=0.95", (0.5, 0.0001), ("", ""))
    several = replace(model, task=Multi(), thresholds=limits)
    assert export(several).parity.images == 3
    files = sorted(photos.iterdir())
    answers = list(run_script(tmp_path / "out", files))
    expected = [[label for label, _ in one.labels] for one in several.predict(files)]
    assert [sorted(one["labels"]) for one in answers] == list(map(sorted, expected))
    assert {len(labels) for labels in expected} == {1, 2}
    values = metadata_of(several, ())
    assert values["task"] == "multi"
    point = {"purpose": "sensitivity=0.95", "thresholds": [0.5, 0.0001]}
    assert values["operating_point"] == point
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "- Operating point: sensitivity=0.95" in readme.splitlines()


def test_the_licence_of_the_weights_is_named(model):
    """Random weights have none; others have that of their source, in words."""
    source = SimpleNamespace(name="a", origin="imagenet", licence="apache-2.0")
    extractor = SimpleNamespace(source=source, preprocess=model.extractor.preprocess)
    other = SimpleNamespace(
        task=model.task, classes=("a", "b"), thresholds=None, extractor=extractor
    )
    assert metadata_of(other, ())["licence"] == describe_licence("apache-2.0") != ""


def test_only_features_are_those_of_the_extractor(export, model, tmp_path, pixels):
    """The file has one output, the features of all stages."""
    record = export(only_features=True)
    assert record.only_features and record.parity.difference < 1e-4
    network = ov.Core().read_model(tmp_path / "out" / "model.xml")
    run = ov.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (features,) = run(pixels).values()
    expected = np.concatenate(list(model.extractor.of_images(map(as_image, IMAGES))))
    scale = np.abs(expected).max()
    assert features.shape == expected.shape
    np.testing.assert_allclose(features / scale, expected / scale, atol=1e-4)
    assert "`features`" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.usefixtures("unchecked")
def test_half_precision_is_half_the_size(export, exported, tmp_path):
    """Weights take two bytes, and the labels of all images are compared."""
    record = export(half=True)
    assert (record.weights, record.half.images) == ("float16", 12)
    assert record.half.changed == 0 and 0 < record.half.difference < 0.01
    full, half = dict(exported("openvino").files), dict(record.files)
    assert 0.5 < half["model.bin"] / full["model.bin"] < 0.6
    readme = (tmp_path / "out" / "README.md").read_text()
    assert ", weights in half precision." in readme
    assert "| answers that half precision changes | 0 of 12 |" in readme


@pytest.mark.usefixtures("unchecked")
def test_half_precision_that_changes_labels_is_refused(export, nothing_left, monkeypatch):
    """More labels than max_drop allows are an error, and nothing is written."""
    change_network(monkeypatch, swapped, only_half=True)
    with pytest.raises(hs.HeadstartError) as caught:
        export(half=True, max_drop=10, overwrite=True)
    assert str(caught.value) == (
        "In half precision, 12 of 12 answers change; 10% are allowed. "
        "Omit --half, or raise --max-drop."
    )
    nothing_left()


def test_onnx_in_half_precision(exported, onnx_layers, model, pixels):
    """Large weights of the backbone take two bytes; everything is computed in float32."""
    file = Path(exported("onnx").folder) / "model.onnx"
    network = onnx.load(file)
    backbone = {layer.name for layer in onnx_layers if layer.in_backbone}
    read = {name for node in network.graph.node if node.name in backbone for name in node.input}
    named = {one.name: math.prod(one.dims) for one in network.graph.initializer}
    weights = [named[name] for name in read & set(named) if named[name] >= 1000]
    assert weights
    store_onnx_as_half(network, backbone)
    onnx.checker.check_model(network, full_check=True)
    kept = 4 * sum(weights)
    saved = file.stat().st_size - len(network.SerializeToString())
    assert 0.45 * kept < saved < 0.5 * kept
    exact, half = session_of(file)(pixels), session_of(network)(pixels)
    assert 0 < np.abs(exact[0] - half[0]).max() < 0.01
    np.testing.assert_array_equal(exact[1], half[1])


def test_pytorch_in_half_precision(model, pixels):
    """The copy answers almost the same, and the network itself is unchanged."""
    network = AnsweringNetwork(model.module(), model)
    exact = network(torch.from_numpy(pixels))
    half = stored_as_half(network)
    stored = [one for one in half.state_dict().values() if one.dtype == torch.float16]
    assert stored and all(one.numel() >= 1000 for one in stored)
    answers = half(torch.from_numpy(pixels))
    assert 0 < (answers[0] - exact[0]).abs().max() < 0.01
    assert (answers[1] == exact[1]).all()
    assert torch.equal(network(torch.from_numpy(pixels))[0], exact[0])
    assert not any(one.dtype == torch.float16 for one in network.state_dict().values())
