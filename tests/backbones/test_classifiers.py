"""All fully connected layers after the pooling are removed, except in old bundles."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

import headstart as hs
from headstart.backbones import backbone as backbone_module
from headstart.backbones.backbone import load_backbone, rebuild_backbone
from headstart.backbones.classifiers import drop_classifier, drop_last_layer
from headstart.backbones.pooling import StagePooling
from headstart.errors import WeightsError
from tests.conftest import COLOURS, picture

# The smallest network of each class that has hidden layers in its classifier.
HIDDEN = {
    "vgg11_bn": 512,
    "mobilenetv3_small_050": 288,
    "mobilenetv4_conv_small_050": 480,
    "lcnet_035": 176,
    "ghostnet_050": 480,
    "repghostnet_050": 480,
    "lcnetv2_small": 768,
    "fasternet_t0": 320,
    "hgnetv2_b0": 1024,
    "efficientvit_b0": 1024,
    "efficientvit_l1": 3072,
    "cpubone_t0": 1536,
    "lowformer_b0": 1536,
    "inception_next_atto": 320,
    "test_mambaout": 64,
    "coatnet_0_224": 768,
}
KEPT = {"efficientnet_b0": 1280, "mobilenetv2_035": 1280, "test_convnext": 64, "test_vit": 64}
SMALL = "mobilenetv3_small_050"


def pixels(size, count=2):
    """Return random images."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", autouse=True)
def constant_large_layers():
    """Fill VGG's hidden layers with a constant: a hundred million random numbers take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("kaiming_normal_", "kaiming_uniform_"):
            patch.setattr(nn.init, name, _constant_if_large(getattr(nn.init, name)))
        yield


def _constant_if_large(initialise):
    def initialise_quickly(tensor, *arguments, **settings):
        if tensor.numel() < 10_000_000:
            return initialise(tensor, *arguments, **settings)
        return nn.init.constant_(tensor, 1e-4)

    return initialise_quickly


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """Return torchvision's VGG16, and our backbone with its weights."""
    torch.manual_seed(0)
    theirs = torchvision.models.vgg16(init_weights=False).features.eval()
    file = tmp_path_factory.mktemp("vgg16") / "model.safetensors"
    save_file({f"features.{key}": value for key, value in theirs.state_dict().items()}, file)
    return theirs, load_backbone("vgg16", weights=file, image_size=64)


@torch.no_grad()
def test_vgg16_returns_the_mean_of_torchvision_s_features(vgg16):
    """With the same weights, the 512 features are those of torchvision's network."""
    theirs, ours = vgg16
    images = pixels(64)
    torch.testing.assert_close(ours(images), theirs(images).mean(dim=(2, 3)))
    assert ours(images).shape == (2, ours.width) == (2, 512)


def test_vgg16_consists_of_its_convolutions(vgg16):
    """The 120 million parameters of its fully connected layers are neither kept nor saved."""
    _, ours = vgg16
    assert sum(weights.numel() for weights in ours.network.parameters()) == 14_714_688
    assert sum(tensor.nbytes for tensor in ours.network.state_dict().values()) <= 60e6
    assert [block for block in StagePooling(ours).layout().blocks if block[0] == "output"] == [
        ("output", 512)
    ]


def fully_connected_in_head(network, size):
    """Return the names of the fully connected layers that run after the last map."""
    found, inside = [], []
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: (
                    found.append(name) if inside and output.shape[2:].numel() == 1 else None
                )
            )
    with torch.inference_mode():
        last = network.forward_features(torch.zeros(2, 3, size, size, device="meta"))
        inside.append(True)
        network.forward_head(last, pre_logits=True)
    return found


@pytest.mark.parametrize("name", [*HIDDEN, *KEPT])
def test_no_fully_connected_layer_remains(name):
    """In every class of networks, hidden layers are removed; layers before the pooling stay."""
    with torch.device("meta"):
        network = timm.create_model(name).eval()
    size = network.pretrained_cfg["input_size"][1]
    drop_last_layer(network)
    assert bool(fully_connected_in_head(network, size)) == (name in HIDDEN)
    drop_classifier(network)
    assert fully_connected_in_head(network, size) == []
    with torch.inference_mode():
        output = network(torch.zeros(2, 3, size, size, device="meta"))
    width = getattr(network, "head_hidden_size", network.num_features)
    assert output.shape == (2, width) == (2, (HIDDEN | KEPT)[name])


@pytest.mark.parametrize("name", [SMALL, "mobilenetv4_conv_small_050"])
@torch.no_grad()
def test_the_output_is_the_mean_of_the_last_map(name):
    """Neither the activation nor the norm of a removed layer remains."""
    backbone = load_backbone(name, weights="random", image_size=64)
    last = backbone.network.forward_features(pixels(64))
    torch.testing.assert_close(backbone(pixels(64)), last.mean(dim=(2, 3)))


@pytest.mark.parametrize("left_out", [(), ("classifier",), ("classifier", "conv_head")])
def test_weights_with_and_without_the_removed_layers(tmp_path, left_out):
    """A file may contain all, some or none of the classifier's layers."""
    state = timm.create_model(SMALL).state_dict()
    kept = {key: value for key, value in state.items() if not key.startswith(left_out or "-")}
    save_file(kept, tmp_path / "model.safetensors")
    backbone = load_backbone(SMALL, weights=tmp_path)
    assert torch.equal(backbone.network.conv_stem.weight, state["conv_stem.weight"])
    assert not any(key.startswith("conv_head") for key in backbone.network.state_dict())


def with_hidden_layers(name):
    """Return a network with the hidden layers, as old bundles have it, and its tensors."""
    torch.manual_seed(0)
    network = timm.create_model(name)
    drop_last_layer(network)
    return network.eval(), {key: value.numpy() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", [SMALL, "mobilenetv4_conv_small_050", "test_mambaout", "vgg11"])
@torch.no_grad()
def test_an_old_bundle_keeps_its_hidden_layers(name):
    """Its head was fitted on their output, so features and width are unchanged."""
    network, tensors = with_hidden_layers(name)
    now = load_backbone(name, weights="random", image_size=64)
    old = rebuild_backbone(name, name, now.preprocess, "imagenet", tensors)
    assert torch.equal(old(pixels(64)), network(pixels(64)))
    assert old.width == network.head_hidden_size > now.width
    assert old.network.state_dict().keys() == tensors.keys()


def test_an_old_bundle_with_an_incomplete_layer_is_refused():
    """All tensors of the hidden layers are needed."""
    _, tensors = with_hidden_layers(SMALL)
    preprocess = load_backbone(SMALL, weights="random").preprocess
    del tensors["conv_head.bias"]
    with pytest.raises(WeightsError, match=r"'the bundle' .*: conv_head\.bias is missing"):
        rebuild_backbone(SMALL, SMALL, preprocess, "imagenet", tensors)


@torch.no_grad()
def test_a_new_bundle_has_no_hidden_layers():
    """A backbone that is saved without hidden layers returns the same features when restored."""
    first = load_backbone(SMALL, weights="random", image_size=64)
    tensors = {key: value.numpy() for key, value in first.network.state_dict().items()}
    again = rebuild_backbone(SMALL, SMALL, first.preprocess, "random", tensors)
    assert torch.equal(first(pixels(64)), again(pixels(64)))
    assert again.width == first.width == 288


def test_an_old_model_makes_the_same_predictions(tmp_path, monkeypatch):
    """A bundle with hidden layers is loaded, and its head gets the features it was fitted on."""
    for label in ("blue", "red"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(8):
            image = picture(index + 100 * len(label), COLOURS[label])
            image.save(tmp_path / "photos" / label / f"{index}.png")
    data = hs.open_images(tmp_path / "photos")
    with monkeypatch.context() as earlier:
        earlier.setattr(backbone_module, "drop_classifier", drop_last_layer)
        backbone = load_backbone(SMALL, weights="random", image_size=64)
        model = hs.Classifier(backbone, head=hs.LinearHead(), classes=data.classes)
        model.fit(data.train)
        model.save(tmp_path / "model")
    loaded = hs.load(tmp_path / "model")
    photos = [tmp_path / "photos" / label / "0.png" for label in ("blue", "red")]
    assert loaded.predict(photos) == model.predict(photos)
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    assert any("conv_head" in name for name in tensors)
