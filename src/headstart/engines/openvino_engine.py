"""Run a network with OpenVINO, the fastest way on a CPU."""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import nn

from headstart.data.hashing import file_sha256
from headstart.engines.engine import Features, Pixels
from headstart.engines.rounding import round_kernels


def cpu_has_bf16() -> bool:
    """Tell whether this processor computes in bf16 (AVX512-BF16 or AMX)."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cpu_facts() -> dict[str, str]:
    """Give what the speed of a network depends on, besides the network."""
    processor = str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME"))
    return {"openvino": ov.get_version(), "processor": processor.strip()}


class OpenVinoEngine:
    """Converts a torch module once, keeps the result on disk, and runs batches side by side.

    Attributes:
        compiled: The network in OpenVINO's hands.
    """

    name = "openvino"
    # Small batches stay in the processor's cache: on two cores 8 was faster than 16 and 32.
    batch_size = 8

    def __init__(
        self, network: nn.Module, *, size: int, precision: str, cache: Path, key: str
    ) -> None:
        self.precision = precision
        core = ov.Core()
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        model = _converted(network, size, cache, key)
        if precision == "bf16":
            round_kernels(model)
        self.compiled = core.compile_model(model, "CPU", settings)
        self._streams = int(self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def run(self, batches: Iterable[Pixels]) -> Iterator[Features]:
        """See `Engine.run`."""
        free = [self.compiled.create_infer_request() for _ in range(self._streams + 1)]
        running: deque[tuple[Any, Pixels]] = deque()
        for batch in batches:
            if not free:
                yield _result(running, free)
            request = free.pop()
            request.start_async({0: ov.Tensor(batch, shared_memory=True)})
            running.append((request, batch))
        while running:
            yield _result(running, free)


def _result(running: deque[tuple[Any, Pixels]], free: list[Any]) -> Features:
    request, _ = running.popleft()
    request.wait()
    features: Features = np.array(request.get_output_tensor(0).data, dtype=np.float32)
    free.append(request)
    return features


def _converted(network: nn.Module, size: int, cache: Path, key: str) -> Any:  # noqa: ANN401
    """Give the network in OpenVINO's form, from disk if it was converted before."""
    path = cache / f"{key}.xml"
    written = _checksum_file(path)
    if path.exists() and written.exists() and written.read_bytes() == _checksum(path):
        return ov.Core().read_model(path)
    model = _convert(network, size)
    _save(model, path)
    return model


def _convert(network: nn.Module, size: int) -> Any:  # noqa: ANN401
    """Trace and translate the network.

    Not `ov.convert_model`: it does the same in four times the time and reports its use to a
    server.
    """
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        traced = torch.jit.freeze(
            torch.jit.trace(network.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        )
        decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    (images,) = model.get_parameters()
    images.set_element_type(ov.Type.u8)
    images.set_partial_shape(ov.PartialShape([-1, size, size, 3]))
    model.validate_nodes_and_infer_types()
    return model


def _save(model: Any, path: Path) -> None:  # noqa: ANN401
    """Write the network so that nobody ever reads half of it; a full disk is no harm."""
    partial = path.with_name(f"{uuid4().hex}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ov.save_model(model, partial, compress_to_fp16=False)
        checksum = _checksum(partial)
        _checksum_file(path).unlink(missing_ok=True)
        partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
        partial.replace(path)
        _checksum_file(path).write_bytes(checksum)
    except (OSError, RuntimeError):
        for leftover in (partial, partial.with_suffix(".bin")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def _checksum(path: Path) -> bytes:
    try:
        return (file_sha256(path) + file_sha256(path.with_suffix(".bin"))).encode()
    except OSError:
        return b"missing"


def _checksum_file(path: Path) -> Path:
    return path.with_suffix(".sha256")
