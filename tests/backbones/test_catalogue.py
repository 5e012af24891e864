"""Names that people type become timm's names, or an error that suggests better ones."""

import pytest

from headstart.backbones.backbone import load_backbone
from headstart.backbones.catalogue import architecture_of
from headstart.errors import BackboneError, UnknownBackbone


@pytest.mark.parametrize(
    ("typed", "architecture"),
    [
        ("efficientnet-lite0", "tf_efficientnet_lite0"),
        ("EfficientNet_Lite2", "tf_efficientnet_lite2"),
        (" resnet50 ", "resnet50"),
        ("test_vit", "test_vit"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
    ],
)
def test_a_name_means_an_architecture(typed, architecture):
    """Case, blanks and underscores of an alias do not matter; timm's names stay."""
    assert architecture_of(typed) == architecture


def test_an_unknown_name_suggests_the_nearest():
    """A typing error names the backbones that were probably meant."""
    with pytest.raises(UnknownBackbone) as caught:
        architecture_of("efficientnet-lite9")
    assert str(caught.value) == (
        "There is no backbone 'efficientnet-lite9'. "
        "Did you mean 'efficientnet-lite2', 'efficientnet-lite1', 'efficientnet-lite0'?"
    )


def test_a_name_like_no_other_suggests_nothing():
    """Where nothing is near, the error says only what is wrong."""
    with pytest.raises(UnknownBackbone) as caught:
        architecture_of("@@@@@@@@@@")
    assert str(caught.value) == "There is no backbone '@@@@@@@@@@'."


def test_an_unknown_tag_of_weights_is_named():
    """A known architecture with an unknown tag is not blamed on an image size."""
    with pytest.raises(BackboneError) as caught:
        load_backbone("resnet50.foo", weights="random")
    assert "foo" in str(caught.value)
    assert "None pixels" not in str(caught.value)


def test_a_renamed_architecture_gives_no_library_warning():
    """timm's old name of an architecture works, and timm does not warn past our door."""
    assert load_backbone("vit_tiny_patch16_224_in21k", weights="random").width == 192
