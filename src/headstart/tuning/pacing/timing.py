"""The fastest setting for training steps, found by timing a few steps."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

_STEPS = 2
# A setting that is this many times slower than the best is not timed further.
_TOO_SLOW = 3


@dataclass(frozen=True)
class Setting:
    """How training steps are computed.

    Attributes:
        bf16: Whether to use mixed precision: forward and backward passes in bf16, weights and
            updates in float32.
        channels_last: Whether tensors have the channels-last memory layout.
        threads: Number of PyTorch threads.
        device: "cpu" or "cuda".
        micro_batch: Maximum number of images at a time; larger batches use gradient accumulation.
        images_per_second: Speed of each setting that was timed, by name.
    """

    bf16: bool = False
    channels_last: bool = True
    threads: int = 1
    device: str = "cpu"
    micro_batch: int = 1024
    images_per_second: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the setting in reports."""
        layout = "channels last" if self.channels_last else "channels first"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return ", ".join(["bf16" if self.bf16 else "float32", layout, threads])

    @property
    def rate(self) -> float:
        """Images per second of this setting."""
        return self.images_per_second[self.name]

    def apply_layout(self, network: nn.Module) -> None:
        """Move a network to the device and its weights to the memory layout."""
        set_layout(network, self.device, channels_last=self.channels_last)

    def autocast(self) -> torch.autocast:
        """Return a context manager for forward passes in this precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    @contextmanager
    def use_threads(self) -> Iterator[None]:
        """Use this number of threads within the block."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def candidate_settings(*, device: str, bf16: bool) -> list[Setting]:
    """Return the settings that are worth timing.

    Args:
        device: "cpu" or "cuda".
        bf16: Whether the device supports bf16.
    """
    max_threads = torch.get_num_threads()
    if device == "cuda":
        return [Setting(bf16=bf16, channels_last=True, threads=max_threads, device=device)]
    settings = [
        Setting(bf16=half, channels_last=last, threads=max_threads)
        for half in ([True, False] if bf16 else [False])
        for last in (True, False)
    ]
    if max_threads >= 4:  # Two threads on one core often slow each other down.
        settings += [
            replace(setting, threads=max_threads // 2)
            for setting in settings
            if setting.channels_last
        ]
    return settings


def fastest_setting(
    network: nn.Module,
    rows: Tensor,
    loss: Callable[[Tensor], Tensor],
    settings: Sequence[Setting],
) -> Setting:
    """Time a few steps of each setting and return the fastest; the network does not change.

    Args:
        network: The network to train.
        rows: A batch of its inputs.
        loss: The loss of the network's output for this batch, on the device of the settings.
        settings: Candidates.
    """
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    seconds: dict[str, float] = {}
    try:
        for setting in settings:
            best = min(seconds.values(), default=math.inf)
            seconds[setting.name] = _seconds(network, rows, loss, setting, best)
    finally:  # Runs after Ctrl-C too.
        network.zero_grad(set_to_none=True)
        network.load_state_dict(before)
    rates = {name: len(rows) / taken for name, taken in seconds.items()}
    return replace(max(settings, key=lambda setting: rates[setting.name]), images_per_second=rates)


def _seconds(
    network: nn.Module,
    rows: Tensor,
    loss: Callable[[Tensor], Tensor],
    setting: Setting,
    best: float,
) -> float:
    """Time forward and backward passes: best of two after a warm-up, or one if far too slow."""
    setting.apply_layout(network)
    rows = rows.to(setting.device)
    times: list[float] = []
    with setting.use_threads():
        while len(times) <= _STEPS and min(times[1:], default=0.0) <= _TOO_SLOW * best:
            start = time.perf_counter()
            with setting.autocast():
                outputs = network(rows)
            torch.autograd.backward(loss(outputs))
            network.zero_grad(set_to_none=True)
            if setting.device == "cuda":  # CUDA kernels run asynchronously.
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return min(times[1:])


def set_layout(network: nn.Module, device: str | torch.device, *, channels_last: bool) -> None:
    """Move a network to a device and its weights to a memory layout."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(device, memory_format=layout)  # type: ignore[call-overload]


def to_device(tensor: Tensor, setting: Setting) -> Tensor:
    """Move a batch to the device of a setting."""
    if setting.device == "cpu":
        return tensor
    return tensor.pin_memory().to(setting.device, non_blocking=True)
