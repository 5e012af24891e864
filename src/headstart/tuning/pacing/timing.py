"""How a training step is taken: found by timing a few of them, not by guessing."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from headstart.task import Task

_STEPS = 2
# Times the best way's seconds; no further step of such a way is timed.
_HOPELESS = 3


@dataclass(frozen=True)
class Setting:
    """A way to take a step.

    Attributes:
        bf16: Whether forward and backward compute in bf16; weights and updates stay float32.
        channels_last: Whether convolutions see the channels of a pixel side by side.
        threads: Of PyTorch.
        device: "cpu" or "cuda".
        micro_batch: Most images at a time; gradients of a larger batch are accumulated.
        images_per_second: By each way that was timed.
    """

    bf16: bool = False
    channels_last: bool = True
    threads: int = 1
    device: str = "cpu"
    micro_batch: int = 1024
    images_per_second: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in reports."""
        layout = "channels last" if self.channels_last else "channels first"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return ", ".join(["bf16" if self.bf16 else "float32", layout, threads])

    @property
    def rate(self) -> float:
        """Images per second in steps as they were timed."""
        return self.images_per_second[self.name]

    def laid_out(self, network: nn.Module) -> None:
        """Bring a network's weights into the layout and onto the device."""
        lay_out(network, self.device, channels_last=self.channels_last)

    def autocast(self) -> torch.autocast:
        """Return the context in which forward passes compute in this precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    @contextmanager
    def threaded(self) -> Iterator[None]:
        """Compute with so many threads for a while."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def candidates(*, device: str, bf16: bool) -> list[Setting]:
    """Return the ways that are worth timing here.

    Args:
        device: "cpu" or "cuda".
        bf16: Whether the device computes in it.
    """
    most = torch.get_num_threads()
    if device == "cuda":
        return [Setting(bf16=bf16, channels_last=True, threads=most, device=device)]
    ways = [
        Setting(bf16=half, channels_last=last, threads=most)
        for half in ([True, False] if bf16 else [False])
        for last in (True, False)
    ]
    if most >= 4:  # Two threads of one core often hinder each other.
        ways += [replace(way, threads=most // 2) for way in ways if way.channels_last]
    return ways


def fastest(
    network: nn.Module, rows: Tensor, truth: Tensor, task: Task, ways: Sequence[Setting]
) -> Setting:
    """Time a few steps of each way; the network's weights and statistics stay as they are.

    Args:
        network: What will be trained.
        rows: A batch of what it reads.
        truth: Of the batch, as `Task.encode` returns it.
        task: With the loss.
        ways: What to choose from.
    """
    before = {name: one.clone() for name, one in network.state_dict().items()}
    network.train()
    seconds: dict[str, float] = {}
    try:
        for way in ways:
            best = min(seconds.values(), default=math.inf)
            seconds[way.name] = _seconds(network, rows, truth, task, way, best)
    finally:  # Also after a Ctrl-C.
        network.zero_grad(set_to_none=True)
        network.load_state_dict(before)
    rates = {name: len(rows) / taken for name, taken in seconds.items()}
    return replace(max(ways, key=lambda way: rates[way.name]), images_per_second=rates)


def _seconds(
    network: nn.Module, rows: Tensor, truth: Tensor, task: Task, way: Setting, best: float
) -> float:
    """Time forward and backward, best of two after one to warm up, or of one if far too slow."""
    way.laid_out(network)
    rows, truth = rows.to(way.device), truth.to(way.device)
    times: list[float] = []
    with way.threaded():
        while len(times) <= _STEPS and min(times[1:], default=0.0) <= _HOPELESS * best:
            start = time.perf_counter()
            with way.autocast():
                scores = network(rows)
            torch.autograd.backward(task.training_loss(scores, truth, smoothing=0.0))
            network.zero_grad(set_to_none=True)
            if way.device == "cuda":  # It computes later than it is asked to.
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return min(times[1:])


def lay_out(network: nn.Module, device: str | torch.device, *, channels_last: bool) -> None:
    """Bring a network's weights onto a device and into a layout."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(device, memory_format=layout)  # type: ignore[call-overload]


def moved(tensor: Tensor, setting: Setting) -> Tensor:
    """Bring a batch to where it is computed with."""
    if setting.device == "cpu":
        return tensor
    return tensor.pin_memory().to(setting.device, non_blocking=True)
