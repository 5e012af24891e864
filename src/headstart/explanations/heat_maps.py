"""Which positions of an image support a class, by gradient times activation.

The maps of the early stages are pooled and read by the head directly, so what a position of them
contributes follows from the pooling alone. Deep maps have few cells, and what a cell of them shows
often lies beside it, so the gradient of everything that depends on them is followed down to the
last stage with a finer map. See docs/decisions/explanations.md.

In transformers whose blocks attend to all tokens, attention tells more: see `attention`.

Gradient times activation is the exact contribution of each position where the score is linear in
a map, as in class activation maps (Zhou et al., 2016), and its first-order approximation elsewhere
(Shrikumar et al., 2017).
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.arrays import Floats, Pixels, Rows
from headstart.backbones.layout import FeatureLayout
from headstart.backbones.parts import stage_names
from headstart.backbones.pooling import Maps, StagePooling
from headstart.data.orientations import orient, orientation_count
from headstart.errors import OptionError
from headstart.explanations.attention import has_attention, recorded_attention, relevance
from headstart.heads.fitted import (
    BlendModel,
    FittedHead,
    KernelModel,
    LinearModel,
    MLPModel,
    NearestModel,
    StackModel,
)
from headstart.heads.modules import head_module
from headstart.predictor.predictor import Predictor
from headstart.task import Activation

# Views that run at a time. Activations of the upper layers are kept for the gradient.
_VIEWS = 8


def heat_maps(predictor: Predictor, pixels: Pixels, classes: Sequence[int] | Rows) -> Floats:
    """Return how much each position of an image supports a class or speaks against it.

    The cells of a map add up to the score of the class minus that of an average training image,
    except in transformers whose blocks attend to all tokens. The score is the calibrated logit of
    the class, and if classes exclude each other, minus the mean of the others'. It is computed in
    eager float32 PyTorch, so that it can differ slightly from that of the engine.

    Args:
        predictor: The model.
        pixels: Preprocessed images, (images, size, size, 3), as `Preprocess.pixels` returns them.
        classes: The number of the class to explain, for each image.

    Returns:
        Shape (images, height, width): cells of equal size that cover the square input, fewer than
        it has pixels. Positive cells support the class, in units of the logit.

    Raises:
        OptionError: A class number is out of range, or there is not one for each image.
    """
    return Explainer.of(predictor).heat_maps(pixels, classes)


def _checked(classes: Sequence[int] | Rows, images: int, count: int) -> Rows:
    """Return the class numbers as an array, if there is one in range for each image."""
    numbers = np.asarray(classes, dtype=np.int64)
    if numbers.shape != (images,) or not images:
        raise OptionError(
            f"There must be one class number for each of at least one image. "
            f"Got {numbers.size} for {images} images."
        )
    wrong = numbers[(numbers < 0) | (numbers >= count)]
    if wrong.size:
        raise OptionError(f"A class number must be from 0 to {count - 1}. Got {wrong[0]}.")
    return numbers


@dataclass(frozen=True)
class Explainer:
    """The parts of a model that its heat maps are computed with, for many calls.

    Attributes:
        pooling: Computes the features. Its network is not recorded for gradients.
        boundary: Number of the stage from which the gradient is computed through the network.
        head: Maps features to scores.
        temperature: The divisor of the scores.
        layout: The columns of the features.
        width: The number of columns that the head reads.
        reference: The calibrated scores of the mean training image, (1, classes).
        activation: The function that turns scores into probabilities.
        classes: The number of classes.
    """

    pooling: StagePooling
    boundary: int
    head: nn.Module
    temperature: Tensor
    layout: FeatureLayout
    width: int
    reference: Tensor
    activation: Activation
    classes: int

    @classmethod
    def of(cls, predictor: Predictor) -> "Explainer":
        """Collect the parts of a model."""
        pooling = _without_gradients(predictor.extractor.pooling)
        device = pooling.mean.device
        head = head_module(predictor.head).requires_grad_(False).eval().to(device)
        temperature = torch.tensor(predictor.temperature, device=device)
        mean = torch.from_numpy(_mean_features(predictor.head)).float()[None].to(device)
        return cls(
            pooling,
            _boundary_stage(pooling.network),
            head,
            temperature,
            predictor.extractor.layout,
            mean.shape[1],
            head(mean) / temperature,
            predictor.task.activation,
            len(predictor.classes),
        )

    def heat_maps(self, pixels: Pixels, classes: Sequence[int] | Rows) -> Floats:
        """Return heat maps of preprocessed images; see the function of this name."""
        chosen = _checked(classes, len(pixels), self.classes)
        rows = max(1, _VIEWS // orientation_count(self.pooling.orientations))
        batches = (slice(start, start + rows) for start in range(0, len(pixels), rows))
        return np.concatenate([self._heat(pixels[rows], chosen[rows]) for rows in batches])

    @torch.enable_grad()
    def _heat(self, pixels: Pixels, classes: Rows) -> Floats:
        """Return the heat maps of one batch."""
        images = torch.tensor(pixels, device=self.reference.device)
        numbers = torch.from_numpy(classes).to(images.device)
        if has_attention(self.pooling.network):
            return self._heat_of_tokens(images, numbers)
        maps, boundaries, early = self._maps_with_leaves(images)
        features = self.pooling.pool(maps)[:, : self.width]
        score, gradient = self._score_and_gradient(features.detach(), numbers)
        gradient = _attribute_peaks(gradient, features.detach(), self.layout)
        heat = self._contributions(features, gradient, boundaries, early)
        heat = _turned_back(heat, len(images)).sum(dim=0)
        # What is not due to differences between positions is shared by all of them.
        total = score - self._margin(self.reference.expand(len(images), -1), numbers)
        heat += ((total - heat.sum(dim=(1, 2))) / heat[0].numel())[:, None, None]
        return np.asarray(heat.cpu().numpy(), dtype=np.float32)

    def _heat_of_tokens(self, images: Tensor, classes: Tensor) -> Floats:
        """Return the heat maps of a transformer by its attention."""
        network = self.pooling.network
        with recorded_attention(network) as recorded:
            features = self.pooling(images)[:, : self.width]
        scores = self._scores(features, classes)
        grids = relevance(scores, recorded, getattr(network, "num_prefix_tokens", 0))
        heat = torch.stack([_spread(grid, grids[0].shape[1]) for grid in grids]).sum(dim=0)
        heat = _turned_back(heat, len(images)).sum(dim=0)
        return np.asarray(heat.cpu().numpy(), dtype=np.float32)

    def _maps_with_leaves(self, images: Tensor) -> tuple[list[Maps], list[Tensor], list[Tensor]]:
        """Return the maps of each scale, what the boundary stage returned, and the early maps.

        The last two are what the score is differentiated with respect to.
        """
        boundaries: list[Tensor] = []

        def start_graph(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
            boundaries.append(output.detach().requires_grad_())
            return boundaries[-1].clone()  # The next layer may change it in place.

        name = stage_names(self.pooling.network)[self.boundary]
        with self.pooling.network.get_submodule(name).register_forward_hook(start_graph):
            maps = self.pooling.maps(images)
        early = [[leaf.requires_grad_() for leaf in each.stages[: self.boundary]] for each in maps]
        return maps, boundaries, [leaf for leaves in early for leaf in leaves]

    def _scores(self, features: Tensor, classes: Tensor) -> Tensor:
        """Return the score of the class of each image, (images,)."""
        return self._margin(self.head(features) / self.temperature, classes)

    def _margin(self, scores: Tensor, classes: Tensor) -> Tensor:
        """Return the score of a class against those of the others, (images,)."""
        own: Tensor = scores.gather(1, classes[:, None])[:, 0]
        if self.activation == "sigmoid":
            return own
        others: Tensor = (scores.sum(dim=1) - own) / (scores.shape[1] - 1)
        return own - others

    def _score_and_gradient(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores, (images,), and their gradients with respect to features."""
        features = features.requires_grad_()
        scores = self._scores(features, classes)
        (gradient,) = torch.autograd.grad(scores.sum(), features)
        return scores.detach(), gradient

    def _contributions(
        self, features: Tensor, gradient: Tensor, boundaries: list[Tensor], early: list[Tensor]
    ) -> Tensor:
        """Return what each position contributes, (views, height, width), summed over the maps."""
        leaves = [*boundaries, *early]
        gradients = torch.autograd.grad(features, leaves, gradient, allow_unused=True)
        count = len(boundaries)
        grids = [
            _contribution(self._as_map(leaf), self._as_map(each))
            for leaf, each in zip(boundaries, gradients[:count], strict=True)
        ]
        grids += [
            _contribution(leaf, each)
            for leaf, each in zip(early, gradients[count:], strict=True)
            if each is not None
        ]
        return torch.stack([_spread(grid, grids[0].shape[1]) for grid in grids]).sum(dim=0)

    def _as_map(self, output: Tensor) -> Tensor:
        """Return a stage's output as a map with channels first, without a class token."""
        if output.ndim == 4:
            return self.pooling.channels_first(output)
        tokens = output[:, getattr(self.pooling.network, "num_prefix_tokens", 0) :]
        side = isqrt(tokens.shape[1])
        return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


def _without_gradients(pooling: StagePooling) -> StagePooling:
    """Return a copy that shares the weights, so that hooks on it do not affect other threads."""
    shared: dict[int, Tensor] = {id(buffer): buffer for buffer in pooling.buffers()}
    for parameter in pooling.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    return copy.deepcopy(pooling, shared).eval()


def _boundary_stage(network: nn.Module) -> int:
    """Return the last stage with a finer map than the last map, or the last stage but one.

    In a transformer whose maps all have the same size, that is the input of the last block. The
    class token attends to the positions there; the last map has no influence on it.
    """
    info: Any = network.feature_info
    reductions = [stage["reduction"] for stage in getattr(info, "info", info)]
    finer = [number for number, each in enumerate(reductions) if each < reductions[-1]]
    return finer[-1] if finer else max(0, len(reductions) - 2)


def _attribute_peaks(gradient: Tensor, features: Tensor, layout: FeatureLayout) -> Tensor:
    """Move the gradient of each maximum to the mean and the standard deviation of the channel.

    A maximum is the mean plus a number of standard deviations, which is held constant. Otherwise
    all of it would be due to one position, and of a fine map, that is one pixel.

    Args:
        gradient: Of the score with respect to the features, (images, width).
        features: The features, (images, width).
        layout: The columns of the features.
    """
    gradient = gradient.clone()
    columns = dict(_columns(layout, gradient.shape[1]))
    for name, peak in columns.items():
        stage, _, kind = name.rpartition(".")
        if kind == "max":
            own = f"{stage}.mean"
            # The mean of the last map is left out where it is the same as the output.
            mean = columns[own if own in columns else stage.replace("last", "output")]
            deviation = columns[f"{stage}.std"]
            height = (features[:, peak] - features[:, mean]) / features[:, deviation]
            gradient[:, mean] += gradient[:, peak]
            gradient[:, deviation] += gradient[:, peak] * height.nan_to_num(0, 0, 0)
            gradient[:, peak] = 0
    return gradient


def _columns(layout: FeatureLayout, width: int) -> Iterator[tuple[str, slice]]:
    """Yield the name and the columns of each block within a width."""
    ends = accumulate(size for _, size in layout.blocks)
    for (name, size), end in zip(layout.blocks, ends, strict=True):
        if end <= width:
            yield name, slice(end - size, end)


def _contribution(map_: Tensor, gradient: Tensor) -> Tensor:
    """Return gradient times activation, (images, height, width), of a map with channels first.

    What all positions of a channel have in common says nothing about one of them, so activations
    are relative to their mean over the positions.
    """
    centred = map_ - map_.mean(dim=(2, 3), keepdim=True)
    return (centred * gradient).sum(dim=1).detach()


def _spread(grid: Tensor, side: int) -> Tensor:
    """Redistribute the values of cells to a grid of another size, by the area that they share."""
    rows, columns = (_overlap(length, side).to(grid) for length in grid.shape[1:])
    return rows @ grid @ columns.T


def _overlap(cells: int, side: int) -> Tensor:
    """Return the share of each old cell of a side that is in each new cell, (side, cells)."""
    old, new = torch.arange(cells + 1) / cells, torch.arange(side + 1) / side
    end = torch.minimum(old[None, 1:], new[1:, None])
    begin = torch.maximum(old[None, :-1], new[:-1, None])
    return (end - begin).clamp(min=0) * cells


def _turned_back(heat: Tensor, images: int) -> Tensor:
    """Return maps of all orientations in the first one, (orientations, images, height, width)."""
    views = heat.view(-1, images, *heat.shape[1:])
    return torch.stack([_undo(view, number) for number, view in enumerate(views)])


def _undo(view: Tensor, number: int) -> Tensor:
    """Return maps that were in one of the eight orientations unchanged.

    Undoing flips after swapped axes is swapping the axes of the flips.
    """
    inverse = 4 + (number & 1) * 2 + (number & 2) // 2 if number & 4 else number
    return orient(view[..., None], inverse)[..., 0]


def _mean_features(head: FittedHead) -> Floats:
    """Return the mean features of the head's training images, (width,)."""
    match head:
        case StackModel():
            return max(map(_mean_features, head.members), key=len)
        case BlendModel():
            return max(_mean_features(head.first), _mean_features(head.second), key=len)
        case LinearModel() | KernelModel() | MLPModel() | NearestModel():
            return head.mean
    raise TypeError(f"A head of kind '{head.kind}' cannot be explained.")
