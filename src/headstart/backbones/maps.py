"""The maps of a backbone's last stages, on which a detector works."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.backbones.layout import MapShape
from headstart.backbones.pooling import StagePooling
from headstart.errors import BackboneError

_LEVELS = 3


class StageMaps(nn.Module):
    """Compute the maps of the last stages from images, as one row for each image.

    Input: uint8 images of shape (batch, height, width, 3), as `Preprocess.pixels` returns them.
    Output: the maps one after the other, finest first, each flattened, (batch, width), float32.

    Of the stages whose maps have the same resolution, the last one is taken; at most three
    resolutions, the coarsest ones. Those of a transformer all have one.

    Args:
        backbone: The network.

    Attributes:
        shapes: The shape of each map, in the order of the row.
        size: The side of the images, in pixels.

    Raises:
        BackboneError: The stages do not return square maps.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._pooling = StagePooling(backbone, reads="last", orientations="one")
        self.size = backbone.preprocess.size
        with torch.inference_mode():
            maps = self._pooling.maps(self._pooling.blank())[0].stages
        self._stages = _coarsest(maps)
        chosen = [maps[number] for number in self._stages]
        if any(one.ndim != 4 or one.shape[2] != one.shape[3] for one in chosen):
            raise BackboneError(
                f"A detector cannot be built on '{backbone.architecture}', whose stages do not "
                "return square maps. Use a backbone from `headstart backbones`."
            )
        self.shapes = tuple(MapShape(one.shape[1], one.shape[2]) for one in chosen)

    @property
    def network(self) -> nn.Module:
        """The timm module."""
        return self._pooling.network

    def blank(self) -> Tensor:
        """Return one black image, (1, size, size, 3), on the network's device."""
        return self._pooling.blank()

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps as rows."""
        maps = self._pooling.maps(images)[0].stages
        return torch.cat([maps[number].float().flatten(1) for number in self._stages], dim=1)


def split_maps(rows: Tensor, shapes: Sequence[MapShape]) -> list[Tensor]:
    """Return the maps in rows of `StageMaps`, each (batch, channels, side, side)."""
    parts = torch.split(rows, [shape.values for shape in shapes], dim=1)
    return [
        part.reshape(-1, shape.channels, shape.side, shape.side)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def row_width(shapes: Sequence[MapShape]) -> int:
    """Return the number of values in a row of `StageMaps`."""
    return sum(shape.values for shape in shapes)


def _coarsest(maps: Sequence[Tensor]) -> list[int]:
    """Return the numbers of the last stages of the coarsest resolutions, the finest first."""
    last = {math.prod(one.shape[2:]): number for number, one in enumerate(maps)}
    return sorted(last.values())[-_LEVELS:]
