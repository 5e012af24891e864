"""A backbone as a bundle holds it: described at once, built when its network is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.arrays import Tensors
from headstart.data.preprocessing import Preprocess

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone


@dataclass(frozen=True, eq=False)
class SavedBackbone:
    """Everything about a backbone, without PyTorch and timm.

    Attributes:
        name: How the user called it.
        architecture: timm's name.
        origin: Where the weights came from, as the user said it.
        licence: Of the weights; None where they are random or the user's own.
        preprocess: What happens to an image before.
        tensors: Weights of the network, by name.
        weights_sha256: Their hash; None in bundles of version 1.
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
        """Return the backbone, frozen, with these weights."""
        from headstart.backbones.backbone import rebuild_backbone

        return rebuild_backbone(
            self.architecture, self.name, self.preprocess, self.origin, self.tensors
        )
