"""A feature pyramid with a head that predicts a class and a box at each of its points.

The pyramid is that of Lin et al. (2017), "Feature Pyramid Networks for Object Detection", with the
way back from fine to coarse of Liu et al. (2018), "Path Aggregation Network for Instance
Segmentation": the edges of large objects, too, are exact only on the fine maps. The head has no
anchors, as in Tian et al. (2019), "FCOS", and no centre-ness: the class score is trained to
be the overlap with the true box, as in Feng et al. (2021), "TOOD".
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from headstart.backbones.maps import split_maps
from headstart.heads.boxes.shape import BoxHeadShape

# The share of the maps' channels that are left out in each step of the training.
_DROPOUT = 0.1
# A probability of 1 % at first, so that the many points without an object do not outweigh the rest.
_FIRST_PROBABILITY = 0.01
# The first boxes reach three steps of the map from their point, in each direction.
_FIRST_REACH = 3.0


class BoxHead(nn.Module):
    """Predict classes and boxes from the rows of `StageMaps`.

    Output: (batch, points, 4 + classes), float32. The first four values are the logarithms of the
    distances from the point to the left, top, right and bottom edge of the box, in steps of the
    point's level; the others are the scores of the classes before the sigmoid.
    """

    def __init__(self, shape: BoxHeadShape) -> None:
        super().__init__()
        self.shape = shape
        width, levels = shape.channels, len(shape.levels)
        sources = shape.maps if len(shape.maps) > 1 else shape.maps * levels
        self.dropout = nn.Dropout2d(_DROPOUT)
        self.lateral = nn.ModuleList(_convolution(map_.channels, width, 1) for map_ in sources)
        self.smooth = nn.ModuleList(_convolution(width, width, 3) for _ in range(levels))
        self.down = nn.ModuleList(_convolution(width, width, 3, step=2) for _ in range(levels - 1))
        self.merge = nn.ModuleList(_convolution(width, width, 3) for _ in range(levels - 1))
        self.class_tower = _Tower(width, shape.depth, levels)
        self.box_tower = _Tower(width, shape.depth, levels)
        self.score = nn.Conv2d(width, shape.classes, 1)
        self.reach = nn.Conv2d(width, 4, 1)
        self.scale = nn.Parameter(torch.ones(levels))
        odds = _FIRST_PROBABILITY / (1 - _FIRST_PROBABILITY)
        for layer, value in ((self.score, odds), (self.reach, _FIRST_REACH)):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, math.log(value))

    def forward(self, rows: Tensor) -> Tensor:
        """Return a row for each point of the pyramid."""
        outputs = []
        for number, level in enumerate(self._pyramid(split_maps(rows, self.shape.maps))):
            reach = self.reach(self.box_tower(level, number)) * self.scale[number]
            score = self.score(self.class_tower(level, number))
            outputs.append(torch.cat([reach.flatten(2), score.flatten(2)], dim=1))
        return torch.cat(outputs, dim=2).transpose(1, 2).float()

    def _pyramid(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels, finest first, each (batch, channels, side, side)."""
        sides = self.shape.levels
        maps = [self.dropout(map_) for map_ in maps]
        sources = maps if len(maps) > 1 else maps * len(sides)
        levels = [lateral(source) for lateral, source in zip(self.lateral, sources, strict=True)]
        if len(maps) == 1:
            levels = [_resized(level, side) for level, side in zip(levels, sides, strict=True)]
        for finer in reversed(range(len(levels) - 1)):
            levels[finer] = levels[finer] + _resized(levels[finer + 1], sides[finer])
        levels = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]
        for finer, (down, merge) in enumerate(zip(self.down, self.merge, strict=True)):
            coarser = _resized(down(levels[finer]), sides[finer + 1])
            levels[finer + 1] = merge(levels[finer + 1] + coarser)
        return levels


class _Tower(nn.Module):
    """Convolutions that all levels share, with norms of each level.

    Levels have different statistics. A norm that they share would see those of one level at a time
    in training, but a mixture of all when it predicts.
    """

    def __init__(self, channels: int, depth: int, levels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth)
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(depth)) for _ in range(levels)
        )

    def forward(self, level: Tensor, number: int) -> Tensor:
        """Return the features of a level, whose number is that of its norms."""
        norms = cast(nn.ModuleList, self.norms[number])
        for convolution, norm in zip(self.convolutions, norms, strict=True):
            level = silu(norm(convolution(level)), inplace=True)
        return level


def _resized(level: Tensor, side: int) -> Tensor:
    return (
        interpolate(level, size=(side, side), mode="nearest") if level.shape[2] != side else level
    )


def _convolution(inputs: int, outputs: int, side: int, step: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, step, padding=side // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(inplace=True),
    )
