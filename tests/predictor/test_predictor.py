"""The predictor: shared by threads and processes, and equivalent to its module."""

import copy
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, dataclass, field, replace
from functools import cache

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.errors import OptionError, UnreadableImage
from headstart.heads.fitted import BlendModel, StackModel
from headstart.predictor.predictor import FailedPrediction
from tests.conftest import COLOURS, picture, write_blue_and_red
from tests.processes import PROCESSES

HEADS = {
    "auto": hs.AutoHead(),
    "linear": hs.LinearHead(),
    "kernel": hs.KernelHead(),
    "mlp": hs.MLPHead(hidden=8, epochs=5),
    "nearest": hs.NearestHead(),
}
PHOTOS = [picture(number, COLOURS["red" if number % 2 else "blue"]) for number in range(9)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Open a folder of red and blue images."""
    folder = tmp_path_factory.mktemp("photos")
    write_blue_and_red(folder, 14)
    return hs.open_images(folder, cache=folder.parent / "cache", test=0.3)


@pytest.fixture(scope="module")
def make(photos, tmp_path_factory):
    """Return a function that fits a model on a tiny network."""
    cache = tmp_path_factory.mktemp("cache")

    def make(head, scales="one", **options):
        backbone = hs.load_backbone("test_resnet", weights="random", image_size=64, scales=scales)
        options = {"precision": "float32", "cache": cache} | options
        model = hs.Classifier(backbone, head, classes=photos.classes, **options)
        return model.fit(photos.train).predictor

    return make


@pytest.fixture(scope="module")
def named(make):
    """Return a function that returns the model with a kind of head, fitted once."""

    @cache
    def get(name):
        if name == "blend":
            return blended(make)
        if name == "stack":
            return stacked(make)
        if name == "flatten":
            return make(hs.MLPHead(hidden=8, epochs=5), features="flatten")
        if name == "scales":
            return make(hs.AutoHead(), scales="two")
        return make(HEADS[name])

    return get


@pytest.fixture(scope="module")
def model(make):
    """Return a model with a linear head that has already predicted."""
    model = make(hs.LinearHead())
    model.predict(PHOTOS[0])
    return model


@pytest.fixture(scope="module")
def expected(model):
    """Return the predictions of a single thread."""
    return predict_all(model)


def predict_all(model):
    """Predict all photos. A function of the module, so that other processes can import it."""
    return [prediction.probability for prediction in model.predict(PHOTOS)]


def blended(make):
    """Return a model whose head is the mean of two heads, as after fine-tuning."""
    linear, kernel = make(hs.LinearHead()), make(hs.KernelHead(), features="last")
    head = BlendModel(linear.head, kernel.head, 1.5, 0.7)
    return replace(linear, head=head, features="multilevel")


def stacked(make):
    """Return a model whose head is an average with shares."""
    linear, kernel = make(hs.LinearHead()), make(hs.KernelHead(), features="last")
    head = StackModel((linear.head, kernel.head), (0.3, 0.7), (1.5, 0.7))
    return replace(linear, head=head, features="multilevel")


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("name", [*HEADS, "blend", "stack", "flatten", "scales"])
def test_the_module_gives_the_probabilities_of_the_predictor(named, name, stored_as):
    """Pixels in, calibrated probabilities out, within 1e-5 in float32, for every kind of head."""
    model = replace(named(name), stored_as=stored_as)
    pixels = np.stack([model.extractor.backbone.preprocess.pixels(photo) for photo in PHOTOS])
    results = model.module()(torch.from_numpy(pixels)).numpy()
    (features,) = list(model.extractor.engine.run([pixels]))
    assert results.shape == (len(PHOTOS), 2)
    np.testing.assert_allclose(results, model.probabilities(features), atol=1e-5)


def test_the_module_shares_nothing_with_the_model(model, expected):
    """Changing the module does not affect the model."""
    module = model.module()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert predict_all(model) == expected


def test_it_is_immutable(model):
    """Attributes cannot be assigned."""
    with pytest.raises(FrozenInstanceError):
        model.temperature = 2.0


def test_threads_share_a_model(make, expected):
    """Eight threads that start to predict at once get the same results as a single thread."""
    fresh = make(hs.LinearHead())
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: predict_all(fresh), range(8)))
    assert results == [expected] * 8


INHERITED = {}
"""Values that forked processes inherit without pickling."""


def predict_with_inherited(_):
    """Predict with the model inherited from the parent process."""
    return predict_all(INHERITED["model"])


def test_forked_processes_share_a_model(model, expected):
    """Eight forked processes get the same results as the parent, and none hangs."""
    INHERITED["model"] = model
    with multiprocessing.get_context("fork").Pool(8) as pool:
        results = pool.map_async(predict_with_inherited, range(8), chunksize=1).get(timeout=120)
    for result in results:
        assert result == pytest.approx(expected, abs=1e-6)


def test_processes_that_receive_a_model(model, expected):
    """Processes that receive a model by pickle get the same results."""
    with PROCESSES.Pool(2) as pool:
        results = pool.map_async(predict_all, [model] * 2, chunksize=1).get(timeout=300)
    for result in results:
        assert result == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", [*HEADS, "blend"])
def test_a_forked_child_predicts(named, name):
    """A child that is forked after a prediction can predict, for every kind of head."""
    model = named(name)
    expected = predict_all(model)
    with threads_of_torch(2):
        torch.rand(600, 600) @ torch.rand(600, 600)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            correct = predict_all(model) == pytest.approx(expected, abs=1e-6)
            correct = (
                correct and len(model.module()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))) == 1
            )
            os._exit(0 if correct else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert predict_all(model) == expected


@contextmanager
def threads_of_torch(count):
    """Set the number of PyTorch threads; the tests use one, users have more."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def test_threads_do_not_change_the_warning_filters(model):
    """The filters are global to the process; eight threads leave them unchanged."""
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: model.predict(PHOTOS), range(24)))
    assert warnings.filters == before


def test_changing_the_network_does_not_affect_predictions(photos, tmp_path):
    """A model keeps the weights that it was fitted with, even if the network is changed."""
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    options = {"precision": "float32", "cache": tmp_path}
    model = hs.Classifier(backbone, hs.LinearHead(), classes=photos.classes, **options)
    model.fit(photos.train)
    before = model.probabilities_of(photos.test)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.mul_(2)
    np.testing.assert_array_equal(model.probabilities_of(photos.test), before)
    results = [prediction.top for prediction in model.predict(photos.test.paths)]
    blue = [dict(top)["blue"] for top in results]
    np.testing.assert_allclose(blue, before[:, 0], atol=1e-4)


def test_a_model_predicts_the_same_while_it_is_tuned(make, photos):
    """Fine-tuning changes a copy, so that predictions made meanwhile are unchanged."""
    model = hs.Classifier.from_predictor(make(hs.LinearHead()))
    predictor = model.predictor
    before, results = predict_all(predictor), []
    model.fine_tune(
        photos.train,
        keep="always",
        progress=lambda done, total: results.append(predict_all(predictor)),
        epochs=1,
        batch_size=8,
        views=1,
    )
    assert len(results) > 2
    for result in results:
        assert result == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("name", [*HEADS, "blend"])
def test_a_model_that_has_predicted_is_saved(named, tmp_path, name):
    """Values that a head has cached are not saved."""
    model = named(name)
    expected = predict_all(model)
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path)
    assert predict_all(again) == pytest.approx(expected, abs=1e-6)


def test_a_model_is_hashable(model):
    """A predictor can be a key, and is equal only to itself."""
    assert {model: "value"}[model] == "value"
    assert model != replace(model)


@dataclass(frozen=True)
class CustomHead:
    """A user-defined head with an array."""

    prior: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def fit(self, problem, *, seed):
        """See `Head.fit`."""
        return hs.LinearHead().fit(problem, seed=seed)


def test_a_custom_head_is_saved(make, tmp_path):
    """A loaded model predicts; to train it further, the head must be passed again."""
    model = make(CustomHead())
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path)
    assert predict_all(again) == pytest.approx(predict_all(model), abs=1e-6)
    with pytest.raises(hs.HeadstartError) as caught:
        hs.Classifier.from_predictor(again)
    assert str(caught.value) == "The model was trained with a custom head. Pass it as head=."
    assert hs.Classifier.from_predictor(again, head=CustomHead()).predictor is again


@pytest.mark.parametrize(
    "copy_model", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_a_copy_predicts_the_same(model, expected, copy_model):
    """A model that has predicted can be copied and pickled."""
    assert predict_all(copy_model(model)) == expected


def test_an_unreadable_image_has_a_failed_prediction(model, tmp_path):
    """`predict` raises the error; `predict_each` continues after it."""
    PHOTOS[0].save(tmp_path / "good.png")
    images = [tmp_path / "none.png", tmp_path / "good.png", b"no image", tmp_path / "good.png"]
    with pytest.raises(UnreadableImage, match=r"none\.png"):
        model.predict(images)
    first, second, third, fourth = model.predict_each(images)
    assert first == FailedPrediction(str(tmp_path / "none.png"), "the file does not exist")
    assert third == FailedPrediction("bytes", "it is not an image of a known format")
    assert second == fourth and second.label == "blue"


def test_errors_can_be_kept(model, tmp_path):
    """With errors="keep", a failed prediction takes the place of an unreadable image."""
    none = FailedPrediction(str(tmp_path / "none.png"), "the file does not exist")
    first, second, third = model.predict(
        [tmp_path / "none.png", PHOTOS[0], None], errors="keep", top=1
    )
    assert (first, third.image) == (none, "None")
    assert second == model.predict(PHOTOS[0], top=1)
    assert third.error.startswith("did cv2.imread fail to read the file?")
    assert model.predict(tmp_path / "none.png", errors="keep") == none
    classifier = hs.Classifier.from_predictor(model)
    assert classifier.predict([tmp_path / "none.png"], errors="keep") == [none]
    with pytest.raises(OptionError, match=r"^errors must be raise or keep\. Got 'ignore'\.$"):
        model.predict(PHOTOS, errors="ignore")


def test_every_kind_of_collection_is_predicted(model, photos, expected):
    """A batch, a generator and a list give the same; a set of images gives those of its paths."""
    arrays = np.stack([np.asarray(photo) for photo in PHOTOS])
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    for images in (arrays, arrays / 255, tensors, tensors / 255, (photo for photo in PHOTOS)):
        results = model.predict(images)
        assert [result.probability for result in results] == pytest.approx(expected, abs=1e-6)
    (single,) = model.predict_each(arrays[0])
    assert single == model.predict(arrays[0])
    of_set = model.predict(photos.test)
    assert [result.image for result in of_set] == photos.test.paths
    assert of_set == model.predict(photos.test.paths)


def test_a_path_is_not_a_collection_of_characters(model):
    """A string is one path."""
    with pytest.raises(UnreadableImage, match=r"^Cannot read image '/none\.png': the file does"):
        model.predict("/none.png")


def test_a_camera_may_reuse_its_array(model):
    """Each frame is predicted as it was when it was passed."""
    frame = np.empty((64, 64, 3), np.uint8)

    def frames():
        for photo in PHOTOS:
            frame[:] = np.asarray(photo)
            yield frame

    labels = [result.label for result in model.predict(frames())]
    assert labels == [result.label for result in model.predict(PHOTOS)]
    assert set(labels) == {"blue", "red"}


def test_images_are_decoded_lazily(model):
    """Only a limited number of images is decoded ahead."""
    read = 0

    def images():
        nonlocal read
        for _ in range(500):
            read += 1
            yield PHOTOS[0]

    results = model.predict_each(images())
    next(results)
    assert read < 200
    assert sum(1 for _ in results) == 499


def test_evaluation_and_prediction_round_features_alike(model, photos):
    """Both round features to the precision that the model was trained with."""
    half = replace(model, stored_as="float16")
    features, kind = half.extractor.of_files(photos.test.files)
    assert kind == "float32"
    rounded = features.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(half.probabilities_of(photos.test), model.probabilities(rounded))


def test_predicting_does_not_hash_the_weights(model, monkeypatch):
    """The hash of the weights is computed only once."""
    hashed = []
    monkeypatch.setattr(type(model.extractor.backbone), "weights_sha256", hashed.append)
    assert model.predict(PHOTOS[0]).label == "blue"
    assert hashed == []


def test_predicting_imports_little(model, tmp_path):
    """With a converted network, a model predicts without torch, timm and scikit-learn.

    Evaluating needs scikit-learn; neither imports any training code.
    """
    model.save(tmp_path / "model")
    PHOTOS[0].save(tmp_path / "photo.png")
    assert hs.load(tmp_path / "model", cache=tmp_path / "cache").predict(PHOTOS[0]).label == "blue"
    program = f"""
import sys, headstart.cli
arguments = ["predict", {str(tmp_path / "model")!r}, {str(tmp_path / "photo.png")!r}, "--json"]
try:
    headstart.cli.main([*arguments, "--cache", {str(tmp_path / "cache")!r}])
except SystemExit as end:
    assert not end.code, end.code
slow = ("torch", "torchvision", "timm", "sklearn", "scipy", "lance", "pyarrow")
print([name for name in slow if name in sys.modules])
import headstart.commands.evaluate, headstart.commands.galleries
training = ("tuning", "choosing", "report", "classifier", "commands.train")
unwanted = (*(f"headstart.{{name}}" for name in training), "timm.optim", "timm.scheduler")
print(sorted(name for name in sys.modules if name.startswith(unwanted)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *predicted, slow, unwanted = done.stdout.splitlines()
    assert json.loads("".join(predicted))[0]["label"] == "blue", done.stderr
    assert (slow, unwanted) == ("[]", "[]")


def test_a_loaded_model_is_saved_without_building_its_network(model, tmp_path):
    """A loaded model that is saved again gives the same bundle and the same predictions."""
    model.save(tmp_path / "first")
    loaded = hs.load(tmp_path / "first", cache=tmp_path / "cache")
    loaded.save(tmp_path / "second")
    tensors = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert tensors[0] == tensors[1]
    again = hs.load(tmp_path / "second", cache=tmp_path / "cache")
    assert again.extractor.fingerprint == model.extractor.fingerprint
    assert again.predict(PHOTOS[0]) == loaded.predict(PHOTOS[0])


@pytest.mark.parametrize("name", HEADS)
def test_training_continues_from_a_loaded_model(make, photos, tmp_path, name):
    """A classifier from a loaded model has the same settings as the saved one."""
    model = make(HEADS[name], balanced=True, seed=3)
    model.save(tmp_path / "model")
    again = hs.Classifier.from_predictor(hs.load(tmp_path / "model", cache=tmp_path / "cache"))
    assert again.predictor.specification == model.specification
    assert model.specification.balanced and model.specification.seed == 3
    options = {"keep": "always", "epochs": 1, "batch_size": 8, "views": 1}
    record = again.fine_tune(photos.train, **options)
    kinds = {"linear": "linear", "kernel": "kernel", "nearest": "nearest", "mlp": "mlp"}
    assert record.head == kinds.get(name, record.head)
    if name == "nearest":
        again.add_class("green", PHOTOS[:2])
        assert again.classes == ("blue", "red", "green")
    fresh = hs.Classifier.from_predictor(hs.load(tmp_path / "model", cache=tmp_path / "cache"))
    results = fresh.fit(photos.train).predictor.probabilities_of(photos.test)
    np.testing.assert_array_equal(results, model.probabilities_of(photos.test))
