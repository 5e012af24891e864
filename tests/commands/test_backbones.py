"""Backbones: the list, and what is measured of it."""

from headstart.commands.backbones import list_backbones
from headstart.options import BackbonesOptions
from headstart.watching import SilentWatcher


def names(text):
    """Give the names that a text finds."""
    return [one.entry.name for one in list_backbones(text, BackbonesOptions(), SilentWatcher())]


def test_everything_is_listed_without_a_text():
    """All families of the tutorial are there."""
    assert {"vgg16", "resnet50", "inception-v3", "vit-b16", "swin-tiny"} <= set(names(""))


def test_a_text_filters_by_name_and_family():
    """However it is written."""
    assert names("ResNet") == ["resnet18", "resnet50", "resnet101"]
    assert names("Lite-1") == ["efficientnet-lite1"]
    assert names("no such thing") == []


def test_what_is_here_is_told_apart():
    """The package's weights are on this machine, the hub's are not; licences are timm's."""
    listed = {
        one.entry.name: one for one in list_backbones("", BackbonesOptions(), SilentWatcher())
    }
    assert listed["efficientnet-lite0"].here
    assert not listed["vgg16"].here
    assert listed["vgg16"].licence == "bsd-3-clause"
    assert listed["swin-tiny"].licence == "mit"


def test_weights_that_are_not_for_commercial_use_are_marked(monkeypatch):
    """Whether commercial use is allowed is a value of its own, and null where it is not known."""
    licences = {"vgg16": "cc-by-nc-4.0", "vgg19": "gemma"}
    monkeypatch.setattr(
        "headstart.commands.backbones.licence_of",
        lambda architecture: licences.get(architecture.split(".")[0], "mit"),
    )
    listed = [
        one.to_dict()
        for text in ("vgg", "swin-tiny")
        for one in list_backbones(text, BackbonesOptions(), SilentWatcher())
    ]
    assert [(one["name"], one["licence"], one["commercial_use"]) for one in listed] == [
        ("vgg16", "cc-by-nc-4.0", False),
        ("vgg19", "gemma", None),
        ("swin-tiny", "mit", True),
    ]


def test_measuring(tmp_path):
    """Speed is above 0, and the engine agrees with torch."""
    options = BackbonesOptions(measure=True, cache=tmp_path)
    (lite,) = list_backbones("lite0", options, SilentWatcher())
    assert lite.images_per_second > 0
    assert lite.cosine > 0.999
    assert lite.to_dict()["cosine"] == lite.cosine
