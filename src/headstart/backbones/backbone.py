"""Steps 1 to 3 of transfer learning: choose a network, load it without a classifier, freeze it."""

import warnings
from dataclasses import replace
from typing import Any, Self

import timm
import torch
from timm.data import resolve_data_config
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from headstart.backbones.catalogue import architecture_of
from headstart.backbones.weights import State, digest, load_weights
from headstart.data.preprocessing import Preprocess
from headstart.errors import BackboneError, WeightsError


class Backbone(nn.Module):
    """A pretrained network without its classifier.

    Calling it with normalised images of shape (batch, 3, height, width) gives the output of its
    last layer, pooled: (batch, width).

    Attributes:
        name: How the user called it.
        architecture: timm's name.
        network: The timm module.
        preprocess: What happens to an image before.
        origin: Where the weights came from, as the user said it.
    """

    def __init__(
        self, network: nn.Module, name: str, architecture: str, preprocess: Preprocess, origin: str
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.architecture = architecture
        self.preprocess = preprocess
        self.origin = origin

    @property
    def width(self) -> int:
        """How many numbers the last layer gives for an image."""
        return int(getattr(self.network, "head_hidden_size", self.network.num_features))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Give the pooled output of the last layer."""
        out: Tensor = self.network(images)
        return out

    def freeze(self) -> Self:
        """Stop every parameter from learning, and every norm and dropout from changing."""
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Enter training mode, except for the parts that are frozen."""
        super().train(mode)
        if mode:
            for module in self.modules():
                parameters = list(module.parameters())
                if parameters and not any(parameter.requires_grad for parameter in parameters):
                    module.eval()
        return self

    def weights_sha256(self) -> str:
        """Give the hash of the weights that a feature depends on."""
        return digest(self.network)


def load_backbone(
    name: str = "efficientnet-lite0",
    *,
    weights: str = "imagenet",
    image_size: int | None = None,
    seed: int = 0,
) -> Backbone:
    """Build a network of a known architecture, with weights, without its classifier.

    Args:
        name: A name of the catalogue or any architecture of timm.
        weights: "imagenet", "random", a safetensors file or folder, or "hf-hub:" and an id.
        image_size: Side of the square that it sees, in pixels. Default: what it was trained with.
        seed: Of random weights.

    Raises:
        UnknownBackbone: No such architecture; the nearest names are suggested.
        WeightsError: The weights are missing, damaged, or of another architecture.
        BackboneError: The architecture cannot take that image size.
    """
    architecture = architecture_of(name)
    network = _build(architecture, image_size, seed)
    state = load_weights(architecture, weights, network)
    if state is not None:
        _load(network, _resampled(state, network), name, weights)
    preprocess = _preprocess(network, image_size)
    _drop_classifier(network)
    return Backbone(network, name, architecture, preprocess, weights).freeze()


def rebuild_backbone(
    architecture: str, name: str, preprocess: Preprocess, origin: str, state: State
) -> Backbone:
    """Build the backbone of a bundle from its own weights, without network or other files."""
    network = _build(architecture, preprocess.size, seed=0)
    _drop_classifier(network)
    _load(network, state, name, "the bundle")
    return Backbone(network, name, architecture, preprocess, origin).freeze()


def suitable_size(backbone: Backbone, photo_side: int) -> int:
    """Give the image size that suits photos, in pixels.

    A network trained on random crops sees things larger than they are, and is at its best on
    images somewhat larger than its training size (Touvron et al., "Fixing the train-test
    resolution discrepancy", 2019). Photos up to 3/2 of it are taken as they are, because
    resampling them loses detail; larger ones come to 9/7 of it. Networks of a fixed size keep it.

    Args:
        backbone: With the size that it was trained with.
        photo_side: Median shorter side of the photos.
    """
    settings: dict[str, Any] = getattr(backbone.network, "pretrained_cfg", {})
    trained = backbone.preprocess.size
    if settings.get("fixed_input_size") or photo_side <= trained:
        return trained
    if photo_side <= trained * 3 // 2:
        return photo_side
    return int(settings.get("test_input_size", (3, trained * 9 // 7))[1])


def resized(backbone: Backbone, image_size: int) -> Backbone:
    """Give the same backbone for another image size."""
    preprocess = replace(backbone.preprocess, size=image_size)
    return Backbone(
        backbone.network, backbone.name, backbone.architecture, preprocess, backbone.origin
    ).freeze()


def _build(architecture: str, image_size: int | None, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network: nn.Module = _create(architecture)
            if image_size and network.pretrained_cfg.get("fixed_input_size"):  # type: ignore[operator,union-attr]
                network = _create(architecture, img_size=image_size)
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            size = f" for images of {image_size} pixels" if image_size else ""
            raise BackboneError(f"'{architecture}' cannot be built{size}: {error}") from None
    return network


def _create(architecture: str, **settings: int) -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mapping deprecated model name")
        network: nn.Module = timm.create_model(architecture, pretrained=False, **settings)
    return network


def _resampled(state: State, network: nn.Module) -> State:
    """Fit position embeddings of another image size, where the architecture has them."""
    own = network.state_dict().get("pos_embed")
    given = state.get("pos_embed")
    if own is None or given is None or own.shape == given.shape:
        return state
    side = network.patch_embed.grid_size  # type: ignore[union-attr]
    prefix = int(getattr(network, "num_prefix_tokens", 1))
    fitted = resample_abs_pos_embed(given, new_size=list(side), num_prefix_tokens=prefix)  # type: ignore[arg-type]
    return {**state, "pos_embed": fitted}


def _load(network: nn.Module, state: State, name: str, weights: str) -> None:
    """Load weights; a file may or may not hold the classifier, but nothing else may differ."""
    own = network.state_dict()
    classifier = {key for key in own if key.startswith(_classifier_names(network))}
    missing = [key for key in own if key not in state and key not in classifier]
    strange = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and key not in classifier and state[key].shape != own[key].shape
    ]
    if missing or strange or shapes:
        problems = [f"{key} is missing" for key in missing] + shapes
        problems += [f"{key} is not known" for key in strange]
        raise WeightsError(
            f"Weights '{weights}' do not belong to backbone '{name}': {problems[0]}"
            + (f", and {len(problems) - 1} more differences." if len(problems) > 1 else ".")
        )
    fitting = {key: tensor for key, tensor in state.items() if tensor.shape == own[key].shape}
    network.load_state_dict(fitting, strict=False)


def _classifier_names(network: nn.Module) -> tuple[str, ...]:
    settings: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    names = settings.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _drop_classifier(network: nn.Module) -> None:
    network.reset_classifier(0)  # type: ignore[operator]


def _preprocess(network: nn.Module, image_size: int | None) -> Preprocess:
    """Take size, filter and normalisation from the network; keep the whole image, see decisions."""
    config = resolve_data_config({}, model=network, verbose=False)
    return Preprocess(
        size=image_size or int(config["input_size"][1]),
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
