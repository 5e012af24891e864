"""Forward and backward of depthwise convolutions in bf16: PyTorch's gradients and headstart's.

python -m benchmarks.depthwise
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import nn

from benchmarks.machine import describe
from headstart.tuning.training.depthwise import fast_depthwise

IMAGES, ROUNDS = 32, 5
SHAPES = (
    # channels, kernel, stride, side of the map
    (672, 5, 2, 14),
    (1152, 5, 1, 7),
    (480, 5, 1, 14),
    (240, 5, 1, 28),
    (144, 5, 2, 56),
    (240, 3, 2, 28),
    (96, 3, 2, 112),
    (1024, 7, 1, 7),
    (128, 7, 1, 56),
)


def step(layer: nn.Conv2d, images: torch.Tensor, *, quick: bool) -> None:
    """Run forward and backward once."""
    with torch.autocast("cpu", torch.bfloat16):
        if quick:
            with fast_depthwise(images.device):
                out = layer(images)
        else:
            out = layer(images)
    out.float().sum().backward()


def milliseconds(run: Callable[[], None]) -> float:
    """Time it."""
    begin = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - begin)


def main() -> None:
    """Print a line for each shape."""
    print(f"machine: {describe()}\n")
    print("| kernel | stride | channels | map | PyTorch, ms | headstart, ms | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for channels, kernel, stride, side in SHAPES:
        layer = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)
        layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = torch.randn(IMAGES, channels, side, side)
        images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(ROUNDS + 1):
            for quick, taken in times.items():
                taken.append(milliseconds(partial(step, layer, images, quick=quick)))
        plain, ours = (median(times[quick][1:]) for quick in (False, True))
        print(
            f"| {kernel} | {stride} | {channels} | {side} | {plain:.1f} | {ours:.1f} "
            f"| {plain / ours:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
