"""Run a network with OpenVINO, the fastest engine on a CPU."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.arrays import Features, Pixels
from headstart.cores import share
from headstart.engines.quiet_openvino import ov
from headstart.engines.rounding import round_kernels
from headstart.engines.signal_stack import kept_signal_stack
from headstart.files import atomic_create, file_sha256, remove

if TYPE_CHECKING:
    from torch import nn

_NETWORK, _SUM = "network.xml", "sha256"

_Running = deque[tuple[ov.InferRequest, Pixels]]
"""Requests in flight, each with the batch whose memory it shares."""


def cpu_has_bf16() -> bool:
    """Return whether this processor supports bf16 (AVX512-BF16 or AMX)."""
    with kept_signal_stack():
        return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cpu_info() -> dict[str, str]:
    """Return the versions of OpenVINO and the processor, on which a network's speed depends."""
    with kept_signal_stack():
        processor = str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME"))
    return {"openvino": ov.get_version(), "processor": processor.strip()}


class OpenVinoEngine:
    """Converts a PyTorch module once, caches the result on disk, and runs batches in parallel.

    PyTorch is imported only if a network is not in the cache.

    Args:
        network: Function that returns the network, whose input is uint8 images (batch, size, size,
            3). It is called only if the converted network is not in the cache.
        size: Side of the images, in pixels.
        precision: "bf16" or "float32".
        cache: Folder for converted networks.
        key: Identifies the network with its weights in the cache.

    Attributes:
        compiled: The network, compiled for the CPU.
    """

    name = "openvino"
    # Small batches fit into the processor's cache: on two cores, 8 was faster than 16 and 32.
    batch_size = 8

    def __init__(
        self,
        network: Callable[[], nn.Module],
        *,
        size: int,
        precision: str,
        cache: Path,
        key: str,
    ) -> None:
        self.precision = precision
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        if limit := share():
            settings["INFERENCE_NUM_THREADS"] = str(limit)
            # Otherwise the threads of all workers run on the first cores.
            settings["ENABLE_CPU_PINNING"] = "NO"
        # A model that is not loaded from a file shares the memory of the PyTorch network.
        model, self._source = _converted(network, size, cache / key)
        if precision == "bf16":
            round_kernels(model)
        with kept_signal_stack():
            self.compiled = ov.Core().compile_model(model, "CPU", settings)
        self.streams = int(self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle: deque[ov.InferRequest] = deque()

    def infer(self, batch: Pixels) -> Features:
        """See `Engine.infer`."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        request.infer({0: ov.Tensor(batch, shared_memory=True)})
        features: Features = np.array(request.get_output_tensor(0).data, dtype=np.float32)
        self._idle.append(request)
        return features

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """See `Engine.run`."""
        free = [self.compiled.create_infer_request() for _ in range(self.streams + 1)]
        running: _Running = deque()
        for batch in batches:
            if not free:
                yield _result(running, free)
            request = free.pop()
            request.start_async({0: ov.Tensor(batch, shared_memory=True)})
            running.append((request, batch))
        while running:
            yield _result(running, free)


def _result(running: _Running, free: list[ov.InferRequest]) -> Features:
    request, _ = running.popleft()
    request.wait()
    features: Features = np.array(request.get_output_tensor(0).data, dtype=np.float32)
    free.append(request)
    return features


def _converted(
    network: Callable[[], nn.Module], size: int, folder: Path
) -> tuple[ov.Model, nn.Module | None]:
    """Return the network as an OpenVINO model, from the cache if possible.

    If the model could not be written to the cache, the PyTorch network whose memory it shares is
    returned as well, so that it stays alive.
    """
    cached = _read(folder)
    if cached is not None:
        return cached, None
    # OpenVINO shares the memory of PyTorch's tensors, which training changes and sending the
    # network to another process moves. So a copy is converted, and read from the cache if possible.
    from headstart.engines.conversion import convert

    network_copy = copy.deepcopy(network())
    model = convert(network_copy, size)
    _save(model, folder)
    saved = _read(folder)
    return (saved, None) if saved is not None else (model, network_copy)


def _read(folder: Path) -> ov.Model | None:
    """Read a converted network; None if it is missing or damaged."""
    try:
        if (folder / _SUM).read_bytes() == _checksum(folder):
            return ov.Core().read_model(folder / _NETWORK)
    except (OSError, RuntimeError):
        return None
    return None


def _save(model: ov.Model, folder: Path) -> None:
    """Write a converted network if there is no valid one; errors (a full disk) are ignored."""
    with suppress(OSError, RuntimeError):
        if _read(folder) is None:  # Otherwise another process was faster.
            remove(folder)
        with atomic_create(folder) as partial:
            partial.mkdir()
            ov.save_model(model, partial / _NETWORK, compress_to_fp16=False)
            (partial / _SUM).write_bytes(_checksum(partial))


def _checksum(folder: Path) -> bytes:
    network = folder / _NETWORK
    return (file_sha256(network) + file_sha256(network.with_suffix(".bin"))).encode()
