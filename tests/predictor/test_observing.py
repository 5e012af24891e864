"""What models see in unlabelled images: the features and probabilities that they predict with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.engines.slot import EngineSlot
from headstart.errors import UnreadableImage
from headstart.files import file_sha256
from headstart.predictor.observing import observe
from tests.predictor.test_detector import SCENES, make


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector with random weights."""
    return make(tmp_path_factory.mktemp("cache"))


def observed(detector, images):
    """Return the names or errors, the features and the probabilities of images."""
    batches = list(observe(detector, images))
    names = [name for batch in batches for name in batch.images]
    features = np.concatenate([batch.features for batch in batches])
    return names, features, np.concatenate([batch.probabilities for batch in batches])


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Files of scenes, in different sizes."""
    root = tmp_path_factory.mktemp("scenes")
    paths = [str(root / f"{number}.png") for number in range(len(SCENES))]
    for number, (image, path) in enumerate(zip(SCENES, paths, strict=True)):
        image.resize((96 + 8 * number, 72)).save(path)
    return paths


@pytest.mark.parametrize("tiles", [None, 64])
def test_a_detector_sees_what_it_predicts(detector, paths, tiles):
    """The highest probability of each class, also in tiles, and the features of the whole image."""
    model = replace(detector, tiles=tiles)
    names, features, probabilities = observed(model, paths)
    assert names == paths
    expected = np.array([one.probabilities for one in model.predict(paths)])
    assert len(np.unique(expected, axis=0)) == len(paths)
    np.testing.assert_allclose(probabilities, np.maximum(expected, 0.01), atol=1e-6)
    stored, _ = model.extractor.of_files([(path, file_sha256(Path(path))) for path in paths])
    assert features.shape == stored.shape
    np.testing.assert_allclose(features, stored, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("tiles", [None, 64])
def test_unreadable_images_keep_their_place(detector, paths, tiles):
    """At the begin, between others and at the end; without any other there are no features."""
    given = [b"no image", *paths[:3], b"", *paths[3:], "none.png"]
    names, features, probabilities = observed(replace(detector, tiles=tiles), given)
    places = [at for at, name in enumerate(names) if isinstance(name, UnreadableImage)]
    assert places == [0, 4, len(given) - 1]
    assert [name for name in names if isinstance(name, str)] == paths
    assert len(features) == len(probabilities) == len(paths)
    names, features, probabilities = observed(detector, [b"no image"])
    assert [name.reason for name in names] == ["it is not an image of a known format"]
    assert features.shape == (0, detector.extractor.layout.width)
    assert probabilities.shape == (0, 2)


def test_an_array_may_be_used_again_for_the_next_image(detector):
    """As in predictions: each image is read once."""

    def frames():
        frame = np.zeros((72, 96, 3), np.uint8)
        for image in SCENES:
            frame[:] = np.asarray(image)
            yield frame

    _, features, probabilities = observed(detector, frames())
    _, others, expected = observed(detector, SCENES)
    np.testing.assert_allclose(features, others, atol=2e-3)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_a_class_without_a_box_is_not_impossible(detector):
    """Its probability is that below which boxes are not looked at."""
    head = detector.head | {"score.bias": np.full(2, -30, np.float32)}
    blind = replace(detector, head=head, _engine=EngineSlot())
    assert blind.predict(SCENES[0]).probabilities.tolist() == [0, 0]
    assert observed(blind, SCENES[:1])[2].tolist() == [[0.01, 0.01]]
