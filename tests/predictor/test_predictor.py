"""The immutable model: shared by threads and processes, and equal to its module."""

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

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.errors import UnreadableImage
from headstart.heads.fitted import BlendModel
from headstart.predictor.predictor import Unread
from tests.conftest import COLOURS, picture

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
    """Open a folder of red and blue pictures."""
    folder = tmp_path_factory.mktemp("photos")
    for number, label in enumerate(("blue", "red")):
        (folder / label).mkdir()
        for index in range(14):
            picture(number * 1000 + index, COLOURS[label]).save(folder / label / f"{index}.png")
    return hs.open_images(folder, cache=folder.parent / "cache", test=0.3)


@pytest.fixture(scope="module")
def make(photos, tmp_path_factory):
    """Give a function that fits a model on a tiny network."""
    cache = tmp_path_factory.mktemp("cache")

    def make(head, **options):
        backbone = hs.load_backbone("test_resnet", weights="random")
        options = {"precision": "float32", "cache": cache} | options
        model = hs.Classifier(backbone, head, classes=photos.classes, **options)
        return model.fit(photos.train).predictor

    return make


@pytest.fixture(scope="module")
def model(make):
    """A model with a linear head, which has predicted before."""
    model = make(hs.LinearHead())
    model.predict(PHOTOS[0])
    return model


@pytest.fixture(scope="module")
def expected(model):
    """What one thread of one process predicts."""
    return answers(model)


def answers(model):
    """Predict all photos; a function of the module, so that other processes find it."""
    return [one.probability for one in model.predict(PHOTOS)]


def blended(make):
    """Average two heads, as fine-tuning may."""
    linear, kernel = make(hs.LinearHead()), make(hs.KernelHead(), features="last")
    head = BlendModel(linear.head, kernel.head, 1.5, 0.7)
    return replace(linear, head=head, features="multilevel")


@pytest.mark.parametrize("stored_as", ["float32", "float16"])
@pytest.mark.parametrize("name", [*HEADS, "blend", "flatten"])
def test_the_module_gives_the_probabilities_of_the_predictor(make, name, stored_as):
    """Pixels in, calibrated probabilities out, within 1e-5 in float32, for every kind of head."""
    if name == "blend":
        model = blended(make)
    elif name == "flatten":
        model = make(hs.MLPHead(hidden=8, epochs=5), features="flatten")
    else:
        model = make(HEADS[name])
    model = replace(model, stored_as=stored_as)
    pixels = np.stack([model.extractor.backbone.preprocess.pixels(one) for one in PHOTOS])
    found = model.module()(torch.from_numpy(pixels)).numpy()
    (features,) = list(model.extractor.engine.run([pixels]))
    assert found.shape == (len(PHOTOS), 2)
    np.testing.assert_allclose(found, model.probabilities(features), atol=1e-5)


def test_the_module_shares_nothing_with_the_model(model, expected):
    """Training the module leaves the model as it is."""
    module = model.module()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert answers(model) == expected


def test_it_cannot_be_changed(model):
    """A predictor is a value."""
    with pytest.raises(FrozenInstanceError):
        model.temperature = 2.0


def test_threads_share_one(make, expected):
    """Eight threads that predict at once, before any engine was built, give what one gives."""
    fresh = make(hs.LinearHead())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: answers(fresh), range(8)))
    assert found == [expected] * 8


INHERITED = {}
"""What forked processes find in their memory, without any pickling."""


def inherited_answers(_):
    """Predict with the model of the parent."""
    return answers(INHERITED["model"])


def test_forked_processes_share_one(model, expected):
    """Eight processes that inherit a model that has predicted give what one gives; none hangs."""
    INHERITED["model"] = model
    with multiprocessing.get_context("fork").Pool(8) as pool:
        found = pool.map_async(inherited_answers, range(8), chunksize=1).get(timeout=120)
    for one in found:
        assert one == pytest.approx(expected, abs=1e-6)


def test_spawned_processes_share_one(model, expected):
    """Processes that were sent a model that has predicted give what one gives.

    `benchmarks.processes` has eight of them; here, few have to import everything again.
    """
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map_async(answers, [model] * 2, chunksize=1).get(timeout=300)
    for one in found:
        assert one == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", [*HEADS, "blend"])
def test_a_forked_child_predicts(make, name):
    """Predict, fork, predict: the child goes on by itself, whatever the parent has used."""
    model = blended(make) if name == "blend" else make(HEADS[name])
    expected = answers(model)
    with threads_of_torch(2):
        torch.rand(600, 600) @ torch.rand(600, 600)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            good = answers(model) == pytest.approx(expected, abs=1e-6)
            good = good and len(model.module()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))) == 1
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert answers(model) == expected


@contextmanager
def threads_of_torch(count):
    """Compute with so many threads, as users do; the tests use one."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def test_threads_leave_the_filters_of_warnings_alone(model):
    """Python's filters belong to the whole process: eight threads leave them as they were."""
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: model.predict(PHOTOS), range(24)))
    assert warnings.filters == before


def test_training_the_network_changes_no_prediction(photos, tmp_path):
    """A model keeps the weights that it was fitted with, whatever happens to the given network."""
    backbone = hs.load_backbone("test_resnet", weights="random")
    options = {"precision": "float32", "cache": tmp_path}
    model = hs.Classifier(backbone, hs.LinearHead(), classes=photos.classes, **options)
    model.fit(photos.train)
    before = model.probabilities_of(photos.test)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.mul_(2)
    np.testing.assert_array_equal(model.probabilities_of(photos.test), before)
    found = [one.top for one in model.predict(photos.test.paths)]
    blue = [dict(top)["blue"] for top in found]
    np.testing.assert_allclose(blue, before[:, 0], atol=1e-4)


def test_a_model_predicts_the_same_while_it_is_tuned(make, photos):
    """Fine-tuning changes a copy: what is asked meanwhile is answered as before."""
    model = hs.Classifier.from_predictor(make(hs.LinearHead()))
    predictor = model.predictor
    before, found = answers(predictor), []
    model.fine_tune(
        photos.train,
        keep="always",
        progress=lambda done, total: found.append(answers(predictor)),
        epochs=1,
        batch_size=8,
        views=1,
    )
    assert len(found) > 2
    for one in found:
        assert one == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("name", [*HEADS, "blend"])
def test_a_model_that_has_predicted_is_saved(make, tmp_path, name):
    """What a head has computed for itself stays out of the bundle."""
    model = blended(make) if name == "blend" else make(HEADS[name])
    expected = answers(model)
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path)
    assert answers(again) == pytest.approx(expected, abs=1e-6)


def test_a_model_is_a_key(model):
    """A predictor can be remembered by caches, and equals itself alone."""
    assert {model: "one"}[model] == "one"
    assert model != replace(model)


@dataclass(frozen=True)
class OwnHead:
    """A head of the user's own, without a name and with an array."""

    prior: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def fit(self, problem, *, seed):
        """See `Head.fit`."""
        return hs.LinearHead().fit(problem, seed=seed)


def test_a_head_of_the_users_own_is_saved(make, tmp_path):
    """Its model predicts after loading; to train it further, the head has to be given again."""
    model = make(OwnHead())
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path)
    assert answers(again) == pytest.approx(answers(model), abs=1e-6)
    with pytest.raises(hs.HeadstartError) as caught:
        hs.Classifier.from_predictor(again)
    assert str(caught.value) == "The model was trained with a custom head. Pass it as head=."
    assert hs.Classifier.from_predictor(again, head=OwnHead()).predictor is again


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_predicts_the_same(model, expected, copied):
    """A model that has predicted can be copied and pickled."""
    assert answers(copied(model)) == expected


def test_an_image_that_cannot_be_read_is_named_in_its_place(model, tmp_path):
    """`predict` raises the error; `predict_each` goes on after it."""
    PHOTOS[0].save(tmp_path / "good.png")
    images = [tmp_path / "none.png", tmp_path / "good.png", b"no image", tmp_path / "good.png"]
    with pytest.raises(UnreadableImage, match=r"none\.png"):
        model.predict(images)
    first, second, third, fourth = model.predict_each(images)
    assert first == Unread(str(tmp_path / "none.png"), "the file does not exist")
    assert third == Unread("bytes", "it is not an image of a known format")
    assert second == fourth and second.label == "blue"


def test_a_list_of_images_is_not_decoded_as_a_whole_first(model):
    """Images are read as they are needed, some ahead."""
    read = 0

    def images():
        nonlocal read
        for _ in range(500):
            read += 1
            yield PHOTOS[0]

    found = model.predict_each(images())
    next(found)
    assert read < 200
    assert sum(1 for _ in found) == 499


def test_evaluation_and_prediction_round_features_alike(model, photos):
    """A model whose features were stored in half precision rounds stored ones too."""
    half = replace(model, stored_as="float16")
    features, kind = half.extractor.of_files(photos.test.files)
    assert kind == "float32"
    rounded = features.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(half.probabilities_of(photos.test), model.probabilities(rounded))


def test_weights_are_hashed_once(model, monkeypatch):
    """A prediction does not read all weights again."""
    hashed = []
    monkeypatch.setattr(type(model.extractor.backbone), "weights_sha256", hashed.append)
    assert model.predict(PHOTOS[0]).label == "blue"
    assert hashed == []


def test_predicting_imports_little(model, tmp_path):
    """With its network converted before, a model predicts without torch, timm and scikit-learn.

    Evaluating needs scikit-learn, and neither needs anything of training.
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
import headstart.commands.evaluate
training = ("tuning", "choosing", "report", "classifier", "commands.train")
unwanted = (*(f"headstart.{{name}}" for name in training), "timm.optim", "timm.scheduler")
print(sorted(name for name in sys.modules if name.startswith(unwanted)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *predicted, slow, unwanted = done.stdout.splitlines()
    assert json.loads("".join(predicted))[0]["label"] == "blue", done.stderr
    assert (slow, unwanted) == ("[]", "[]")


def test_a_loaded_model_is_saved_without_building_its_network(model, tmp_path):
    """What was loaded and saved again is the same bundle, and gives the same answers."""
    model.save(tmp_path / "first")
    loaded = hs.load(tmp_path / "first", cache=tmp_path / "cache")
    loaded.save(tmp_path / "second")
    tensors = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert tensors[0] == tensors[1]
    again = hs.load(tmp_path / "second", cache=tmp_path / "cache")
    assert again.extractor.fingerprint == model.extractor.fingerprint
    assert again.predict(PHOTOS[0]) == loaded.predict(PHOTOS[0])


@pytest.mark.parametrize("name", HEADS)
def test_training_goes_on_as_it_would_have(make, photos, tmp_path, name):
    """A classifier made of a loaded model is set up as the one that was saved."""
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
    found = fresh.fit(photos.train).predictor.probabilities_of(photos.test)
    np.testing.assert_array_equal(found, model.probabilities_of(photos.test))
