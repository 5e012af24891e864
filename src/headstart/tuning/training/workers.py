"""The workers that share a training: this process alone, or several that PyTorch has connected."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from headstart.arrays import Rows

Value = TypeVar("Value")


class Disconnected(Exception):
    """Another worker does not answer: it has ended."""


@dataclass(frozen=True)
class Workers:
    """The workers of a training. Each computes a share of every batch, and all have equal weights.

    Attributes:
        rank: The number of this worker, from 0.
        size: The number of workers.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def connected(cls) -> Self:
        """Return the workers of the process group of `torch.distributed`, if there is one."""
        if not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this worker decides, and writes checkpoints and events."""
        return self.rank == 0

    def share(self, batch: Rows) -> Rows:
        """Return the images of a batch that this worker computes; together, workers have each once.

        The shares begin at both ends, so that mixup, which mixes the first image with the last and
        so on, mixes the same images however many workers there are.
        """
        count, half = len(batch), -(-len(batch) // 2)
        begin, end = (half * rank // self.size for rank in (self.rank, self.rank + 1))
        return np.concatenate([batch[begin:end], batch[max(end, count - end) : count - begin]])

    def part(self, images: Rows) -> Rows:
        """Return the images that this worker evaluates; `gather` puts the parts in order."""
        return np.array_split(images, self.size)[self.rank]

    def sum(self, loss: float, parameters: Sequence[nn.Parameter]) -> float:
        """Replace gradients by their sum over all workers, and return the sum of a loss.

        Raises:
            Disconnected: Another worker has ended, here and in all other methods.
        """
        if self.size == 1:
            return loss
        # A worker without images has no gradients; parameters that are not used have none anywhere.
        used = [float(parameter.grad is not None) for parameter in parameters]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        numbers = torch.tensor([loss, *used], device=gradients[0].device)
        total = torch.cat([numbers, *(gradient.flatten() for gradient in gradients)])
        with _answered():
            distributed.all_reduce(total)
        loss, *used = total[: len(numbers)].tolist()
        sums = torch.split(total[len(numbers) :], [gradient.numel() for gradient in gradients])
        for parameter, summed, count in zip(parameters, sums, used, strict=True):
            if count:
                parameter.grad = torch.empty_like(parameter).copy_(summed.view(parameter.shape))
        return loss

    def gather(self, outputs: Tensor) -> Tensor:
        """Join the outputs of all workers for their parts of some images, (images, width)."""
        if self.size == 1:
            return outputs
        found: list[Tensor] = [outputs] * self.size
        with _answered():
            distributed.all_gather_object(found, outputs)
        return torch.cat([output for output in found if len(output)])

    def agree(self, value: Value) -> Value:
        """Return the first worker's value, so that all of them decide alike."""
        if self.size == 1:
            return value
        values = [value]
        with _answered():
            distributed.broadcast_object_list(values)
        return values[0]


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Disconnected(str(error)) from error
