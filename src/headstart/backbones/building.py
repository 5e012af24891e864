"""Build a timm network for an image size, or name the sizes that it accepts."""

import copy
import warnings
from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol, cast

import timm
import torch
from timm.layers import HybridEmbed, PatchEmbed
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from headstart.backbones.arguments import split_arguments
from headstart.errors import BackboneError


class TimmNetwork(Protocol):
    """The common interface of timm's networks."""

    num_features: int

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier; 0 removes it."""
        ...

    def forward_intermediates(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the last map and the map of every stage."""
        ...

    def forward_head(self, x: Tensor, pre_logits: bool) -> Tensor:
        """Pool the last map and, without `pre_logits`, classify it."""
        ...


def as_timm(network: nn.Module) -> TimmNetwork:
    """Cast a module to the interface of timm's networks."""
    return cast(TimmNetwork, network)


_REFUSALS = (RuntimeError, ValueError, AssertionError, TypeError)
_SMALLEST, _STEP, _TRIES = 16, 16, 4


def build_network(
    architecture: str, image_size: int | None, channels: int, *, seed: int
) -> nn.Module:
    """Build a network with random weights and its classifier.

    Raises:
        BackboneError: timm cannot build the network at all or for the image size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return _create(architecture, image_size, channels)
        except _REFUSALS as error:
            if image_size is not None and _built_for(architecture) is not None:
                raise _size_error(architecture, image_size, channels, str(error)) from None
            raise BackboneError(f"'{architecture}' cannot be built: {error}") from None


def check_image_size(network: nn.Module, architecture: str, size: int, channels: int) -> None:
    """Check that the network accepts an image size without ignoring pixels at the border.

    Raises:
        BackboneError: It does not. The message names the nearest sizes that work.
    """
    problem = _size_problem(network, size, channels)
    if problem is None:
        return
    built_for = getattr(_patch_embedding(network), "img_size", None)
    if built_for and built_for[0] != size and _accepts(architecture, size, channels):
        raise BackboneError(
            f"'{architecture}' was built for images of {built_for[0]} pixels. "
            f"Load it again with image_size={size}."
        )
    raise _size_error(architecture, size, channels, problem)


def _create(architecture: str, image_size: int | None, channels: int) -> nn.Module:
    name, arguments = split_arguments(architecture)
    if image_size and _built_for(architecture):
        arguments["img_size"] = image_size
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mapping deprecated model name")
        network: nn.Module = timm.create_model(
            name, pretrained=False, in_chans=channels, **arguments
        )
    return network


def _built_for(architecture: str) -> int | None:
    """Return the default image size of an architecture with a fixed size, otherwise None."""
    settings = get_pretrained_cfg(split_arguments(architecture)[0])
    fixed = settings is not None and settings.fixed_input_size
    return int(settings.input_size[1]) if fixed else None


def _size_problem(network: nn.Module, size: int, channels: int) -> str | None:
    """Run the network on shapes alone, and return the reason if the size is not possible."""
    patch = _patch_side(network)
    if patch is not None and size % patch:
        return f"it cuts them into patches of {patch}"
    try:
        with torch.inference_mode():
            _to_meta(network.eval())(torch.zeros(1, channels, size, size, device="meta"))
    except _REFUSALS as error:
        return str(error)
    return None


def _to_meta(network: nn.Module) -> nn.Module:
    """Copy a network to PyTorch's meta device, without sharing state that the copy caches."""
    tensors: dict[int, Any] = {}
    for parameter in network.parameters():
        tensors[id(parameter)] = nn.Parameter(_meta(parameter), requires_grad=False)
    for buffer in network.buffers():
        tensors[id(buffer)] = _meta(buffer)
    return copy.deepcopy(network, tensors)


def _meta(tensor: Tensor) -> Tensor:
    return tensor.detach().to("meta")


def _patch_embedding(network: nn.Module) -> nn.Module | None:
    """Return the module that cuts images into patches without overlap, if there is one."""
    found = (module for module in network.modules() if isinstance(module, PatchEmbed | HybridEmbed))
    return next(found, None)


def _patch_side(network: nn.Module) -> int | None:
    """Return the side of the patches; None if there are none or images are padded to fit."""
    embedding = _patch_embedding(network)
    if embedding is None or getattr(embedding, "dynamic_img_pad", False):
        return None
    return int(embedding.feat_ratio())  # type: ignore[operator]


def _size_error(architecture: str, size: int, channels: int, reason: str) -> BackboneError:
    near = _sizes_near(architecture, size, channels)
    advice = " or ".join(map(str, near)) or "a larger image size, or the default"
    # PyTorch's message about internal shapes is of no use if another size can be suggested.
    detail = "" if near and "patches of" not in reason else f": {' '.join(reason.split())}"
    return BackboneError(
        f"'{architecture}' does not accept images of {size} pixels{detail.rstrip('.')}. "
        f"Use {advice}."
    )


def _sizes_near(architecture: str, size: int, channels: int) -> list[int]:
    """Return the nearest accepted size below and the nearest above, among a few candidates."""
    try:
        with torch.device("meta"):
            step = _patch_side(_create(architecture, None, channels)) or _STEP
    except _REFUSALS:
        return []
    down = range((size - 1) // step * step, _SMALLEST - 1, -step)
    up = range((size // step + 1) * step, size + (_TRIES + 1) * step, step)
    found = (_first_accepted(islice(sizes, _TRIES), architecture, channels) for sizes in (down, up))
    return [size for size in found if size is not None]


def _first_accepted(sizes: Iterable[int], architecture: str, channels: int) -> int | None:
    return next((size for size in sizes if _accepts(architecture, size, channels)), None)


def _accepts(architecture: str, size: int, channels: int) -> bool:
    try:
        with torch.device("meta"):
            network = _create(architecture, size, channels)
    except _REFUSALS:
        return False
    return _size_problem(network, size, channels) is None


def flexible_size(architecture: str) -> int | None:
    """Return the side of the images that a network was trained with, in pixels.

    Args:
        architecture: timm's name of the network.

    Returns:
        None if the network accepts no other size, or is not pretrained.
    """
    settings = get_pretrained_cfg(split_arguments(architecture)[0])
    if settings is None or settings.fixed_input_size:
        return None
    return int(settings.input_size[-1])
