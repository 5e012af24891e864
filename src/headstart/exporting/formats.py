"""The kinds of files: ONNX, OpenVINO and PyTorch."""

from __future__ import annotations

import ast
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from pydantic import JsonValue
from torch.export import Dim, ExportedProgram

from headstart.errors import ExportError, HeadstartError, OptionError, OutputError
from headstart.exporting.graph import ExportedNetwork
from headstart.exporting.half_weights import (
    store_onnx_as_half,
    store_openvino_as_half,
    stored_as_half,
)
from headstart.exporting.metadata import KEY
from headstart.options import ExportFormat

INPUT = "images"

# The backbone within the two kinds of network.
_BACKBONE = ("model.pooling.network", "pooling.network")

Model = Any
"""A network in the form of its format: an ONNX model, an OpenVINO model or a PyTorch program."""


@dataclass(frozen=True)
class Layer:
    """An operation of a network.

    Attributes:
        name: Its name.
        kind: "convolution", "depthwise" (a convolution of groups) or "other".
        in_backbone: Whether it is part of the backbone.
    """

    name: str
    kind: str
    in_backbone: bool


class Format(Protocol):
    """A kind of file."""

    @property
    def file(self) -> str:
        """The name of the model's file."""
        ...

    @property
    def runtime(self) -> str:
        """The package that runs it."""
        ...

    def convert(self, network: ExportedNetwork, size: int, *, half: bool) -> Model:
        """Convert a network.

        Args:
            network: The network.
            size: Side of its input, in pixels.
            half: Whether weights are stored in half precision. Everything is computed in float32.

        Raises:
            OptionError: A package is missing.
        """
        ...

    def layers(self, model: Model) -> Sequence[Layer]:
        """Return the operations of a model, in order; none if it cannot be quantised."""
        ...

    def write(self, model: Model, metadata: Mapping[str, JsonValue], file: Path) -> None:
        """Write a model with what it says about itself."""
        ...


class Onnx:
    """A file for onnxruntime and many other programs."""

    file: ClassVar[str] = "model.onnx"
    runtime: ClassVar[str] = "onnxruntime"

    def convert(self, network: ExportedNetwork, size: int, *, half: bool) -> Model:
        """See `Format.convert`."""
        with _required():
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        with _quiet():
            exported = torch.onnx.export(
                _traced(network, size),
                (),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(network.outputs),
            )
        assert exported is not None  # It is returned where it is not written.
        model = exported.model_proto
        if half:
            store_onnx_as_half(model, _backbone_of(self.layers(model)))
        return model

    def layers(self, model: Model) -> Sequence[Layer]:
        """See `Format.layers`."""
        return [_onnx_layer(node) for node in model.graph.node]

    def write(self, model: Model, metadata: Mapping[str, JsonValue], file: Path) -> None:
        """Write and check a file, without the paths of this machine that the exporter notes."""
        import onnx

        for node in model.graph.node:
            del node.metadata_props[:]
        model.doc_string = ""
        onnx.helper.set_model_props(model, {KEY: json.dumps(metadata)})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, file)


class OpenVino:
    """A pair of files for OpenVINO."""

    file: ClassVar[str] = "model.xml"
    runtime: ClassVar[str] = "openvino"

    def convert(self, network: ExportedNetwork, size: int, *, half: bool) -> Model:
        """See `Format.convert`."""
        from headstart.engines.conversion import convert

        model = convert(network, size)
        model.inputs[0].get_tensor().set_names({INPUT})
        for output, name in zip(model.outputs, network.outputs, strict=True):
            output.get_tensor().set_names({name})
        if half:
            store_openvino_as_half(model, _backbone_of(self.layers(model)))
        return model

    def layers(self, model: Model) -> Sequence[Layer]:
        """See `Format.layers`."""
        kinds = {"Convolution": "convolution", "GroupConvolution": "depthwise"}
        return [
            Layer(
                operation.get_friendly_name(),
                kinds.get(operation.get_type_name(), "other"),
                operation.get_friendly_name().removeprefix("__module.").startswith(_BACKBONE),
            )
            for operation in model.get_ordered_ops()
            if operation.get_type_name() not in ("Constant", "Parameter", "Result")
        ]

    def write(self, model: Model, metadata: Mapping[str, JsonValue], file: Path) -> None:
        """See `Format.write`."""
        from headstart.engines.quiet_openvino import ov

        model.set_rt_info(json.dumps(metadata), [KEY])
        try:
            ov.save_model(model, file, compress_to_fp16=False)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise OutputError(
                f"{self.file} cannot be written ({reason}). Is the disk full?"
            ) from None


class Torch:
    """The program of `torch.export`."""

    file: ClassVar[str] = "model.pt2"
    runtime: ClassVar[str] = "torch"

    def convert(self, network: ExportedNetwork, size: int, *, half: bool) -> Model:
        """See `Format.convert`."""
        with _quiet():
            return _traced(stored_as_half(network) if half else network, size)

    def layers(self, model: Model) -> Sequence[Layer]:
        """Return nothing."""
        return ()

    def write(self, model: Model, metadata: Mapping[str, JsonValue], file: Path) -> None:
        """Write a program, without the paths of this machine that the exporter notes."""
        for node in model.graph.nodes:
            node.meta.pop("stack_trace", None)
        content = io.BytesIO()  # If a disk is full, PyTorch's own writer ends the process.
        with _quiet():
            torch.export.save(model, content, extra_files={KEY: json.dumps(metadata)})
        file.write_bytes(content.getbuffer())


FORMATS: Mapping[ExportFormat, type[Format]] = {"onnx": Onnx, "openvino": OpenVino, "torch": Torch}
"""Every format by its name."""


def convert(
    kind: Format, network: ExportedNetwork, size: int, *, name: str, half: bool = False
) -> Model:
    """Convert a network; see `Format.convert`.

    Args:
        kind: The format.
        network: The network.
        size: Side of its input, in pixels.
        name: What its backbone is called, for errors.
        half: Whether weights are stored in half precision.

    Raises:
        ExportError: The converter cannot do it.
        OptionError: A package is missing.
    """
    try:
        return kind.convert(network, size, half=half)
    except HeadstartError:
        raise
    except Exception as error:  # Converters raise nearly anything.
        format_ = next(key for key, value in FORMATS.items() if isinstance(kind, value))
        reason = str(error).strip().splitlines()
        raise ExportError(
            f"'{name}' cannot be converted to {format_}: "
            f"{reason[0] if reason else type(error).__name__}. Try another --format."
        ) from error


def _traced(network: ExportedNetwork, size: int) -> ExportedProgram:
    """Return the program of a network for any number of images."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=({0: Dim("batch", min=1)},))


def _onnx_layer(node: Any) -> Layer:  # noqa: ANN401
    notes = {note.key: note.value for note in node.metadata_props}
    scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))
    groups = next((one.i for one in node.attribute if one.name == "group"), 1)
    kind = "other"
    if node.op_type == "Conv":
        kind = "depthwise" if groups > 1 else "convolution"
    return Layer(node.name, kind, any(str(scope).startswith(_BACKBONE) for scope in scopes))


def _backbone_of(layers: Sequence[Layer]) -> set[str]:
    return {layer.name for layer in layers if layer.in_backbone}


@contextmanager
def _required() -> Iterator[None]:
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
