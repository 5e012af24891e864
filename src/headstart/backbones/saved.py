"""The backbone of a bundle, which is built only when its network is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.arrays import Tensors
from headstart.data.preprocessing import Preprocess

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone


def tensors_of(backbone: Backbone | SavedBackbone) -> Tensors:
    """Return the weights of a backbone's network, by name."""
    if isinstance(backbone, SavedBackbone):
        return backbone.tensors
    state = backbone.network.state_dict()
    return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}


@dataclass(frozen=True, eq=False)
class SavedBackbone:
    """A description of a backbone that does not need PyTorch or timm.

    Attributes:
        name: The name that the user passed.
        architecture: timm's name.
        origin: The source of the weights, as the user passed it.
        licence: Licence of the weights; None if they are random or the user's own.
        preprocess: The preprocessing of images.
        tensors: Weights of the network, by name.
        weights_sha256: Hash of the weights; None in bundles of version 1.
        blocks: Name and width of each block of its features; None in bundles of version 1.
    """

    name: str
    architecture: str
    origin: str
    licence: str | None
    preprocess: Preprocess
    tensors: Tensors
    weights_sha256: str | None
    blocks: tuple[tuple[str, int], ...] | None

    def build(self) -> Backbone:
        """Build the backbone with these weights, frozen."""
        from headstart.backbones.backbone import rebuild_backbone

        return rebuild_backbone(
            self.architecture, self.name, self.preprocess, self.origin, self.tensors
        )
