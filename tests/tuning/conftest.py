"""A small data set and classifiers on a tiny network, fitted once.

Fine-tuning does not change the backbone and the extractor of a classifier, so a shallow copy of a
fitted classifier is equivalent to a new one.
"""

import copy
from pathlib import Path

import pytest

import headstart as hs
from headstart.tuning.held_out import learning_set
from tests.conftest import COLOURS, in_pytorch, picture

TINY = "test_resnet"
QUICK = {"epochs": 2, "batch_size": 8, "augment": "flip", "views": 2}


@pytest.fixture(autouse=True, scope="package")
def _run_in_pytorch():
    """Run the networks of this package's tests in PyTorch."""
    with in_pytorch():
        yield


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """A folder with photos of three overlapping classes, and a cache shared by all tests."""
    root = tmp_path_factory.mktemp("tuning")
    for number, (label, colour) in enumerate(COLOURS.items()):
        (root / "photos" / label).mkdir(parents=True)
        for index in range(20):
            image = picture(number * 1000 + index, colour)
            image.save(root / "photos" / label / f"{index:03d}.png")
    return root


@pytest.fixture(scope="session")
def data(root):
    """The photos, opened."""
    return hs.open_images(root / "photos", cache=root / "cache")


def fitted(data, cache, head=None, **options):
    """Fit a classifier on a tiny network."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    options = {"classes": data.classes, "precision": "float32", "cache": cache} | options
    return hs.Classifier(backbone, head, **options).fit(data.train)


@pytest.fixture(scope="package")
def linear(data, root):
    """A classifier with a linear head, not to be changed."""
    return fitted(data, root / "cache", hs.LinearHead())


@pytest.fixture
def make(linear):
    """Return a function that returns a copy of the fitted classifier."""
    return lambda: copy.copy(linear)


@pytest.fixture
def model(make):
    """A fitted classifier."""
    return make()


def state(model):
    """Return a copy of the backbone's weights."""
    return {name: tensor.clone() for name, tensor in model.backbone.network.state_dict().items()}


def changed(before, after):
    """Return the names of the tensors that differ."""
    return {name for name in before if not before[name].equal(after[name])}


def at_step(step, data, act, *, epochs=QUICK["epochs"]):
    """Return a progress callback that acts once after a step of the first round."""
    train_images = len(learning_set(data.train, None, hold_out=True, seed=0).rounds[0][0])
    batch_size = QUICK["batch_size"]
    awaited = step * batch_size, epochs * -(-train_images // batch_size) * batch_size
    assert awaited[1] != QUICK["views"] * len(
        data.train
    )  # The same total as filling the store would be ambiguous.

    def progress(done, total):
        nonlocal awaited
        if (done, total) == awaited:
            awaited = None
            act()

    return progress
