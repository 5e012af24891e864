"""Names of keras.applications, torchvision and the tutorial are resolved to timm's networks."""

from collections import defaultdict
from pathlib import Path

import pytest
import timm
import torchvision
from timm.models import get_pretrained_cfg

from headstart.backbones.backbone import load_backbone
from headstart.backbones.catalogue import KNOWN_NAMES, _normalise, architecture_of, entry_of
from headstart.errors import UnknownBackbone, WeightsError

_REGNETS = ["002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320"]
# Names in Keras 3 and in TensorFlow 2.x, whose ResNetRS and RegNet are not in Keras 3.
KERAS = [
    family + kind
    for family, kinds in {
        "ConvNeXt": ["Tiny", "Small", "Base", "Large", "XLarge"],
        "DenseNet": ["121", "169", "201"],
        "EfficientNet": ["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"],
        "EfficientNetV2": ["B0", "B1", "B2", "B3", "S", "M", "L"],
        "Inception": ["V3", "ResNetV2"],
        "MobileNet": ["", "V2", "V3Small", "V3Large"],
        "NASNet": ["Mobile", "Large"],
        "RegNetX": _REGNETS,
        "RegNetY": _REGNETS,
        "ResNet": ["50", "101", "152", "50V2", "101V2", "152V2"],
        "ResNetRS": ["50", "101", "152", "200", "270", "350", "420"],
        "VGG": ["16", "19"],
        "Xception": [""],
    }.items()
    for kind in kinds
]
TORCHVISION = torchvision.models.list_models(module=torchvision.models)
# Networks for which timm has no weights on the hub.
WITHOUT_WEIGHTS = {"ResNet152V2", "Xception", "mnasnet0_5", "mnasnet0_75"}
PAGE = Path(__file__).parents[2] / "docs" / "names.md"
HEADINGS = {
    "keras.applications": "Names of keras.applications",
    "torchvision.models": "Names of torchvision.models",
    "tutorial": "Names of the tutorial",
    "other": "Common names of families",
}


def base(architecture):
    """Return the architecture without the tag of its weights."""
    return architecture.split(".")[0]


def names_of(origin):
    """Return the names of names.csv with the given origin."""
    return [known.name for known in KNOWN_NAMES if known.origin == origin]


def test_every_name_of_keras_and_torchvision_is_listed():
    """No name is missing, and no name is listed that they do not have."""
    assert sorted(names_of("keras.applications")) == sorted(KERAS)
    assert sorted(names_of("torchvision.models")) == sorted(TORCHVISION)


@pytest.mark.parametrize("known", KNOWN_NAMES, ids=lambda known: f"{known.origin}.{known.name}")
def test_a_known_name_is_resolved_or_a_substitute_is_named(known):
    """Names work with and without their module; networks that timm lacks have a substitute."""
    typed = [known.name, known.name.upper(), known.name.replace("_", "-")]
    full = f"{known.origin}.{known.name}"
    if "." in known.origin:
        typed.append(full)
    if known.architecture:
        assert timm.is_model(base(known.architecture))
        for name in typed:
            expected = name if timm.is_model(name) and not entry_of(name) else known.architecture
            assert base(architecture_of(name)) == base(expected)
        if "." in known.origin:
            assert architecture_of(full) == known.architecture
        return
    for name in typed:
        with pytest.raises(UnknownBackbone) as caught:
            architecture_of(name)
        assert str(caught.value) == f"timm has no network '{name}'. Use {known.instead} instead."


@pytest.mark.parametrize("known", KNOWN_NAMES, ids=lambda known: f"{known.origin}.{known.name}")
def test_weights_are_on_the_hub_or_a_substitute_is_named(known):
    """Every name has ImageNet weights, or its row names a network that has some."""
    if known.architecture and known.name not in WITHOUT_WEIGHTS:
        assert known.architecture in timm.list_pretrained()
        assert get_pretrained_cfg(known.architecture).hf_hub_id
        assert not known.instead
        return
    for name in known.instead.split(" or "):
        settings = get_pretrained_cfg(architecture_of(name))
        assert settings.hf_hub_id


@pytest.mark.parametrize(
    ("typed", "architecture"),
    [
        ("keras.applications.VGG16", "vgg16.tv_in1k"),
        ("tf.keras.applications.resnet50.ResNet50", "resnet50.tv_in1k"),
        ("tensorflow.keras.applications.DenseNet121", "densenet121.tv_in1k"),
        ("torchvision.models.resnet.resnet152", "resnet152.tv_in1k"),
        ("torchvision.models.mnasnet1_0", "mnasnet_100.rmsp_in1k"),
        ("ResNet-152", "resnet152.tv_in1k"),
        ("ResNet 50 V2", "resnetv2_50.a1h_in1k"),
        ("EfficientNet V2-S", "tf_efficientnetv2_s.in1k"),
        ("RegNetY-1.6GF", "regnety_016.pycls_in1k"),
        ("regnet y 16gf", "regnety_160.pycls_in1k"),
        ("MNASNet 1.0", "mnasnet_100.rmsp_in1k"),
        ("vit_b_16", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("ViT-L/16", "vit_large_patch16_224.augreg_in21k_ft_in1k"),
        ("vit.VisionTransformerB16", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("VisionTransformerB16", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("SwinTransformerTiny", "swin_tiny_patch4_window7_224.ms_in1k"),
        ("Swin-Tiny", "swin_tiny_patch4_window7_224.ms_in1k"),
        ("ConvNeXt-Base", "convnext_base.fb_in22k_ft_in1k"),
        ("ConvNeXtBase", "convnext_base.fb_in22k_ft_in1k"),
        ("EfficientNet", "efficientnet_b4.ra2_in1k"),
        ("EfficientNet B4", "efficientnet_b4.ra2_in1k"),
        ("EfficientNetB4", "efficientnet_b4.ra2_in1k"),
        ("MobileNet", "mobilenetv1_100.ra4_e3600_r224_in1k"),
        ("MobileNet V2", "mobilenetv2_100.ra_in1k"),
        ("VGG 19", "vgg19.tv_in1k"),
        ("Inception V3", "inception_v3.tv_in1k"),
    ],
)
def test_spellings_of_names(typed, architecture):
    """Modules, blanks, dots and hyphens are ignored, and the tutorial's names are known."""
    assert architecture_of(typed) == architecture


@pytest.mark.parametrize("name", ["densenet121", "resnet152", "resnet152.a1_in1k", "regnety_016"])
def test_timm_s_own_spelling_is_unchanged(name):
    """A name exactly as timm spells it keeps timm's default weights."""
    assert architecture_of(name) == name


def test_every_timm_name_is_available():
    """Every timm name is resolved to itself, except those in the catalogue."""
    for name in timm.list_models():
        entry = entry_of(name)
        assert architecture_of(name) == (entry.architecture if entry else name)


def test_no_name_is_ambiguous():
    """Names that only differ in case, hyphens and dots are the same network."""
    found = defaultdict(set)
    for known in KNOWN_NAMES:
        architecture = known.architecture or known.instead
        entry = entry_of(known.name)
        found[_normalise(known.name)] |= {
            architecture,
            entry.architecture if entry else architecture,
        }
    assert {name: networks for name, networks in found.items() if len(networks) > 1} == {}


def test_a_network_without_weights_names_a_substitute():
    """The error names a network that has weights."""
    with pytest.raises(WeightsError) as caught:
        load_backbone("mnasnet0_5")
    assert str(caught.value) == (
        "timm has no pretrained weights for 'mnasnet_050'. "
        "Use mnasnet_small or mobilenetv3_small_050 instead. "
        "Pass --weights with a .safetensors or .pth file, or --weights random."
    )
    with pytest.raises(WeightsError, match=r"Use tf_efficientnet_b6\.aa_in1k instead\."):
        load_backbone("efficientnet_b6")


def tables():
    """Return the headings and tables of the page, from names.csv."""
    lines = []
    for origin, heading in HEADINGS.items():
        lines += [
            f"## {heading}",
            "| name | network in timm | use instead |",
            "| --- | --- | --- |",
        ]
        for known in (known for known in KNOWN_NAMES if known.origin == origin):
            architecture = f"`{known.architecture}`" if known.architecture else "none"
            lines.append(f"| `{known.name}` | {architecture} | {known.instead} |")
    return [line.replace("|  |", "| |") for line in lines]


def test_the_page_lists_every_name():
    """The tables of docs/names.md equal names.csv; print `tables()` to update them."""
    lines = PAGE.read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith(("|", "## "))] == tables()
    assert {known.origin for known in KNOWN_NAMES} == set(HEADINGS)
