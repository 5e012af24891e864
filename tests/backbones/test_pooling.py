"""Pooled features of all stages: the order of the blocks and their values."""

import numpy as np
import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from torch.nn.functional import interpolate

from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.layout import FeatureLayout
from headstart.backbones.pooling import StagePooling
from headstart.data.orientations import orient
from headstart.data.preprocessing import Preprocess
from headstart.errors import BackboneError, OptionError

TINY = "test_efficientnet"


def noise(size, count=3):
    """Return noisy uint8 images."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return torch.from_numpy(pixels)


def normalised(backbone, images):
    """Normalise images for the network itself."""
    mean = torch.tensor(backbone.preprocess.mean).view(1, 3, 1, 1)
    std = torch.tensor(backbone.preprocess.std).view(1, 3, 1, 1)
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std


@pytest.mark.parametrize("name", [TINY, "test_resnet", "test_vit", "test_convnext"])
@torch.inference_mode()
def test_the_first_block_is_the_output_of_the_backbone(name):
    """The columns of "last" are the output of the backbone itself."""
    backbone = load_backbone(name, weights="random")
    pooling = StagePooling(backbone).eval()
    images = noise(backbone.preprocess.size)
    last = pooling(images)[:, pooling.layout().columns("last")]
    assert last.shape == (3, backbone.width)
    torch.testing.assert_close(last, backbone(normalised(backbone, images)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [TINY, "test_resnet", "test_vit", "test_convnext"])
@torch.inference_mode()
def test_widths_add_up(name):
    """The widths of the blocks add up to that of the features, and their names are unique."""
    backbone = load_backbone(name, weights="random")
    pooling = StagePooling(backbone).eval()
    layout = pooling.layout()
    features = pooling(noise(backbone.preprocess.size, count=2))
    assert features.shape == (2, layout.width)
    assert features.dtype == torch.float32
    assert layout.columns("multilevel") == slice(0, layout.width)
    assert layout.columns("last") == slice(0, backbone.width)
    names = [block for block, _ in layout.blocks]
    assert len(set(names)) == len(names)


def test_names_and_order_of_the_blocks():
    """The output comes first, then each stage's mean, max and std, then those of the last map."""
    layout = StagePooling(load_backbone(TINY, weights="random")).layout()
    stages = [
        (f"stage{number}.{kind}", width)
        for number, width in enumerate((16, 24, 32, 48, 64), start=1)
        for kind in ("mean", "max", "std")
    ]
    last = [("last.max", 256), ("last.std", 256)]
    assert list(layout.blocks) == [("output", 256), *stages, *last]


@torch.inference_mode()
def test_mean_max_and_std_equal_numpy_s():
    """A stage's three blocks are the statistics over the positions of its map."""
    backbone = load_backbone(TINY, weights="random")
    pooling = StagePooling(backbone).eval()
    images = noise(160)
    _, maps = backbone.network.forward_intermediates(normalised(backbone, images))
    stage = maps[2].double().numpy().reshape(3, 32, -1)
    start = 256 + 3 * (16 + 24)
    found = pooling(images)[:, start : start + 96].numpy()
    expected = np.concatenate([stage.mean(2), stage.max(2), stage.std(2)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_a_blank_image_has_finite_features():
    """The features of a constant image are not NaN."""
    pooling = StagePooling(load_backbone(TINY, weights="random")).eval()
    assert torch.isfinite(pooling(torch.zeros(1, 160, 160, 3, dtype=torch.uint8))).all()


def test_channels_last_networks_are_pooled_over_positions():
    """A Swin has its channels last, and its blocks are as wide as the channels."""
    network = SwinTransformer(
        img_size=64, window_size=2, embed_dim=16, depths=(1,) * 4, num_heads=(1,) * 4, num_classes=0
    )
    backbone = Backbone(network, "tiny swin", "swin", Preprocess(64), "random").freeze()
    layout = StagePooling(backbone).layout()
    assert {width for _, width in layout.blocks} == {16, 32, 64, 128}


def test_column_weights_are_the_fourth_root_of_the_width():
    """The weight of each column of a block is width ** -1/4."""
    layout = StagePooling(load_backbone(TINY, weights="random")).layout()
    weights = layout.weights()
    assert weights.shape == (layout.width,)
    np.testing.assert_allclose(weights[:256], 256**-0.25, rtol=1e-6)
    np.testing.assert_allclose(weights[256 : 256 + 48], 16**-0.25, rtol=1e-6)


def test_stages_that_do_not_return_maps():
    """CrossViT's stages return two sequences each, so features cannot be extracted."""
    with pytest.raises(BackboneError) as caught:
        StagePooling(load_backbone("crossvit_tiny_240", weights="random"))
    assert str(caught.value) == (
        "Features cannot be extracted with 'crossvit_tiny_240': its stages do not return one map "
        "each. Use a backbone from `headstart backbones`."
    )


@torch.inference_mode()
def test_features_of_all_orientations_are_averaged():
    """The result is the mean of running the network once per orientation."""
    upright = load_backbone(TINY, weights="random")
    dihedral = load_backbone(TINY, weights="random", orientations="dihedral")
    images = noise(upright.preprocess.size, count=2)
    single = [StagePooling(upright).eval()(orient(images, number)) for number in range(8)]
    average = StagePooling(dihedral).eval()(images)
    torch.testing.assert_close(average, torch.stack(single).mean(dim=0), rtol=1e-4, atol=1e-4)
    assert StagePooling(dihedral).layout() == StagePooling(upright).layout()


def test_a_flattened_map_cannot_be_averaged_over_orientations():
    """A flattened map keeps positions, which rotations move."""
    backbone = load_backbone(TINY, weights="random", orientations="dihedral")
    with pytest.raises(OptionError, match="cannot be averaged"):
        StagePooling(backbone, reads="map")


def test_unknown_orientations_are_refused():
    """The error names the valid orientations."""
    with pytest.raises(OptionError, match="one, mirror or dihedral"):
        load_backbone(TINY, weights="random", orientations="six")


@torch.inference_mode()
def test_the_blocks_of_a_smaller_scale_come_last():
    """With two scales, the features are those of the image, then those of the reduced image."""
    one = load_backbone(TINY, weights="random", image_size=64)
    pooling = StagePooling(load_backbone(TINY, weights="random", image_size=64, scales="two"))
    images, layout, single = noise(64, count=2), pooling.layout(), StagePooling(one).layout()
    assert layout.blocks == single.blocks + tuple((f"small.{name}", w) for name, w in single.blocks)
    features = pooling.eval()(images)
    large, small = features.split(single.width, dim=1)
    torch.testing.assert_close(large, StagePooling(one).eval()(images))
    reduced = interpolate(
        images.permute(0, 3, 1, 2).float(), (32, 32), mode="bilinear", antialias=True
    )
    shape = (1, 3, 1, 1)
    mean, std = (
        torch.tensor(getattr(one.preprocess, name)).view(shape) for name in ("mean", "std")
    )
    expected = one((reduced / 255 - mean) / std)
    torch.testing.assert_close(small[:, : one.width], expected, rtol=1e-4, atol=1e-4)


def test_columns_of_two_scales():
    """The kinds of features are nested: each begins with the one before."""
    layout = FeatureLayout((("output", 4), ("stage1.mean", 2), ("small.output", 4)))
    assert layout.kinds == ("last", "multilevel", "scales")
    assert [layout.columns(kind).stop for kind in layout.kinds] == [4, 6, 10]


def test_a_flattened_map_has_one_scale():
    """The positions of two maps cannot stand side by side."""
    backbone = load_backbone(TINY, weights="random", image_size=64, scales="two")
    with pytest.raises(OptionError) as caught:
        StagePooling(backbone, reads="map")
    assert str(caught.value) == "Features 'flatten' have one scale. Omit scales 'two'."


def test_unknown_scales_are_refused():
    """The error names the valid scales."""
    with pytest.raises(OptionError) as caught:
        load_backbone(TINY, weights="random", scales="three")
    assert str(caught.value) == "scales must be one or two. Got 'three'."


def test_two_scales_need_room():
    """Three quarters of a small image are too few pixels."""
    with pytest.raises(BackboneError) as caught:
        load_backbone(TINY, weights="random", image_size=63, scales="two")
    assert str(caught.value) == "scales 'two' needs images of at least 64 pixels. Got 63."


def test_a_network_of_one_size_has_one_scale():
    """A vision transformer that was built for one size does not run at three quarters of it."""
    with pytest.raises(BackboneError) as caught:
        load_backbone("test_vit3", weights="random", scales="two")
    assert str(caught.value) == (
        "With scales 'two' and images of 160 pixels, the network also runs at 96 pixels, which "
        "'test_vit3' does not accept. Use scales 'one' or another size."
    )
