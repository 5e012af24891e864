"""What a detector keeps of its training images."""

from dataclasses import replace

import numpy as np
import pytest

import headstart as hs
from headstart.data.traits import trait_values
from headstart.detection.limits import limits_of
from headstart.features.extractor import FeatureExtractor
from headstart.predictor.limits import Limits
from tests.commands.test_train import RecordingWatcher
from tests.detection.scenes import Scene, background, scenes, write_yolo

COUNT = 24


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """So many training images, two of them without boxes."""
    root = tmp_path_factory.mktemp("limits")
    empty = {f"e{n}.png": Scene(background(90 + n, (96, 72)), ()) for n in range(2)}
    data = write_yolo(root / "scenes", scenes(COUNT - 2) | empty)
    return hs.open_images(data, test=0, cache=root).train


def test_every_training_image_is_a_point(images, frozen):
    """With the hash of its file and the labels of its boxes, from the stored features."""
    watcher, extractor = RecordingWatcher(), frozen.extractor
    limits = limits_of(images, extractor, seed=0, watcher=watcher)
    known = limits.known
    assert watcher.stages == ["Extracting features"]
    assert sorted(known.sha256s) == sorted(images.sha256s)
    labels = dict(zip(known.sha256s, known.labels, strict=True))
    assert set(labels.values()) == {"", "disc", "square", "disc|square"}
    for row, sha256 in enumerate(images.sha256s):
        present = np.flatnonzero(images.labels[row] > 0)
        assert labels[sha256] == "|".join(images.classes[number] for number in present)
    order = [known.sha256s.index(sha256) for sha256 in images.sha256s]
    points = known.points_of(extractor.of_files(images.files)[0])
    np.testing.assert_allclose(known.points[order], points, atol=0.02)
    assert limits.calibration is None
    assert np.array_equal(
        np.sort(limits.traits, axis=0),
        np.sort(trait_values(images.paths, extractor.preprocess.contract), axis=0),
    )


def test_the_same_images_give_the_same_limits(images, frozen):
    """To the bit, and as they are read from a bundle."""
    first, second = (
        limits_of(images, frozen.extractor, seed=3, watcher=RecordingWatcher()).to_arrays()
        for _ in range(2)
    )
    assert first.keys() == second.keys() == Limits.from_arrays(first).to_arrays().keys()
    for name, values in first.items():
        assert np.array_equal(values, second[name]), name


def test_few_images_are_no_points(images, frozen, monkeypatch):
    """With fewer than 20, the backbone does not look at them."""
    monkeypatch.setattr("headstart.features.extractor.FeatureExtractor.of_files", None)
    watcher = RecordingWatcher()
    few = images.take(np.arange(19))
    limits = limits_of(few, frozen.extractor, seed=0, watcher=watcher)
    assert limits.known is None
    assert watcher.stages == []
    assert len(limits.traits) == 19


def test_of_very_many_images_a_sample_is_kept(images, frozen, monkeypatch):
    """The backbone looks at no others; another seed draws others."""
    read, of_files = [], FeatureExtractor.of_files

    def recorded(self, files, **options):
        read.append({sha256 for _, sha256 in files})
        return of_files(self, files, **options)

    monkeypatch.setattr(FeatureExtractor, "of_files", recorded)
    monkeypatch.setattr("headstart.detection.limits.MAX_POINTS", 21)
    for seed in (0, 1):
        limits = limits_of(images, frozen.extractor, seed=seed, watcher=RecordingWatcher())
        assert set(limits.known.sha256s) == read[seed]
        assert len(read[seed]) == 21
    assert read[0] != read[1]
    assert len(limits.traits) == COUNT


def test_images_of_one_group_are_no_points(images, frozen):
    """Without folds that keep groups whole, no distance is unusual."""
    rows = images.table.to_pylist()
    table = images.table.from_pylist(
        [row | {"group": "one"} for row in rows], schema=images.table.schema
    )
    limits = limits_of(
        replace(images, table=table), frozen.extractor, seed=0, watcher=RecordingWatcher()
    )
    assert limits.known is None
