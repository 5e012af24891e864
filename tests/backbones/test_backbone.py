"""Steps 1 to 3: load a network without its classifier and freeze it."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from headstart.backbones.backbone import (
    load_backbone,
    rebuild_backbone,
    with_image_size,
)
from headstart.backbones.catalogue import architecture_of
from headstart.backbones.pooling import StagePooling
from headstart.errors import BackboneError, OptionError

TINY = "test_efficientnet"


def equal_states(first, second):
    """Return whether two state dicts are equal."""
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"])
def test_a_backbone_returns_its_pooled_output(name):
    """Calling a backbone returns `width` features per image, not class scores."""
    backbone = load_backbone(name, weights="random")
    images = torch.zeros(2, 3, backbone.preprocess.size, backbone.preprocess.size)
    assert backbone(images).shape == (2, backbone.width)


def test_random_weights_depend_on_the_seed():
    """The same seed gives the same weights, and another seed gives other weights."""
    first = load_backbone(TINY, weights="random", seed=1)
    again = load_backbone(TINY, weights="random", seed=1)
    other = load_backbone(TINY, weights="random", seed=2)
    assert equal_states(first.state_dict(), again.state_dict())
    assert first.weights_sha256() == again.weights_sha256() != other.weights_sha256()


def test_loading_does_not_change_the_random_state_of_torch():
    """Building a network does not use the user's random numbers."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_backbone(TINY, weights="random", seed=9)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit"])
def test_a_frozen_backbone_does_not_change(name):
    """No parameter is trainable, and no statistic changes, even in training mode."""
    backbone = load_backbone(name, weights="random")
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    backbone.train()
    size = backbone.preprocess.size
    backbone(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert equal_states(backbone.state_dict(), before)
    assert not any(module.training for module in backbone.modules())


def test_only_unfrozen_norms_change_in_training():
    """If the last layer is trainable, the statistics of its norm change, but not the stem's."""
    backbone = load_backbone(TINY, weights="random")
    backbone.network.conv_head.requires_grad_(True)
    backbone.network.bn2.requires_grad_(True)
    backbone.train()
    stem, last = backbone.network.bn1, backbone.network.bn2
    before = stem.running_mean.clone(), last.running_mean.clone()
    backbone(torch.randn(4, 3, 160, 160, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(stem.running_mean, before[0])
    assert not torch.equal(last.running_mean, before[1])


def test_preprocess_comes_from_the_network_s_configuration():
    """Size, filter and normalisation are those of timm's configuration."""
    settings = timm.get_pretrained_cfg(TINY)
    preprocess = load_backbone(TINY, weights="random").preprocess
    assert preprocess.size == settings.input_size[1] == 160
    assert preprocess.interpolation == settings.interpolation
    assert (preprocess.mean, preprocess.std) == (settings.mean, settings.std)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_another_image_size(name):
    """Architectures with and without a fixed image size accept another one."""
    backbone = load_backbone(name, weights="random", image_size=96)
    assert backbone.preprocess.size == 96
    assert backbone(torch.zeros(1, 3, 96, 96)).shape == (1, backbone.width)


def test_weights_of_a_fixed_size_network_at_another_size(tmp_path):
    """A ViT's weights are adapted to another size, or the error is about the size."""
    file = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), file)
    assert load_backbone("test_vit", weights=str(file)).preprocess.size == 160
    try:
        backbone = load_backbone("test_vit", weights=str(file), image_size=96)
    except BackboneError as error:
        assert "96 pixels" in str(error)
        assert "do not match" not in str(error)
    else:
        assert backbone(torch.zeros(1, 3, 96, 96)).shape == (1, 64)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_rebuilding_from_a_state_restores_the_backbone(name):
    """A bundle's tensors and settings restore the backbone that they came from."""
    first = load_backbone(name, weights="random", image_size=96, seed=3)
    state = {key: tensor.numpy() for key, tensor in first.network.state_dict().items()}
    again = rebuild_backbone(first.architecture, name, first.preprocess, "random", state)
    assert again.weights_sha256() == first.weights_sha256()
    assert again.preprocess == first.preprocess
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_a_resized_backbone_keeps_its_weights():
    """Another image size changes only the preprocess."""
    backbone = load_backbone(TINY, weights="random")
    other = with_image_size(backbone, 96)
    assert other.preprocess.size == 96
    assert backbone.preprocess.size == 160
    assert other.weights_sha256() == backbone.weights_sha256()


def test_grey_images():
    """A backbone with one channel has the same width and extracts features of photos."""
    state = timm.create_model(TINY).state_dict()
    colour = load_backbone(TINY, weights="random", seed=1)
    grey = load_backbone(TINY, weights="random", seed=1, channels=1)
    assert grey.network.conv_stem.weight.shape[1] == 1
    assert len(state) == len(grey.network.state_dict()) + 2
    pooling = StagePooling(grey).eval()
    assert pooling(torch.zeros(2, 160, 160, 3, dtype=torch.uint8)).shape[0] == 2
    assert colour.width == grey.width


def test_the_first_convolution_is_summed_for_grey(tmp_path):
    """A grey image has the same features as an image with three equal channels."""
    file = tmp_path / "model.safetensors"
    save_file(timm.create_model(TINY).state_dict(), file)
    colour = load_backbone(TINY, weights=file)
    grey = load_backbone(TINY, weights=file, channels=1)
    five = load_backbone(TINY, weights=file, channels=5)
    images = torch.randn(2, 1, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = colour(images.expand(2, 3, 160, 160))
        torch.testing.assert_close(grey(images), expected, rtol=1e-4, atol=1e-5)
        assert five(images.expand(2, 5, 160, 160)).shape == expected.shape
    with pytest.raises(BackboneError, match="takes 5 channels, and photos have 3"):
        StagePooling(five)


@pytest.mark.parametrize("size", [0, -5, 7, "224", 2.5])
def test_invalid_image_sizes(size):
    """An image size that is too small or not an integer is an error."""
    with pytest.raises(OptionError, match="image_size must be an integer of at least 16"):
        load_backbone(TINY, weights="random", image_size=size)


@pytest.mark.parametrize("channels", [0, -1])
def test_invalid_channels(channels):
    """At least one channel is needed."""
    with pytest.raises(OptionError, match="channels must be at least 1"):
        load_backbone(TINY, weights="random", channels=channels)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("test_vit", 150, "150 pixels: it cuts them into patches of 16. Use 144 or 160."),
        ("test_vit", 20, "20 pixels: it cuts them into patches of 16. Use 16 or 32."),
        (
            "vit_small_patch14_dinov2",
            512,
            "512 pixels: it cuts them into patches of 14. Use 504 or 518.",
        ),
        ("mixer_s32_224", 230, "230 pixels: it cuts them into patches of 32. Use 224 or 256."),
        ("levit_128s", 230, "230 pixels. Use 224 or 240."),
        ("xcit_nano_12_p16_224", 230, "230 pixels. Use 224 or 240."),
        ("vgg11", 16, "16 pixels. Use 32."),
    ],
)
def test_unsupported_image_sizes_are_refused_with_suggestions(name, size, message):
    """A size that fails, or at which border pixels would be ignored, is refused."""
    with pytest.raises(BackboneError) as caught:
        load_backbone(name, weights="random", image_size=size)
    architecture = architecture_of(name)
    assert str(caught.value) == f"'{architecture}' does not accept images of {message}"


def test_a_network_with_a_fixed_size_cannot_be_resized():
    """The error says how to load the network with that size."""
    backbone = load_backbone("vit_tiny_patch16_224", weights="random")
    with pytest.raises(BackboneError) as caught:
        with_image_size(backbone, 240)
    assert str(caught.value) == (
        f"'{backbone.architecture}' was built for images of 224 pixels. "
        "Load it again with image_size=240."
    )


def test_a_backbone_shows_itself_in_one_line() -> None:
    """The text has what it was loaded with, and whether it is frozen, not all of its modules."""
    backbone = load_backbone("test_resnet", weights="random", image_size=64)
    text = f"Backbone(test_resnet, weights=random, 64 px, {backbone.width:,} features, "
    assert repr(backbone) == text + "frozen)"
    assert repr(backbone.unfreeze("stages:1")) == text + "partly unfrozen)"
