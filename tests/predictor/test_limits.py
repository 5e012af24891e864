"""What a model says about its limits: unknown images, prediction sets, abstention."""

import json

import numpy as np
import pytest

import headstart as hs
from headstart.errors import OptionError
from tests.conftest import write_blue_and_red


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Open a folder of red and blue images."""
    folder = tmp_path_factory.mktemp("colours")
    write_blue_and_red(folder, 30)
    return hs.open_images(folder, cache=folder.parent / "cache", test=0.2)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """Fit a model on a tiny network."""
    cache = tmp_path_factory.mktemp("cache")
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    head = hs.NearestHead()
    options = {"precision": "float32", "cache": cache}
    return hs.Classifier(backbone, head, classes=data.classes, **options).fit(data.train)


def stranger(seed: int) -> np.ndarray:
    """Return a checkerboard, which is neither blue nor red."""
    board = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((8, 8)))
    noise = np.random.default_rng(seed).integers(0, 9, (64, 64, 1))
    return (board[:, :, np.newaxis] * 240 + noise).astype(np.uint8).repeat(3, axis=2)


def test_a_stranger_is_unknown(model, data):
    """An image unlike the training images is unknown; in JSON only then."""
    known = model.predict(data.test)
    assert np.mean([one.unknown for one in known]) < 0.3
    assert "unknown" not in next(one for one in known if not one.unknown).to_json()
    strange = model.predict(stranger(0))
    assert strange.unknown
    assert strange.to_json()["unknown"] is True


def test_sets_and_abstention_are_part_of_the_prediction(model, data):
    """They are given on request."""
    plain = model.predict(data.test.paths[0])
    assert plain.prediction_set is plain.abstained is None
    asked = model.predict(data.test.paths[0], coverage=0.9, max_error=0.2)
    assert set(asked.prediction_set) <= {"blue", "red"}
    assert asked.abstained in (True, False)
    assert asked.to_json()["set"] == list(asked.prediction_set)
    assert asked.answer["set"] == "|".join(asked.prediction_set)


def test_limits_are_saved(model, data, tmp_path):
    """A loaded model says the same."""
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", precision="float32", cache=tmp_path / "cache")
    for image in (data.test.paths[0], stranger(1)):
        first, second = (
            one.predict(image, coverage=0.9, set_method="aps", max_error=0.2)
            for one in (model, again)
        )
        assert first.to_json() == {**second.to_json(), "image": first.image}
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert (
        " training images 17 numbers that are computed from the features, the label and the" in card
    )
    assert "the probabilities and labels of 44 held-out predictions" in card
    assert json.loads((tmp_path / "bundle" / "config.json").read_text())["schema"] == 4


def test_options_are_checked(model):
    """A share out of range, a wrong name and a promise that cannot be kept are errors."""
    image = stranger(2)
    with pytest.raises(
        OptionError, match=r"'coverage' cannot be 1\.5: Input should be less than 1"
    ):
        model.predict(image, coverage=1.5)
    with pytest.raises(OptionError, match=r"Unknown option 'coverge'\. Did you mean 'coverage'"):
        model.predict(image, coverge=0.9)
    with pytest.raises(OptionError, match=r"do not support that at most 0\.01% of the answers"):
        model.predict(image, max_error=0.0001)


def test_a_class_that_is_added_is_not_unknown(model, data):
    """Its images are known from then on; there are no held-out predictions of it."""
    boards = [stranger(number) for number in range(8)]
    more = model.predictor.with_class("board", boards[:6])
    assert not more.predict(boards[7]).unknown
    assert more.predict(boards[7]).label == "board"
    with pytest.raises(OptionError, match="keeps no held-out predictions"):
        more.predict(boards[7], coverage=0.9)


def test_limits_are_measured_on_labelled_images(model, data):
    """Coverage, errors and false alarms on the test part."""
    probabilities = model.probabilities_of(data.test)
    measured = model.predictor.measure_limits(data.test, probabilities)
    assert measured.images == len(data.test)
    assert measured.unknown is not None
    assert [one.coverage for one in measured.sets] == [0.9, 0.95, 0.9]
