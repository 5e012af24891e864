"""Recommend: backbones are tried on the training images, and the features are kept for train."""

import json
import re

import pytest
import timm
from safetensors.torch import save_file

import headstart as hs
from headstart.choosing.trials import candidates_of
from headstart.errors import (
    BackboneError,
    HeadstartError,
    OptionError,
    OutputError,
    UnknownBackbone,
)
from headstart.record import recommendation_json
from headstart.runs.folders import reserved_folder
from tests.commands.test_train import Notes, forbid_engines

BOTH = "test_efficientnet=random,test_resnet=random"


@pytest.fixture
def options(tmp_path):
    """Give options of a quick recommendation."""
    return {"backbones": BOTH, "cache": tmp_path / "cache", "out": tmp_path / "out"}


def test_both_are_tried_and_one_is_named(make_folder, options):
    """Numbers are in their ranges, and the best accuracy comes first."""
    result = hs.recommend(make_folder(), **options)
    assert result.recommended in ("test_efficientnet", "test_resnet")
    assert {one.name for one in result.backbones} == {"test_efficientnet", "test_resnet"}
    accuracies = [one.accuracy for one in result.backbones]
    assert accuracies == sorted(accuracies, reverse=True)
    for one in result.backbones:
        low, high = one.accuracy_ci95
        assert 0 <= low <= one.accuracy <= high <= 1
        assert 0 <= one.knn_accuracy <= 1
        assert one.images_per_second > 0
    assert any(one.on_front for one in result.backbones)


def test_the_licence_of_the_recommended_weights_is_said(make_folder, options, monkeypatch):
    """A recommendation that may not be used commercially says so."""
    licence = "cc-by-nc-4.0"
    monkeypatch.setattr("headstart.commands.recommend.licence_of", lambda name, weights: licence)
    notes = Notes()
    found = hs.recommend(
        make_folder(), **(options | {"backbones": "test_resnet=random"}), watcher=notes
    )
    assert notes.warnings == [
        f"Weights of '{found.recommended}': licence {licence}, which does not allow commercial use."
    ]


def test_what_is_written(make_folder, options):
    """The folder holds the numbers, and a page with a dot for each backbone that loads nothing."""
    result = hs.recommend(make_folder(), **options)
    assert sorted(one.name for one in result.run.iterdir()) == ["metrics.json", "report.html"]
    written = json.loads((result.run / "metrics.json").read_text())
    assert written["recommendation"] == recommendation_json(result.recommendation)
    page = (result.run / "report.html").read_text()
    assert page.count("<circle") == 2
    assert result.why in page
    assert not re.search(r"(src|href)=\"http", page)
    with pytest.raises(OutputError, match="already exists"):
        hs.recommend(make_folder(name="others"), **options)


def test_train_uses_what_was_computed(make_folder, options, tmp_path, monkeypatch):
    """After a recommendation, training with the same backbone runs no network for those images."""
    folder = make_folder()
    hs.recommend(folder, **(options | {"test": 0.0}))
    forbid_engines(monkeypatch)
    result = hs.train(
        folder,
        backbone="test_resnet",
        weights="random",
        head="linear",
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        test=0.0,
    )
    assert result.record.backbone == "test_resnet"


def test_train_chooses_by_itself(make_folder, options):
    """backbone=auto tries, takes what it recommends, and reports both."""
    result = hs.train(make_folder(), **options, backbone="auto", head="linear")
    told = result.record.recommendation
    assert result.record.backbone == told.recommended
    assert result.record.weights == "random"
    assert "Which backbone" in (result.run / "report.html").read_text()


def test_the_test_part_has_no_say(make_folder, options):
    """Only training images are tried."""
    notes = Notes()
    result = hs.recommend(make_folder(), watcher=notes, **(options | {"test": 0.5}))
    assert result.recommendation.images < 24
    assert notes.last["Trying test_resnet"] == (result.recommendation.images,) * 2


def test_a_sample_limits_the_work(make_folder, options):
    """No more images than asked for are tried."""
    result = hs.recommend(make_folder(count=20), **options, sample=24)
    assert result.recommendation.images == 24


def test_a_limit_on_time_that_nothing_meets(make_folder, options):
    """The fastest is named, and the sentence says that it is too slow."""
    result = hs.recommend(make_folder(), **options, budget_ms=1e-6)
    assert result.why.startswith("none is within the time")


def test_candidates_are_read_from_names():
    """Weights stand behind an equals sign; the default is what is installed."""
    assert candidates_of("vgg16, resnet50=random") == [
        ("vgg16", "imagenet"),
        ("resnet50", "random"),
    ]
    here = candidates_of(None)
    assert ("efficientnet-lite0", "imagenet") in here
    assert ("vgg16", "imagenet") not in here


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        ("vgg61", UnknownBackbone, "Did you mean"),
        ("vgg16,VGG-16", OptionError, "twice"),
        (" , ", OptionError, "at least one"),
    ],
)
def test_candidates_that_cannot_be(names, error, text):
    """Each is told before any work is done."""
    with pytest.raises(error, match=text):
        candidates_of(names)


def test_a_backbone_that_cannot_be_loaded_is_left_out(make_folder, options, tmp_path):
    """The others are tried; if none is left, that is the error."""
    notes = Notes()
    names = f"test_resnet=random,test_vit={tmp_path}"
    result = hs.recommend(make_folder(), watcher=notes, **(options | {"backbones": names}))
    assert [one.name for one in result.backbones] == ["test_resnet"]
    assert any("Skipping 'test_vit'" in warning for warning in notes.warnings)
    names = f"test_resnet={tmp_path},test_vit={tmp_path}"
    with pytest.raises(BackboneError, match="None of the backbones"):
        hs.recommend(make_folder(name="more"), **(options | {"backbones": names, "out": None}))


def test_one_backbone_with_two_weights(make_folder, options, tmp_path):
    """Only one of both is taken, and the numbers say which."""
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "model.safetensors")
    names = f"test_resnet=random,test_resnet={tmp_path}"
    result = hs.recommend(make_folder(), **(options | {"backbones": names}))
    assert [one.taken for one in result.backbones].count(True) == 1
    assert result.recommendation.weights == str(tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"backbone": "nonesuch"}, "There is no backbone"),
        ({"backbone": "auto", "backbones": "nonesuch"}, "There is no backbone"),
        ({"device": "cuda"}, "torch finds no CUDA GPU"),
        ({"tune": "all", "log": "wandb"}, "Unknown listener 'wandb'"),
    ],
)
def test_train_refuses_before_it_works(tmp_path, options, text, monkeypatch):
    """Names that do not exist are told before any image is looked at."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(HeadstartError, match=text):
        hs.train(tmp_path / "not even there", **options)


def test_two_trainings_at_once_get_two_folders(tmp_path, monkeypatch):
    """The name is taken when the run begins; a run that fails gives it back."""
    monkeypatch.chdir(tmp_path)
    with reserved_folder(None, "photos", overwrite=False) as one:
        with reserved_folder(None, "photos", overwrite=False) as other:
            assert (str(one), str(other)) == ("runs/photos", "runs/photos-2")
            (other / "something").write_text("kept")
        assert other.exists()
    assert not one.exists()


def test_backbones_are_timed_together_as_far_as_memory_goes(make_folder, options, monkeypatch):
    """All of them have turns at the end; large ones are timed before more are loaded."""
    notes, folder = Notes(), make_folder()
    hs.recommend(folder, **options, watcher=notes)
    assert notes.stages[-3:] == ["Trying test_efficientnet", "Trying test_resnet", "Timing"]
    monkeypatch.setattr("headstart.choosing.trials._MAX_HELD_PARAMETERS", 1000)
    hs.recommend(folder, **options, watcher=notes, overwrite=True)
    assert notes.stages[-4:] == [
        "Trying test_efficientnet",
        "Timing",
        "Trying test_resnet",
        "Timing",
    ]
