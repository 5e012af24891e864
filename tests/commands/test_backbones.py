"""Backbones: the list and the measurements."""

from functools import partial

from headstart.commands.backbones import list_backbones
from headstart.engines.timing import images_per_second
from headstart.options import BackbonesOptions
from headstart.watching import SilentWatcher


def names(text):
    """Return the names of the backbones that match a text."""
    return [row.entry.name for row in list_backbones(text, BackbonesOptions(), SilentWatcher())]


def test_everything_is_listed_without_a_text():
    """All families of the tutorial are listed."""
    assert {"vgg16", "resnet50", "inception-v3", "vit-b16", "swin-tiny"} <= set(names(""))


def test_a_text_filters_by_name_and_family():
    """Case and hyphens are ignored."""
    assert names("ResNet") == ["resnet18", "resnet50", "resnet101"]
    assert names("Lite-1") == ["efficientnet-lite1"]
    assert names("no such thing") == []


def test_local_weights_are_marked():
    """The package's weights are on this machine, the hub's are not; licences are timm's."""
    listed = {
        row.entry.name: row for row in list_backbones("", BackbonesOptions(), SilentWatcher())
    }
    assert listed["efficientnet-lite0"].local
    assert not listed["vgg16"].local
    assert listed["vgg16"].licence == "bsd-3-clause"
    assert listed["swin-tiny"].licence == "mit"


def test_weights_that_are_not_for_commercial_use_are_marked(monkeypatch):
    """The JSON says whether commercial use is allowed; null means unknown."""
    licences = {"vgg16": "cc-by-nc-4.0", "vgg19": "gemma"}
    monkeypatch.setattr(
        "headstart.commands.backbones.licence_of",
        lambda architecture: licences.get(architecture.split(".")[0], "mit"),
    )
    listed = [
        row.to_dict()
        for text in ("vgg", "swin-tiny")
        for row in list_backbones(text, BackbonesOptions(), SilentWatcher())
    ]
    assert [(row["name"], row["licence"], row["commercial_use"]) for row in listed] == [
        ("vgg16", "cc-by-nc-4.0", False),
        ("vgg19", "gemma", None),
        ("swin-tiny", "mit", True),
    ]


def test_measuring(tmp_path, monkeypatch):
    """The speed is positive, and the engine agrees with PyTorch."""
    briefly = partial(images_per_second, seconds=0.02)
    monkeypatch.setattr("headstart.commands.backbones.images_per_second", briefly)
    options = BackbonesOptions(measure=True, cache=tmp_path)
    (lite,) = list_backbones("lite0", options, SilentWatcher())
    assert lite.images_per_second > 0
    assert lite.cosine > 0.999
    assert lite.to_dict()["cosine"] == lite.cosine
