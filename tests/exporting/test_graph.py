"""The exported network answers as the predictor does, for every head and task."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.answers import MultiPrediction, Thresholds
from headstart.data.inputs import as_image
from headstart.engines.quiet_openvino import ov
from headstart.exporting.formats import OpenVino
from headstart.exporting.graph import AnsweringNetwork, FeaturesNetwork
from headstart.heads.fitted import BlendModel, StackModel
from headstart.predictor.limits import Limits
from headstart.predictor.module import _rounded_to_half
from headstart.tasks.multi import Multi
from tests.conftest import COLOURS, picture

LABELS = ("blue", "green", "red")
HEADS = {
    "linear": hs.LinearHead(),
    "kernel": hs.KernelHead(),
    "mlp": hs.MLPHead(hidden=8, epochs=5),
    "nearest": hs.NearestHead(),
}
NOISE = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
PHOTOS = [
    *(picture(number, COLOURS[LABELS[number % 3]]) for number in range(9)),
    *(picture(100 + number, (120, 120, 120)) for number in range(4)),
    *NOISE,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Open a folder of blue, green and red images."""
    root = tmp_path_factory.mktemp("three") / "photos"
    for number, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for index in range(10):
            picture(number * 1000 + index, COLOURS[label]).save(root / label / f"{index}.png")
    return hs.open_images(root, cache=root.parent / "cache")


@pytest.fixture(scope="module")
def make(folder, tmp_path_factory):
    """Return a function that fits a model of three classes on a tiny network."""
    cache = tmp_path_factory.mktemp("cache")

    def fit(head, network="test_resnet", backbone=None, **options):
        loaded = hs.load_backbone(network, weights="random", image_size=64, **backbone or {})
        options = {"precision": "float32", "cache": cache, "classes": folder.classes} | options
        return hs.Classifier(loaded, head, **options).fit(folder.train).predictor

    return fit


@pytest.fixture(scope="module")
def linear(make):
    """Return a model with a linear head."""
    return make(HEADS["linear"])


def blended(make, linear):
    """Return a model whose head is the mean of two heads, as after fine-tuning."""
    kernel = make(HEADS["kernel"], features="last")
    return replace(
        linear, head=BlendModel(linear.head, kernel.head, 1.5, 0.7), features="multilevel"
    )


def stacked(make, linear):
    """Return a model whose head is an average with shares."""
    kernel = make(HEADS["kernel"], features="last")
    head = StackModel((linear.head, kernel.head), (0.3, 0.7), (1.5, 0.7))
    return replace(linear, head=head, features="multilevel")


def built(name, make, linear):
    """Return the model of a name."""
    if name == "blend":
        return blended(make, linear)
    if name == "stack":
        return stacked(make, linear)
    if name == "flatten":
        return make(HEADS["mlp"], features="flatten")
    if name == "scales":
        return make(HEADS["linear"], backbone={"scales": "two"})
    if name == "orientations":
        return make(HEADS["linear"], backbone={"orientations": "dihedral"})
    if name in HEADS:
        return make(HEADS[name])
    return make(HEADS["linear"], network=name)


def answers_of(network, model):
    """Return the outputs of a network for all photos, by name."""
    preprocess = model.extractor.preprocess
    images = [as_image(photo) for photo in PHOTOS]
    pixels = np.stack([preprocess.pixels(image) for image in images])
    outputs = network(torch.from_numpy(pixels))
    return dict(zip(network.outputs, (output.numpy() for output in outputs), strict=True))


def assert_same(outputs, model):
    """Assert that outputs are the predictions of the model."""
    expected = model.predict(PHOTOS)
    rows = np.stack([one.probabilities for one in expected])
    np.testing.assert_allclose(outputs["probabilities"], rows, atol=1e-5)
    labels = [
        {label for label, _ in one.labels} if isinstance(one, MultiPrediction) else {one.label}
        for one in expected
    ]
    found = [
        {name for name, flag in zip(model.classes, row, strict=True) if flag}
        for row in outputs["predicted"]
    ]
    assert found == labels
    unknown = [one.unknown for one in expected]
    assert list(outputs.get("unknown", [None] * len(PHOTOS))) == unknown


@pytest.mark.parametrize(
    "name",
    [
        *(*HEADS, "blend", "stack", "flatten", "scales", "orientations"),
        *("test_vit", "test_efficientnet"),
    ],
)
def test_all_outputs_are_those_of_the_predictor(make, linear, name):
    """Probabilities, labels and unknown images, for every kind of head and network."""
    model = built(name, make, linear)
    for stored_as in ("float16", "float32"):
        model = replace(model, stored_as=stored_as)
        outputs = answers_of(AnsweringNetwork(model.module(), model), model)
        assert_same(outputs, model)
    assert outputs["predicted"].sum() == len(PHOTOS)
    if name != "flatten":  # There are too many features to compare images by.
        assert {True, False} == set(outputs["unknown"].tolist())


@pytest.mark.parametrize("values", [(0.3, 0.5, 0.2), (1.0001, 0.5, 0.0)])
def test_each_of_several_labels_has_its_threshold(linear, values):
    """A label that reaches its threshold is predicted; there may be none or all."""
    limits = Thresholds("f1", values, ("", "", ""))
    model = replace(linear, task=Multi(), thresholds=limits)
    outputs = answers_of(AnsweringNetwork(model.module(), model), model)
    assert_same(outputs, model)
    without = replace(model, thresholds=None)
    changed = answers_of(AnsweringNetwork(without.module(), without), without)
    assert_same(changed, without)
    assert (outputs["predicted"] != changed["predicted"]).any()


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("threshold", [0.02, 0.98])
def test_an_operating_point_of_two_classes_decides(model, positive, threshold):
    """The positive class is predicted from its threshold on, not from 1/2."""
    values = [1 - threshold] * 2
    values[positive] = threshold
    limits = Thresholds("sensitivity=0.95", tuple(values), ("", ""), positive)
    model = replace(model, thresholds=limits)
    outputs = answers_of(AnsweringNetwork(model.module(), model), model)
    assert_same(outputs, model)
    assert (outputs["predicted"].argmax(axis=1) != outputs["probabilities"].argmax(axis=1)).any()


def test_a_model_that_knows_no_images_has_two_outputs(linear):
    """Without training images to compare with, nothing is called unknown."""
    model = replace(linear, limits=Limits())
    assert AnsweringNetwork(model.module(), model).outputs == ("probabilities", "predicted")


def test_features_are_those_of_the_extractor(linear):
    """The network without a head gives the features of all stages."""
    network = FeaturesNetwork(linear.extractor.pooling)
    images = [as_image(photo) for photo in PHOTOS]
    expected = np.concatenate(list(linear.extractor.of_images(images)))
    features = answers_of(network, linear)["features"]
    np.testing.assert_allclose(features, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["stack", "orientations", "scales"])
def test_openvino_gives_the_same(make, linear, name):
    """The conversion keeps every output, and which layers belong to the backbone."""
    model = replace(built(name, make, linear), stored_as="float16")
    network = AnsweringNetwork(model.module(), model)
    converted = OpenVino().convert(network, 64, half=False)
    compiled = ov.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    class Converted:
        outputs = network.outputs

        def __call__(self, pixels):
            return [torch.from_numpy(one.copy()) for one in compiled(pixels.numpy()).values()]

    assert_same(answers_of(Converted(), model), model)
    layers = OpenVino().layers(converted)
    convolutions = [layer for layer in layers if layer.kind != "other"]
    assert convolutions and all(layer.in_backbone for layer in convolutions)
    assert not any(layer.in_backbone for layer in layers if "model.head" in layer.name)
    assert any("model.head" in layer.name for layer in layers)


def test_rounding_is_that_of_half_precision():
    """Normal numbers are rounded as NumPy rounds them; larger ones are the largest."""
    rng = np.random.default_rng(0)
    size = 10.0 ** rng.uniform(-4, 4.8, 20_000)
    values = (size * rng.choice([-1, 1], len(size))).astype(np.float32)
    expected = np.clip(values, -65504, 65504).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(_rounded_to_half(torch.from_numpy(values)).numpy(), expected)


def test_numbers_of_half_precision_are_unchanged():
    """Every normal number of half precision, and zero, is rounded to itself."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    kept = halves[np.isfinite(halves) & ((np.abs(halves) >= 2**-14) | (halves == 0))]
    assert len(kept) == 2 * 30 * 1024 + 2
    np.testing.assert_array_equal(_rounded_to_half(torch.from_numpy(kept)).numpy(), kept)
