"""Steps 1 to 3 of transfer learning: choose a network, load it without classifier, freeze it."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike, fspath
from typing import Self, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from timm.data import resolve_data_config
from torch import Tensor, nn

from headstart.backbones.building import as_timm, build_network, check_image_size
from headstart.backbones.catalogue import architecture_of, entry_of
from headstart.backbones.classifiers import drop_classifier, drop_last_layer, has_hidden_layers
from headstart.backbones.detectors import Normalisation
from headstart.backbones.licences import licence_of
from headstart.backbones.loading import load_pretrained, load_state
from headstart.backbones.parts import (
    Parts,
    is_frozen,
    keep_frozen_in_eval_mode,
    mark_frozen,
    trace_parts,
)
from headstart.backbones.repositories import TimmRepository, is_repository, weights_of
from headstart.backbones.weights import digest
from headstart.data.contract import PixelContract
from headstart.data.preprocessing import RESIZE, Preprocess
from headstart.errors import BackboneError, OptionError
from headstart.options import FitOption, OrientationsOption, ScalesOption
from headstart.watching import Note, no_note


class Backbone(nn.Module):
    """A pretrained network without its classifier.

    Called with normalised images of shape (batch, 3, height, width), it returns the pooled output
    of its last layer, (batch, width).

    Attributes:
        name: The name that the user passed.
        architecture: timm's name.
        network: The timm module.
        preprocess: The preprocessing of images.
        origin: The source of the weights, as the user passed it.
        size_is_open: Whether no image size was requested, so that `Classifier.fit` may choose one
            that suits the images.
        fit_is_open: Whether `Classifier.fit` chooses how images become square.
    """

    def __init__(
        self,
        network: nn.Module,
        name: str,
        architecture: str,
        preprocess: Preprocess,
        origin: str,
        *,
        size_is_open: bool = False,
        fit_is_open: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.architecture = architecture
        self.preprocess = preprocess
        self.origin = origin
        self.size_is_open = size_is_open
        self.fit_is_open = fit_is_open
        self._parts: Parts | None = None
        keep_frozen_in_eval_mode(network)

    def __repr__(self) -> str:
        trained = sum(parameter.requires_grad for parameter in self.parameters())
        return (
            f"Backbone({self.name}, weights={self.origin}, {self.preprocess.size} px, "
            f"{self.width:,} features, {'partly unfrozen' if trained else 'frozen'})"
        )

    @property
    def width(self) -> int:
        """Number of features of the last layer."""
        return int(getattr(self.network, "head_hidden_size", as_timm(self.network).num_features))

    @property
    def licence(self) -> str | None:
        """Licence of the weights; None if they are random or the user's own."""
        return licence_of(self.architecture, self.origin)

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled output of the last layer."""
        out: Tensor = self.network(images)
        return out

    def freeze(self, part: str = "all") -> Self:
        """Freeze a part: its parameters, the statistics of its norms and its dropout.

        Args:
            part: "all", "none", or the first N parts of the network: "stages:N" or "layers:N",
                counted from the stem.

        Raises:
            OptionError: The network does not have this part.
        """
        if part == "all":
            return self._freeze_all()
        if part == "none":
            return self.unfreeze("all")
        kind, _, count = part.partition(":")
        parts = self.parts()
        total = {"stages": len(parts.stages), "layers": len(parts.layers)}.get(kind)
        parts.first_trainable(part)  # Raises if the network does not have this part.
        return self.unfreeze(f"{kind}:{(total or 0) - int(count)}")

    def unfreeze(self, part: str) -> Self:
        """Make a part trainable, and freeze everything below it.

        Args:
            part: "all", "none", or the last N parts of the network: "stages:N", or "layers:N" in
                order of execution, like the tutorial's `layers[-10:]`. Layers after the last stage
                belong to it.

        Raises:
            OptionError: The network does not have this part.
        """
        self._freeze_all()
        if part == "none":
            return self
        if part == "all":
            parameters, layers = set[str](), set[str]()
        else:
            parameters, layers = self.parts().frozen_below(self.parts().first_trainable(part))
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name not in parameters)
        mark_frozen(self.network, layers.__contains__)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for frozen parts."""
        super().train(mode)
        if mode:
            for module in self.modules():
                if is_frozen(module):
                    module.eval()
        return self

    def __getstate__(self) -> dict[str, object]:
        """Exclude the traced parts from copies, which trace their own network."""
        return self.__dict__ | {"_parts": None}

    def parts(self) -> Parts:
        """Return the network's layers and stages in order of execution.

        Raises:
            BackboneError: The network cannot be traced.
        """
        if self._parts is None:
            training = self.network.training
            self._parts = trace_parts(self.network.eval())
            self.train(training)
        return self._parts

    def split(self, after: int) -> tuple[nn.Module, nn.Module]:
        """Split the network after a stage, counted from 1 at the stem.

        Returns:
            Two networks that share the weights of the whole: the first computes the stage's map
            from normalised images, the second computes the pooled output from that map. In
            sequence, their output is exactly that of the whole network.

        Raises:
            OptionError: The network cannot be split there.
            BackboneError: The architecture cannot be split there.
        """
        return self.parts().split(after)

    def weights_sha256(self) -> str:
        """Return the hash of the weights, on which features depend."""
        return digest(self.network)

    def _freeze_all(self) -> Self:
        self.requires_grad_(False)
        mark_frozen(self.network, lambda name: True)
        return self.eval()


def load_backbone(
    name: str = "efficientnet-lite0",
    *,
    weights: str | PathLike[str] = "imagenet",
    image_size: int | None = None,
    channels: int = 3,
    orientations: OrientationsOption = "one",
    scales: ScalesOption = "one",
    fit: FitOption = "squash",
    seed: int = 0,
    note: Note = no_note,
) -> Backbone:
    """Load a pretrained network without its classifier, frozen.

    Args:
        name: A name from the catalogue, any architecture of timm, or "hf-hub:OWNER/NAME" for a
            network on the hub in timm's form.
        weights: "imagenet", "random", a safetensors, .pth or .pt file, a folder with
            model.safetensors, or "hf-hub:" and an id. Of a detector of torchvision, the backbone is
            loaded.
        image_size: Side of the square input, in pixels. Default: the size that the network was
            trained with; `Classifier.fit` may choose another one that suits the images.
        channels: Number of image channels, 3 for colour. The first convolution is adapted as timm
            does it: its weights are summed for 1 channel and repeated for more.
        orientations: Orientations of a photo over which features are averaged: "one", "mirror" (2)
            or "dihedral" (8, for photos without an upright side).
        scales: "two" also computes features at about 3/4 of the size.
        fit: How an image becomes a square: "squash" stretches it, "pad" fills it up with the mean
            colour, "crop" takes its centre; with "auto", `Classifier.fit` chooses by folds.
        seed: Seed of random weights.
        note: Called with a sentence about what is loaded, if only part of a file is.

    Raises:
        UnknownBackbone: The name is unknown; the nearest names are suggested.
        WeightsError: The weights are missing, damaged, or of another architecture.
        BackboneError: The architecture does not accept the image size; the nearest sizes that it
            accepts are named.
    """
    architecture, weights = architecture_of(name), weights_of(name, fspath(weights))
    if channels < 1:
        raise OptionError(f"channels must be at least 1. Got {channels}.")
    if image_size is not None and not (isinstance(image_size, int) and image_size >= 16):
        raise OptionError(f"image_size must be an integer of at least 16. Got {image_size!r}.")
    if orientations not in get_args(OrientationsOption):
        raise OptionError(f"orientations must be one, mirror or dihedral. Got {orientations!r}.")
    if scales not in get_args(ScalesOption):
        raise OptionError(f"scales must be one or two. Got {scales!r}.")
    if fit not in get_args(FitOption):
        raise OptionError(f"fit must be auto, squash, pad or crop. Got {fit!r}.")
    size = image_size or _catalogue_size(name)
    network = build_network(architecture, size, channels, seed=seed)
    if is_repository(name):
        settings = cast(dict[str, object], network.pretrained_cfg)
        settings.update(TimmRepository.read(name).images)
    normalisation = load_pretrained(network, architecture, name, weights, channels, note)
    preprocess = replace(
        _preprocess(network, size, channels, normalisation),
        orientations=orientations,
        scales=scales,
        resize=RESIZE[fit],
    )
    drop_classifier(network)
    _check_sizes(network, architecture, preprocess)
    return Backbone(
        *(network, name, architecture, preprocess, weights),
        size_is_open=image_size is None,
        fit_is_open=fit == "auto",
    ).freeze()


def rebuild_backbone(
    architecture: str,
    name: str,
    preprocess: Preprocess,
    origin: str,
    tensors: Mapping[str, NDArray[np.generic]],
) -> Backbone:
    """Build the backbone of a bundle from its own weights, without network access or other files.

    Hidden layers of the classifier are kept if the bundle was saved with them, since its head was
    fitted on their output.
    """
    network = build_network(architecture, preprocess.size, len(preprocess.mean), seed=0)
    drop = drop_last_layer if has_hidden_layers(network, tensors) else drop_classifier
    drop(network)
    state = {key: torch.from_numpy(value) for key, value in tensors.items()}
    load_state(network, state, name, "the bundle", optional=())
    return Backbone(network, name, architecture, preprocess, origin).freeze()


def with_image_size(backbone: Backbone, image_size: int) -> Backbone:
    """Return the same backbone for another image size.

    Raises:
        BackboneError: The architecture does not accept the image size.
    """
    preprocess = replace(backbone.preprocess, size=image_size)
    _check_sizes(backbone.network, backbone.architecture, preprocess)
    return _with_preprocess(backbone, preprocess, size_is_open=False)


def with_fit(backbone: Backbone, fit: FitOption) -> Backbone:
    """Return the same backbone for images that become square in another way."""
    preprocess = replace(backbone.preprocess, resize=RESIZE[fit])
    return _with_preprocess(backbone, preprocess, fit_is_open=False)


def with_contract(backbone: Backbone, contract: PixelContract) -> Backbone:
    """Return the same backbone for images that are read by another pixel contract."""
    if contract == backbone.preprocess.contract:
        return backbone
    return _with_preprocess(backbone, replace(backbone.preprocess, contract=contract))


def _with_preprocess(
    backbone: Backbone,
    preprocess: Preprocess,
    *,
    size_is_open: bool | None = None,
    fit_is_open: bool | None = None,
) -> Backbone:
    """Return the same backbone with other preprocessing; what is None stays as it is."""
    return Backbone(
        *(backbone.network, backbone.name, backbone.architecture, preprocess, backbone.origin),
        size_is_open=backbone.size_is_open if size_is_open is None else size_is_open,
        fit_is_open=backbone.fit_is_open if fit_is_open is None else fit_is_open,
    ).freeze()


def with_weights(backbone: Backbone, weights: Mapping[str, Tensor]) -> Backbone:
    """Return a frozen copy of a backbone with other weights."""
    network = copy.deepcopy(backbone.network)
    network.load_state_dict(weights)
    return Backbone(
        network, backbone.name, backbone.architecture, backbone.preprocess, backbone.origin
    ).freeze()


def _check_sizes(network: nn.Module, architecture: str, preprocess: Preprocess) -> None:
    """Check that the network accepts the image size, at both scales if there are two.

    Raises:
        BackboneError: It does not.
    """
    size, small, channels = preprocess.size, preprocess.small_size, len(preprocess.mean)
    check_image_size(network, architecture, size, channels)
    if small is None:
        return
    if size < 64:
        raise BackboneError(f"scales 'two' needs images of at least 64 pixels. Got {size}.")
    try:
        check_image_size(network, architecture, small, channels)
    except BackboneError:
        raise BackboneError(
            f"With scales 'two' and images of {size} pixels, the network also runs at {small} "
            f"pixels, which '{architecture}' does not accept. Use scales 'one' or another size."
        ) from None


def _catalogue_size(name: str) -> int | None:
    """Return the image size of the catalogue, or None if the name is not in it."""
    entry = entry_of(name)
    return entry.image_size if entry else None


def _preprocess(
    network: nn.Module, image_size: int | None, channels: int, normalisation: Normalisation | None
) -> Preprocess:
    """Return the network's own size and filter, without its centre crop.

    The whole image is used, for the reasons in docs/decisions/whole-image.md. The normalisation is
    the network's own unless its weights were trained with another.
    """
    config = resolve_data_config({}, model=network, verbose=False)
    mean, std = normalisation or (tuple(config["mean"]), tuple(config["std"]))
    if channels != 3:
        mean, std = (sum(mean) / 3,) * channels, (sum(std) / 3,) * channels
    return Preprocess(
        size=image_size or int(config["input_size"][1]),
        interpolation=config["interpolation"],
        mean=mean,
        std=std,
    )
