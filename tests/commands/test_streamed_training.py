"""Train: a head that is streamed from the feature store because its features need more memory."""

import numpy as np
import pytest

import headstart as hs
from headstart.errors import OptionError
from tests.commands.conftest import QUICK
from tests.commands.test_train import RecordingWatcher
from tests.conftest import write_blue_and_red


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of 120 pictures, and a cache for their features."""
    root = tmp_path_factory.mktemp("streamed")
    write_blue_and_red(root / "photos", 60)
    return root / "photos"


def options(photos, **others):
    """Return the options of a training whose features do not fit."""
    memory = {"head_memory": 1e-6, "features": "auto", "head": "auto"}
    return QUICK | {"cache": photos.parent / "cache"} | memory | others


def test_a_streamed_head_is_an_ordinary_model(photos, tmp_path, monkeypatch):
    """It says what was left out, is measured, saved and loaded like any other."""
    monkeypatch.setattr("headstart.features.store._BLOCK", 16)
    monkeypatch.setattr("headstart.features.extractor._PART", 10)
    notes = RecordingWatcher()
    monkeypatch.setattr("headstart.watching.display.display_for_library", lambda _: notes)
    result = hs.train(photos, out=tmp_path / "run", **options(photos))
    record = result.record
    assert (record.head, record.features) == ("linear", "last")
    assert record.why_chosen == "the features do not fit in memory, so the head was streamed"
    assert record.test.accuracy > 0.9
    assert any("linear head on the last layer is streamed" in note for note in notes.notes)
    trained = record.data.images.train
    assert notes.last["Training the head"] == (2 * (trained - record.choice[0].images),) * 2
    model = hs.load(tmp_path / "run", cache=photos.parent / "cache")
    part = hs.open_images(photos, cache=photos.parent / "cache").test
    np.testing.assert_allclose(
        model.probabilities_of(part), result.model.probabilities_of(part), atol=1e-6
    )


def test_the_library_streams_like_the_command(photos):
    """`fit` gives the head of `train`."""
    data = hs.open_images(photos, cache=photos.parent / "cache")
    backbone = hs.load_backbone(QUICK["backbone"], weights="random", image_size=64)
    heads = [
        hs.Classifier(
            backbone, classes=data.classes, cache=photos.parent / "cache", head_memory=memory
        )
        .fit(data.train, progress=False)
        .predictor.head.kind
        for memory in (1e-6, None)
    ]
    assert heads == ["linear", "stack"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"head": "kernel"},
            (
                "The features of 91 training images do not fit in memory, and only a linear head "
                "on the last layer can be trained without that. Use --head linear (head='linear') "
                "and --features last (features='last'), or raise --head-memory (head_memory=)."
            ),
        ),
        (
            {"learning_curve": True},
            (
                "--learning-curve has no effect if the features of the training images do not fit "
                "in memory. Remove it, or raise --head-memory."
            ),
        ),
    ],
)
def test_what_cannot_be_streamed_is_refused_before_extraction(photos, tmp_path, given, message):
    """The error says what to change."""
    with pytest.raises(OptionError) as caught:
        hs.train(photos, out=tmp_path / "run", **options(photos, **given))
    assert str(caught.value) == message
