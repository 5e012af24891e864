"""Run a network with OpenVINO, the fastest way on a CPU."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.arrays import Features, Pixels
from headstart.engines.quiet_openvino import ov
from headstart.engines.rounding import round_kernels
from headstart.files import file_sha256, remove, written_once

if TYPE_CHECKING:
    from torch import nn

_NETWORK, _SUM = "network.xml", "sha256"

_Running = deque[tuple[ov.InferRequest, Pixels]]
"""Requests in flight, each with the batch whose memory it shares."""


def cpu_has_bf16() -> bool:
    """Return whether this processor computes in bf16 (AVX512-BF16 or AMX)."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cpu_facts() -> dict[str, str]:
    """Return what the speed of a network depends on, besides the network."""
    processor = str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME"))
    return {"openvino": ov.get_version(), "processor": processor.strip()}


class OpenVinoEngine:
    """Converts a torch module once, keeps the result on disk, and runs batches side by side.

    PyTorch is imported only where a network has not been converted before.

    Args:
        network: Returns the network, which takes uint8 images (batch, size, size, 3); called only
            if it has not been converted before.
        size: Side of the images, in pixels.
        precision: "bf16" or "float32".
        cache: Folder for converted networks.
        key: Names the network with its weights.

    Attributes:
        compiled: The network, compiled for the CPU.
    """

    name = "openvino"
    # Small batches stay in the processor's cache: on two cores 8 was faster than 16 and 32.
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
        core = ov.Core()
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        # Without a file, the model computes with the memory of the network that it came from.
        model, self._source = _converted(network, size, cache / key)
        if precision == "bf16":
            round_kernels(model)
        self.compiled = core.compile_model(model, "CPU", settings)
        self._streams = int(self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """See `Engine.run`."""
        free = [self.compiled.create_infer_request() for _ in range(self._streams + 1)]
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
    """Return the network in OpenVINO's form, from disk if it was converted before.

    And the network whose memory it uses, where it could not be written to disk.
    """
    known = _read(folder)
    if known is not None:
        return known, None
    # OpenVINO computes with the memory of PyTorch's tensors, which training changes and sending
    # the network to another process moves. So it gets a network of its own, and at best a file.
    from headstart.engines.conversion import convert

    own = copy.deepcopy(network())
    model = convert(own, size)
    _save(model, folder)
    saved = _read(folder)
    return (saved, None) if saved is not None else (model, own)


def _read(folder: Path) -> ov.Model | None:
    """Read a converted network; None if there is none, or it is not as it was written."""
    try:
        if (folder / _SUM).read_bytes() == _checksum(folder):
            return ov.Core().read_model(folder / _NETWORK)
    except (OSError, RuntimeError):
        return None
    return None


def _save(model: ov.Model, folder: Path) -> None:
    """Write the network in place of a damaged one; on a full disk it is not kept."""
    with suppress(OSError, RuntimeError):
        if _read(folder) is None:  # Another process may have been faster.
            remove(folder)
        with written_once(folder) as partial:
            partial.mkdir()
            ov.save_model(model, partial / _NETWORK, compress_to_fp16=False)
            (partial / _SUM).write_bytes(_checksum(partial))


def _checksum(folder: Path) -> bytes:
    network = folder / _NETWORK
    return (file_sha256(network) + file_sha256(network.with_suffix(".bin"))).encode()
