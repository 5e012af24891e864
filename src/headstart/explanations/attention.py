"""Which tokens of a transformer support a class, by its attention.

Attention times its gradient, summed over heads, over the tokens that attend, and over blocks. It is
like the relevance of Chefer, Gur and Wolf, "Generic attention-model explainability" (2021), but of
each block by itself, and with what speaks against the class.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn


def has_attention(network: nn.Module) -> bool:
    """Return whether all blocks of a network attend to all tokens, and can be recorded."""
    blocks = getattr(network, "blocks", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not len(blocks):
        return False
    layers = [getattr(block, "attn", None) for block in blocks]
    return all(hasattr(each, "attn_drop") and hasattr(each, "fused_attn") for each in layers)


@contextmanager
def recorded_attention(network: nn.Module) -> Iterator[list[Tensor]]:
    """Record the attention of each block that runs, (images, heads, tokens, tokens).

    Args:
        network: A copy for this purpose: its attention stays without fused kernels afterwards.
    """
    recorded: list[Tensor] = []

    def record(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        recorded.append(output)
        return output

    layers: list[Any] = [module for module in network.modules() if hasattr(module, "attn_drop")]
    for layer in layers:
        layer.fused_attn = False
    handles = [layer.attn_drop.register_forward_hook(record) for layer in layers]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


def relevance(scores: Tensor, recorded: Sequence[Tensor], prefix: int) -> list[Tensor]:
    """Return how much each position supports the scores, (images, height, width), by each block.

    Args:
        scores: A score of each image, (images,).
        recorded: The attention that they depend on, see `recorded_attention`.
        prefix: The number of tokens that are not positions, the first ones.
    """
    gradients = torch.autograd.grad(scores.sum(), recorded, allow_unused=True)
    grids = []
    for attention, gradient in zip(recorded, gradients, strict=True):
        if gradient is None:  # Nothing reads the positions of the last map.
            continue
        support = (attention * gradient).sum(dim=(1, 2))[:, prefix:].detach()
        side = isqrt(support.shape[1])
        grids.append(support.view(len(support), side, side))
    return grids
