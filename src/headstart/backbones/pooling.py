"""Pooled features of all stages in one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from headstart.backbones.backbone import Backbone
from headstart.backbones.building import as_timm
from headstart.backbones.layout import SMALL, FeatureLayout, Reads
from headstart.data.orientations import all_orientations, average_orientations
from headstart.errors import BackboneError, OptionError
from headstart.options import OrientationsOption

_STATISTICS = ("mean", "max", "std")


@dataclass(frozen=True)
class Maps:
    """The maps of one forward pass, before they are pooled.

    Attributes:
        last: The last map, as the network returns it: (batch, channels, height, width), (batch,
            height, width, channels), or tokens, (batch, tokens, channels).
        stages: The map of every stage, each (batch, channels, height, width).
    """

    last: Tensor
    stages: Sequence[Tensor]


class StagePooling(nn.Module):
    """Compute features of all stages from images.

    Input: uint8 images of shape (batch, height, width, 3), as `Preprocess.pixels` returns them.
    Scaling and normalising are part of the network, so that an engine can fuse them.
    Output: (batch, layout.width), float32.

    The features are the mean, maximum and standard deviation over the positions of each stage's map
    and of the last map. The use of intermediate layers follows Head2Toe (Evci et al., 2022). The
    maximum and the standard deviation keep details that the mean would average out, such as one
    small crack.

    With two scales, each image is also reduced to `Preprocess.small_size` within the network, which
    runs on both; the features of the smaller image come last.

    Args:
        backbone: The network.
        reads: "stages" for all stages, "last" for the pooled output alone, or "map" for the last
            map, flattened like the tutorial's Flatten layer does.
        orientations: Orientations to average over; by default those of the backbone's preprocess.
            The network runs once for each.

    Raises:
        BackboneError: The stages do not return maps, or the number of channels is not 1 or 3.
        OptionError: A flattened map cannot be averaged over orientations or have two scales.
    """

    mean: Tensor
    scale: Tensor
    reduction: Tensor | None

    def __init__(
        self,
        backbone: Backbone,
        *,
        reads: Reads = "stages",
        orientations: OrientationsOption | None = None,
    ) -> None:
        super().__init__()
        self.network = backbone.network
        self._reads = reads
        preprocess = backbone.preprocess
        self.orientations = orientations or preprocess.orientations
        if reads == "map" and self.orientations != "one":
            raise OptionError(
                "Features 'flatten' keep every position of the map, so they cannot be averaged "
                f"over orientations '{self.orientations}'. Omit one of the two."
            )
        if reads == "map" and preprocess.scales != "one":
            raise OptionError("Features 'flatten' have one scale. Omit scales 'two'.")
        self._grey = len(preprocess.mean) == 1
        if len(preprocess.mean) not in (1, 3):
            raise BackboneError(
                f"'{backbone.name}' takes {len(preprocess.mean)} channels, and photos have 3. "
                "Call it with your own arrays, or load it with channels=3 or 1."
            )
        if not hasattr(backbone.network, "forward_intermediates"):
            raise _unsupported(backbone, "it does not return the maps of its stages")
        device = next(backbone.network.parameters()).device
        mean, std = (
            torch.tensor(values, device=device).view(1, -1, 1, 1) * 255
            for values in (preprocess.mean, preprocess.std)
        )
        self.register_buffer("mean", mean)
        self.register_buffer("scale", 1 / std)
        self.size, small = preprocess.size, preprocess.small_size
        reduction = None if small is None else _reduction(self.size, small).to(device)
        self.register_buffer("reduction", reduction)
        self._last_statistics = self._new_in_last(backbone) if reads == "stages" else ()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        return self.pool(self.maps(images))

    def maps(self, images: Tensor) -> list[Maps]:
        """Return the maps of each scale, for images in all orientations, one after the other."""
        pixels = self._pixels(all_orientations(images, self.orientations))
        maps = [self._maps(pixels)]
        if self.reduction is not None:
            maps.append(self._maps(self.reduction @ pixels @ self.reduction.T))
        return maps

    def pool(self, maps: Sequence[Maps]) -> Tensor:
        """Return the features, (images, layout.width), of the result of `maps`."""
        blocks = self._blocks(maps)
        return average_orientations(
            torch.cat([block for _, block in blocks], dim=1), self.orientations
        )

    def channels_first(self, last: Tensor) -> Tensor:
        """Return the last map with channels first; tokens are returned as they are."""
        channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        return last.permute(0, 3, 1, 2) if channels_last else last

    @torch.inference_mode()
    def layout(self) -> FeatureLayout:
        """Determine the blocks of the features by running one blank image."""
        blocks = self._blocks(self.maps(self.blank()))
        return FeatureLayout(tuple((name, block.shape[1]) for name, block in blocks))

    def blank(self) -> Tensor:
        """Return one black image, (1, size, size, 3), on the network's device."""
        shape = (1, self.size, self.size, 3)
        return torch.zeros(shape, dtype=torch.uint8, device=self.mean.device)

    def _blocks(self, maps: Sequence[Maps]) -> list[tuple[str, Tensor]]:
        """Return the blocks of all stages, then those of the smaller scale."""
        blocks = self._blocks_at_one_scale(maps[0])
        for small in maps[1:]:
            blocks += [(SMALL + name, block) for name, block in self._blocks_at_one_scale(small)]
        return blocks

    def _blocks_at_one_scale(self, maps: Maps) -> list[tuple[str, Tensor]]:
        last = self.channels_first(maps.last)
        if self._reads == "map":
            return [("map", last.flatten(1))]
        blocks = [("output", self._output(maps))]
        if self._reads == "last":
            return blocks
        for number, stage in enumerate(maps.stages, start=1):
            blocks += [(f"stage{number}.{kind}", _pooled(stage, kind)) for kind in _STATISTICS]
        blocks += [(f"last.{kind}", _pooled(last, kind)) for kind in self._last_statistics]
        return blocks

    def _pixels(self, images: Tensor) -> Tensor:
        """Return pixels with channels first, 0 to 255, float32."""
        pixels = images.permute(0, 3, 1, 2).float()
        return pixels.mean(dim=1, keepdim=True) if self._grey else pixels

    def _maps(self, pixels: Tensor) -> Maps:
        """Return the last map and the map of every stage."""
        pixels = (pixels - self.mean) * self.scale
        last, stages = as_timm(self.network).forward_intermediates(pixels)
        if not isinstance(last, (list, tuple)):
            last = last.float()  # In bf16, pooling would round to 8 bits.
        return Maps(last, stages)

    def _output(self, maps: Maps) -> Tensor:
        """Return the pooled output of the last layer."""
        return as_timm(self.network).forward_head(maps.last, pre_logits=True).flatten(1)

    @torch.inference_mode()
    def _new_in_last(self, backbone: Backbone) -> tuple[str, ...]:
        """Return the statistics of the last map that are not already in a stage or the output.

        This is determined once, so that `forward` has no branches and can be traced.

        Raises:
            BackboneError: The stages do not return maps.
        """
        blank = self.blank()
        ramp = torch.linspace(0, 255, blank.numel(), device=blank.device).view(blank.shape)
        maps = self._maps(self._pixels(ramp))
        if not all(isinstance(stage, Tensor) for stage in (maps.last, *maps.stages)):
            raise _unsupported(backbone, "its stages do not return one map each")
        last, output = self.channels_first(maps.last), self._output(maps)
        if last.ndim != 4 or last.shape == maps.stages[-1].shape:
            return ()
        mean = last.flatten(2).mean(dim=2)
        same = output.shape == mean.shape and torch.allclose(output, mean, atol=1e-5)
        return _STATISTICS[1:] if same else _STATISTICS


def _reduction(size: int, small: int) -> Tensor:
    """Return the matrix that reduces a side from `size` to `small` pixels, antialiased.

    Matrix products are the same in all engines and exports.
    """
    sides = torch.eye(size).view(1, 1, size, size)
    return interpolate(sides, (small, size), mode="bilinear", antialias=True)[0, 0]


def _unsupported(backbone: Backbone, reason: str) -> BackboneError:
    return BackboneError(
        f"Features cannot be extracted with '{backbone.architecture}': {reason}. "
        "Use a backbone from `headstart backbones`."
    )


def _pooled(stage: Tensor, kind: str) -> Tensor:
    positions = stage.flatten(2).float()
    if kind == "mean":
        return positions.mean(dim=2)
    if kind == "max":
        return positions.amax(dim=2)
    # Not Tensor.std: this way all engines compute the same result in bf16.
    centred = positions - positions.mean(dim=2, keepdim=True)
    variance = centred.square().mean(dim=2)
    # For a constant channel, the gradient of the square root at 0 would be infinite.
    varies = variance > 0
    return torch.where(varies, variance, 1.0).sqrt() * varies
