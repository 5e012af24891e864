"""Networks on the hub in timm's form, such as those that were trained on faces."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save
from torch import nn

import headstart as hs
from headstart.backbones.backbone import load_backbone, rebuild_backbone
from headstart.backbones.repositories import TimmRepository
from headstart.backbones.saved import tensors_of
from headstart.backbones.weights import check_reachable
from headstart.data.preprocessing import Preprocess
from headstart.errors import BackboneError, BundleError, WeightsError
from tests.backbones.hub import Hub, use
from tests.conftest import COLOURS, picture

REPOSITORY = "someone/vit_tiny_patch8_112.arcface"
NAME = f"hf-hub:{REPOSITORY}"
# As small as possible: what counts is that its arguments differ from the architecture's own.
ARGUMENTS = {"img_size": 112, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
CONFIG = {
    "architecture": "vit_tiny_patch16_224",
    "num_classes": 512,
    "num_features": 24,
    "global_pool": "token",
    "model_args": ARGUMENTS,
    "pretrained_cfg": {
        "tag": "arcface",
        "custom_load": False,
        "input_size": [3, 112, 112],
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "classifier": "head",
    },
}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Return a network of the shape of those that were trained on faces."""
    torch.manual_seed(1)
    return timm.create_model("vit_tiny_patch16_224", num_classes=512, **ARGUMENTS).eval()


@pytest.fixture
def hub(network: nn.Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Return a hub with that network, and point the client at it."""
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": save(network.state_dict()),
        "README.md": b"---\nlicense: cc-by-nc-4.0\n---\n# A network for faces\n",
    }
    with Hub(files={f"{REPOSITORY}/{name}": data for name, data in files.items()}) as server:
        use(server, monkeypatch, tmp_path)
        yield server


def test_it_is_built_as_its_configuration_says(hub: Hub, network: nn.Module) -> None:
    """With its image size, its normalisation and all of its weights, and without classifier."""
    backbone = load_backbone(NAME)
    assert backbone.preprocess.size == 112
    assert backbone.preprocess.mean == (0.5, 0.5, 0.5)
    assert backbone.preprocess.std == (0.25, 0.25, 0.25)
    assert backbone.preprocess.interpolation == "bilinear"
    images = torch.rand(2, 3, 112, 112)
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
        assert torch.equal(backbone(images), expected)


def test_the_licence_of_its_card(hub: Hub) -> None:
    """It is shown as for other networks; without a card, it is unknown."""
    assert load_backbone(NAME).licence == "cc-by-nc-4.0"
    del hub.files[f"{REPOSITORY}/README.md"]
    other = "someone/else"
    for file in ("config.json", "model.safetensors"):
        hub.files[f"{other}/{file}"] = hub.files[f"{REPOSITORY}/{file}"]
    assert load_backbone(f"hf-hub:{other}").licence == "unknown"


def test_a_bundle_needs_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments are part of the name of its architecture."""
    backbone = load_backbone(NAME)
    hub.files.clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/nowhere")
    again = rebuild_backbone(
        *(backbone.architecture, backbone.name, backbone.preprocess, backbone.origin),
        tensors_of(backbone),
    )
    images = torch.rand(1, 3, 112, 112)
    with torch.inference_mode():
        assert torch.equal(backbone(images), again(images))


def test_another_image_size(hub: Hub) -> None:
    """Position embeddings are resampled, as for other networks of a fixed size."""
    assert load_backbone(NAME, image_size=64).preprocess.size == 64
    with pytest.raises(BackboneError, match=r"patches of 8\. Use 96 or 104"):
        load_backbone(NAME, image_size=100)


def test_a_gallery_and_a_model(hub: Hub, tmp_path: Path) -> None:
    """A gallery and a training take such a network, and their models are loaded without the hub."""
    for label, colour in COLOURS.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(8):
            image = picture(number + 100 * (label == "red"), colour)
            image.save(tmp_path / "photos" / label / f"{number}.png")
    licence = "licence cc-by-nc-4.0, which does not allow commercial use"
    with pytest.warns(UserWarning, match=licence):
        gallery = hs.Gallery.create(
            tmp_path / "photos", out=tmp_path / "gallery", model=NAME, progress=False
        )
    with pytest.warns(UserWarning, match=licence):
        hs.train(tmp_path / "photos", backbone=NAME, out=tmp_path / "run", progress=False)
    hub.files.clear()
    photo = tmp_path / "photos" / "red" / "1.png"
    (found,) = gallery.search([photo])
    assert found.labels[0].label == "red"
    (predicted,) = hs.load(tmp_path / "run").predict([photo])
    assert predicted.label == "red"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "clip"}, "names no architecture of timm"),
        ({"architecture": "resnet_of_mine"}, "names no architecture of timm"),
        ([1], "names no architecture of timm"),
        (
            {"architecture": "vit_tiny_patch16_224", "model_args": {"checkpoint_path": "x.pth"}},
            "has the argument 'checkpoint_path', which is not supported",
        ),
        ({"architecture": "vit_tiny_patch16_224", "model_args": [1]}, "'model_args' of"),
    ],
)
def test_other_repositories(hub: Hub, config: object, message: str) -> None:
    """What is not in timm's form, or asks for more than the shape of a network, is refused."""
    hub.files[f"{REPOSITORY}/config.json"] = json.dumps(config).encode()
    checks = (TimmRepository.read, load_backbone, lambda name: check_reachable(name, "imagenet"))
    for load in checks:
        with pytest.raises(WeightsError, match=message):
            load(NAME)


def test_a_damaged_configuration(hub: Hub) -> None:
    """It is named."""
    hub.files[f"{REPOSITORY}/config.json"] = b"{"
    with pytest.raises(WeightsError, match=f"'config.json' of '{NAME}' is not valid JSON"):
        load_backbone(NAME)


def test_arguments_of_a_changed_bundle() -> None:
    """Arguments that may load files, or are no arguments, are refused."""
    preprocess = Preprocess(64)
    for architecture in ('resnet18{"checkpoint_path": "x.pth"}', "resnet18{", "resnet18{1}"):
        with pytest.raises(BackboneError, match="arguments"):
            rebuild_backbone(architecture, "x", preprocess, "x", {})


def test_a_model_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    """Neither a bundle nor a network: the error is that of models."""
    with pytest.raises(BundleError, match="someone/nothing"):
        hs.Gallery.create(tmp_path, out=tmp_path / "gallery", model="hf-hub:someone/nothing")
