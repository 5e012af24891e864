"""Write a network as an ONNX, OpenVINO or PyTorch file."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import JsonValue
from torch.export import Dim, ExportedProgram

from headstart.errors import OptionError
from headstart.export.graph import ExportedNetwork
from headstart.export.metadata import KEY
from headstart.options import ExportFormat

if TYPE_CHECKING:
    from headstart.engines.quiet_openvino import ov

INPUT = "images"


@dataclass(frozen=True)
class Format:
    """A kind of exported file.

    Attributes:
        file: The name of the model's file.
        runtime: The package that runs it.
        write: Writes a network with its metadata to a file.
    """

    file: str
    runtime: str
    write: Callable[[ExportedNetwork, int, Mapping[str, JsonValue], Path, bool], None]


def write_onnx(
    network: ExportedNetwork, size: int, metadata: Mapping[str, JsonValue], file: Path, half: bool
) -> None:
    """Write an ONNX file, and check it.

    Args:
        network: The network.
        size: Side of its input, in pixels.
        metadata: What the file says about itself.
        file: The file to write.
        half: Whether weights are stored in half precision. Everything is computed in float32.

    Raises:
        OptionError: A package is missing.
    """
    with _required("onnx"):
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401

    from headstart.export.half_weights import store_onnx_as_half

    with _quiet():
        exported = torch.onnx.export(
            traced(network, size),
            (),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=list(network.outputs),
        )
    assert exported is not None  # It is returned where it is not written.
    model: onnx.ModelProto = exported.model_proto
    if half:
        store_onnx_as_half(model)
    model.doc_string = ""
    onnx.helper.set_model_props(model, {KEY: json.dumps(metadata)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def write_openvino(
    network: ExportedNetwork, size: int, metadata: Mapping[str, JsonValue], file: Path, half: bool
) -> None:
    """Write an OpenVINO model, a pair of files. See `write_onnx`."""
    from headstart.engines.conversion import convert
    from headstart.engines.quiet_openvino import ov

    model = convert(network, size)
    name_tensors(model, network.outputs)
    model.set_rt_info(json.dumps(metadata), [KEY])
    ov.save_model(model, file, compress_to_fp16=half)


def name_tensors(model: "ov.Model", outputs: tuple[str, ...]) -> None:
    """Name the input and the outputs of an OpenVINO model."""
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})


def write_torch(
    network: ExportedNetwork, size: int, metadata: Mapping[str, JsonValue], file: Path, half: bool
) -> None:
    """Write the program of `torch.export`. See `write_onnx`."""
    from headstart.export.half_weights import stored_as_half

    if half:
        network = stored_as_half(network)
    with _quiet():
        torch.export.save(traced(network, size), file, extra_files={KEY: json.dumps(metadata)})


FORMATS: Mapping[ExportFormat, Format] = {
    "onnx": Format("model.onnx", "onnxruntime", write_onnx),
    "openvino": Format("model.xml", "openvino", write_openvino),
    "torch": Format("model.pt2", "torch", write_torch),
}
"""Every format by its name."""


def traced(network: ExportedNetwork, size: int) -> ExportedProgram:
    """Return the program of a network for any number of images."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=({0: Dim("batch", min=1)},))


@contextmanager
def _required(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise OptionError(
            f"This export needs the package {error.name}. Run pip install 'headstart[export]'."
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings and messages that only the authors of exporters understand."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
