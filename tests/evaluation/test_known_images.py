"""The training images as points: what is unknown, and what is similar."""

import numpy as np
import pytest

from headstart.evaluation.known_images import KnownImages

WIDTH = 200


def features(images: int, seed: int, *, away: float = 0.0):
    """Draw features that vary in 10 directions, and some distance away from all of them."""
    axes = np.random.default_rng(0).normal(size=(10, WIDTH))
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(images, 10)) @ axes + 0.3 * draw.normal(size=(images, WIDTH))
    return (rows + away * axes[:1]).astype(np.float32)


def folds(images: int):
    rows = np.arange(images)
    return [(rows[rows % 5 != fold], rows[rows % 5 == fold]) for fold in range(5)]


@pytest.fixture(scope="module")
def known() -> KnownImages:
    """Learn 300 images, every third of which is a dog."""
    labels = ["dog" if row % 3 == 0 else "cat" for row in range(300)]
    names = [f"{row:064d}" for row in range(300)]
    weights = np.ones(WIDTH, np.float32)
    return KnownImages.of(features(300, 1), weights, names, labels, folds(300), seed=0)


def test_few_of_the_same_kind_are_unknown(known):
    """About 5% of new images of the same kind are unknown, and all that are far away."""
    assert known.unknown(features(2000, 2)).mean() == pytest.approx(0.05, abs=0.03)
    assert known.unknown(features(100, 3, away=12)).all()


@pytest.mark.parametrize("images", [30, 60, 100, 124])
def test_few_training_images(images):
    """The limit holds with few training images, too: the space has as many dimensions in folds."""
    alarms = []
    for seed in range(10):
        draw = np.random.default_rng(seed)
        train, new = (draw.normal(size=(n, 300)).astype(np.float32) for n in (images, 300))
        names = [str(row) for row in range(images)]
        weights = np.ones(300, np.float32)
        known = KnownImages.of(train, weights, names, names, folds(images), seed=seed)
        alarms.append(known.unknown(new).mean())
    assert np.mean(alarms) <= 0.12


def test_neighbours_are_the_nearest_images(known):
    """A training image is its own nearest neighbour; distances grow."""
    found = known.neighbours(features(300, 1)[7:9], 4)
    assert [each[0].sha256 for each in found] == [f"{7:064d}", f"{8:064d}"]
    assert [each[0].label for each in found] == ["cat", "cat"]
    distances = [one.distance for one in found[0]]
    assert distances == sorted(distances)
    assert distances[0] == pytest.approx(0, abs=0.01)


def test_arrays_round_trip(known):
    """The distances are the same after it was saved."""
    again = KnownImages.from_arrays(known.to_arrays())
    new = features(50, 4)
    assert (again.strangeness(new) == known.strangeness(new)).all()
    assert again.labels == known.labels


def test_added_images_are_known(known):
    """Images of a new class are no longer unknown once they are added."""
    new = features(40, 5, away=12)
    more = known.with_images(new[:20], "bird")
    assert not more.unknown(new[:20]).any()
    nearest = more.neighbours(new[20:21], 1)[0][0]
    assert (nearest.label, nearest.sha256) == ("bird", "")


def test_a_constant_column_is_ignored():
    """A column that never varied in training changes nothing."""
    train = features(60, 1)
    train[:, 3] = 7
    weights = np.ones(WIDTH, np.float32)
    known = KnownImages.of(train, weights, ["a"] * 60, ["b"] * 60, folds(60), seed=0)
    new = features(5, 2)
    other = new.copy()
    other[:, 3] = 1000
    assert known.strangeness(new) == pytest.approx(known.strangeness(other))


def test_many_images_are_sampled(monkeypatch):
    """Of more images than fit, a sample is kept, and few images are unknown as before."""
    monkeypatch.setattr("headstart.evaluation.known_images.MAX_POINTS", 100)
    names = [str(row) for row in range(400)]
    weights = np.ones(WIDTH, np.float32)
    known = KnownImages.of(features(400, 1), weights, names, names, folds(400), seed=0)
    assert len(known.points) == len(known.sha256s) == 100
    assert known.unknown(features(2000, 2)).mean() == pytest.approx(0.05, abs=0.03)
