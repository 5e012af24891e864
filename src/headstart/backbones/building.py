"""Build a network of timm for an image size, or say which sizes it takes."""

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

from headstart.errors import BackboneError


class TimmNetwork(Protocol):
    """What timm's networks have in common."""

    num_features: int

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier; 0 leaves none."""
        ...

    def forward_intermediates(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the last map and that of every stage."""
        ...

    def forward_head(self, x: Tensor, pre_logits: bool) -> Tensor:
        """Pool the last map; without `pre_logits` classify it too."""
        ...


def as_timm(network: nn.Module) -> TimmNetwork:
    """Treat a module as the timm network that it is."""
    return cast(TimmNetwork, network)


_REFUSALS = (RuntimeError, ValueError, AssertionError, TypeError)
_SMALLEST, _STEP, _TRIES = 16, 16, 4


def build_network(
    architecture: str, image_size: int | None, channels: int, *, seed: int
) -> nn.Module:
    """Build a network with random weights and its classifier.

    Raises:
        BackboneError: timm cannot build it, or not for that image size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return _created(architecture, image_size, channels)
        except _REFUSALS as error:
            if image_size is not None and _built_for(architecture) is not None:
                raise _size_error(architecture, image_size, channels, str(error)) from None
            raise BackboneError(f"'{architecture}' cannot be built: {error}") from None


def require_size(network: nn.Module, architecture: str, size: int, channels: int) -> None:
    """Refuse an image size that the network cannot take, or of which it would drop the rim.

    Raises:
        BackboneError: It names the nearest sizes that work.
    """
    problem = _problem(network, size, channels)
    if problem is None:
        return
    built_for = getattr(_patches(network), "img_size", None)
    if built_for and built_for[0] != size and _takes(architecture, size, channels):
        raise BackboneError(
            f"'{architecture}' was built for images of {built_for[0]} pixels. "
            f"Load it again with image_size={size}."
        )
    raise _size_error(architecture, size, channels, problem)


def _created(architecture: str, image_size: int | None, channels: int) -> nn.Module:
    sized = {"img_size": image_size} if image_size and _built_for(architecture) else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mapping deprecated model name")
        network: nn.Module = timm.create_model(
            architecture, pretrained=False, in_chans=channels, **sized
        )
    return network


def _built_for(architecture: str) -> int | None:
    """Return the usual size of an architecture that is built for one; None if any size will do."""
    settings = get_pretrained_cfg(architecture)
    fixed = settings is not None and settings.fixed_input_size
    return int(settings.input_size[1]) if fixed else None


def _problem(network: nn.Module, size: int, channels: int) -> str | None:
    """Try one image without computing anything: shapes alone tell whether the size is possible."""
    patch = _patch_side(network)
    if patch is not None and size % patch:
        return f"it cuts them into patches of {patch}"
    try:
        with torch.inference_mode():
            _shapes_of(network.eval())(torch.zeros(1, channels, size, size, device="meta"))
    except _REFUSALS as error:
        return str(error)
    return None


def _shapes_of(network: nn.Module) -> nn.Module:
    """Copy a network without its numbers. What the copy notes down never reaches the network."""
    shapes: dict[int, Any] = {}
    for parameter in network.parameters():
        shapes[id(parameter)] = nn.Parameter(_shape_of(parameter), requires_grad=False)
    for buffer in network.buffers():
        shapes[id(buffer)] = _shape_of(buffer)
    return copy.deepcopy(network, shapes)


def _shape_of(tensor: Tensor) -> Tensor:
    return tensor.detach().to("meta")


def _patches(network: nn.Module) -> nn.Module | None:
    """Return what cuts an image into patches that do not overlap, wherever it is."""
    found = (one for one in network.modules() if isinstance(one, PatchEmbed | HybridEmbed))
    return next(found, None)


def _patch_side(network: nn.Module) -> int | None:
    """Return the side of the patches, unless images are padded to whole ones."""
    patches = _patches(network)
    if patches is None or getattr(patches, "dynamic_img_pad", False):
        return None
    return int(patches.feat_ratio())  # type: ignore[operator]


def _size_error(architecture: str, size: int, channels: int, reason: str) -> BackboneError:
    near = _sizes_near(architecture, size, channels)
    advice = " or ".join(map(str, near)) or "a larger image size, or the default"
    # Where there is a size to take, torch's words about the shapes inside tell nobody anything.
    told = "" if near and "patches of" not in reason else f": {' '.join(reason.split())}"
    return BackboneError(
        f"'{architecture}' cannot take images of {size} pixels{told.rstrip('.')}. Take {advice}."
    )


def _sizes_near(architecture: str, size: int, channels: int) -> list[int]:
    """Return the nearest size below that works and the nearest above, of those that are tried."""
    try:
        with torch.device("meta"):
            step = _patch_side(_created(architecture, None, channels)) or _STEP
    except _REFUSALS:
        return []
    down = range((size - 1) // step * step, _SMALLEST - 1, -step)
    up = range((size // step + 1) * step, size + (_TRIES + 1) * step, step)
    found = (_first(islice(sizes, _TRIES), architecture, channels) for sizes in (down, up))
    return [one for one in found if one is not None]


def _first(sizes: Iterable[int], architecture: str, channels: int) -> int | None:
    return next((one for one in sizes if _takes(architecture, one, channels)), None)


def _takes(architecture: str, size: int, channels: int) -> bool:
    try:
        with torch.device("meta"):
            network = _created(architecture, size, channels)
    except _REFUSALS:
        return False
    return _problem(network, size, channels) is None
