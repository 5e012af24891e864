"""Names that users type are resolved to timm's names, or suggestions are made."""

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from headstart.backbones.backbone import load_backbone
from headstart.backbones.catalogue import CATALOGUE, architecture_of, entry_of
from headstart.backbones.classifiers import drop_classifier
from headstart.errors import BackboneError, UnknownBackbone


@pytest.mark.parametrize(
    ("typed", "architecture"),
    [
        ("efficientnet-lite0", "tf_efficientnet_lite0"),
        ("EfficientNet_Lite2", "tf_efficientnet_lite2"),
        (" resnet50 ", "resnet50.tv_in1k"),
        ("VGG16", "vgg16.tv_in1k"),
        ("EfficientNetB4", "efficientnet_b4.ra2_in1k"),
        ("ViT-B/16", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("InceptionV3", "inception_v3.tv_in1k"),
        ("MobileNet", "mobilenetv1_100.ra4_e3600_r224_in1k"),
        ("ConvNeXtBase", "convnext_base.fb_in22k_ft_in1k"),
        ("Swin-Tiny", "swin_tiny_patch4_window7_224.ms_in1k"),
        ("DINOv2 ViT-S/14", "vit_small_patch14_dinov2.lvd142m"),
        ("test_vit", "test_vit"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
    ],
)
def test_names_are_resolved_to_architectures(typed, architecture):
    """Case, blanks, slashes and hyphens are ignored; timm's other names are unchanged."""
    assert architecture_of(typed) == architecture


def test_an_unknown_name_suggests_the_nearest():
    """A typing error is answered with the most similar names."""
    with pytest.raises(UnknownBackbone) as caught:
        architecture_of("efficientnet-lite9")
    assert str(caught.value) == (
        "There is no backbone 'efficientnet-lite9'. "
        "Did you mean 'efficientnet-lite2', 'efficientnet-lite1', 'efficientnet-lite0'?"
    )


def test_a_name_without_similar_names_suggests_nothing():
    """The error only says what is wrong."""
    with pytest.raises(UnknownBackbone) as caught:
        architecture_of("@@@@@@@@@@")
    assert str(caught.value) == "There is no backbone '@@@@@@@@@@'."


def test_an_unknown_tag_of_weights_is_named():
    """The error for an unknown tag is not about the image size."""
    with pytest.raises(BackboneError) as caught:
        load_backbone("resnet50.foo", weights="random")
    assert "foo" in str(caught.value)
    assert "None pixels" not in str(caught.value)


def test_a_renamed_architecture_gives_no_library_warning():
    """timm's old name of an architecture works without timm's warning."""
    assert load_backbone("vit_tiny_patch16_224_in21k", weights="random").width == 192


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_the_catalogue_matches_the_networks(entry):
    """Parameters, multiply-accumulates, width and size are those of timm's network."""
    settings = timm.get_pretrained_cfg(entry.architecture)
    fixed = {"img_size": entry.image_size} if settings.fixed_input_size else {}
    with torch.device("meta"):
        network = timm.create_model(entry.architecture, **fixed).eval()
        drop_classifier(network)
        with FlopCounterMode(display=False) as counter:
            output = network(torch.zeros(1, 3, entry.image_size, entry.image_size))
    assert sum(weights.numel() for weights in network.parameters()) == entry.parameters
    assert counter.get_total_flops() // 2 == entry.macs
    assert output.shape == (1, entry.width)
    if entry.name != "dinov2-s14":  # Trained at 518 pixels, but as good and far faster at 224.
        assert settings.input_size[1] == entry.image_size
    assert settings.hf_hub_id


def test_every_name_is_unique():
    """No alias occurs twice, and each name of the catalogue is resolved to its own row."""
    names = [name for entry in CATALOGUE for name in (entry.name, *entry.aliases)]
    assert len(set(names)) == len(names)
    assert all(entry_of(name).name == entry.name for entry in CATALOGUE for name in [entry.name])
