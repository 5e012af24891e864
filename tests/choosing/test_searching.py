"""Which combinations a search tries, on which samples."""

import headstart as hs
from headstart.choosing.candidates import Candidate
from headstart.choosing.searching import SearchTrial, draw_candidates
from headstart.features.store import FeatureStore
from headstart.options import TryOptions
from tests.conftest import TINY

BACKBONES = [Candidate(TINY), Candidate("test_vit"), Candidate("test_resnet")]


def test_usual_sizes_come_first():
    """Then other sizes of the networks that accept any, up to the number that is asked for."""
    drawn = draw_candidates(BACKBONES, 8, TryOptions())
    assert set(drawn[:3]) == set(BACKBONES)
    assert len(set(drawn)) == 8
    assert {one.name for one in drawn[3:]} == {TINY, "test_resnet"}
    assert {one.image_size for one in drawn[3:]} <= {128, 192, 256}
    assert draw_candidates(BACKBONES, 2, TryOptions()) == drawn[:2]


def test_a_given_size_stays():
    """Nothing is left to draw."""
    assert set(draw_candidates(BACKBONES, 8, TryOptions(image_size=96))) == set(BACKBONES)


def test_samples_are_nested(make_folder):
    """Each has a third of the images of the next, so that no feature is computed twice."""
    images = hs.open_images(make_folder(160), test=0.0)
    trial = SearchTrial(images.train, TryOptions(sample=300))
    assert trial.sizes == [100, 300]
    first, second = ({*sample.names} for sample in trial._samples)
    assert first < second


def test_a_backbone_that_cannot_be_loaded(make_folder):
    """It has no result."""
    trial = SearchTrial(hs.open_images(make_folder(10)).train, TryOptions())
    assert list(trial(Candidate("test_vit", "random", image_size=97))) == []


def test_features_are_where_the_cache_is(make_folder, bucket):
    """A search on an object store leaves them there, for the trials on all images."""
    cache = f"{bucket.url}/cache"
    options = TryOptions(cache=cache, precision="float32")
    trial = SearchTrial(hs.open_images(make_folder(10)).train, options)
    (step,) = trial(Candidate(TINY, "random", image_size=64))
    (info,) = FeatureStore(f"{cache}/features").infos()
    assert info.images == step.images
