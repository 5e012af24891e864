"""The Open Inference Protocol (version 2), as KServe, Triton and OpenVINO Model Server speak it.

The input `image` is either BYTES [N], encoded files, or UINT8 [N, height, width, 3]. The outputs
are the labels, their probabilities, and those of all classes; for a detector, the boxes of each
image as JSON. Tensors are JSON, or binary after the JSON as in Triton's binary tensor data
extension.

See https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from headstart.arrays import Pixels
from headstart.errors import UnreadableImage
from headstart.server.answerer import Answer, Asked
from headstart.server.answering import ServedModel
from headstart.server.asking import answer_images
from headstart.server.refusals import Refusal
from headstart.server.state import State, state_of
from headstart.server.tensors import TEXT, Tensor
from headstart.server.uploads import Sent, read_body

router = APIRouter(prefix="/v2")

INPUT = "image"
_JSON_LENGTH = "Inference-Header-Content-Length"
_PIXELS = "UINT8"
# Parsing JSON holds up all other requests.
_MAX_JSON = 10_000_000


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="allow")

    binary_data_size: int | None = Field(None, ge=0)
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class _Input(BaseModel):
    name: str
    shape: list[int] = Field(max_length=4)
    datatype: str
    data: Any = None
    parameters: _Parameters = Field(default_factory=_Parameters)


class _Output(BaseModel):
    name: str
    parameters: _Parameters = Field(default_factory=_Parameters)


class InferenceRequest(BaseModel):
    """The JSON part of a request."""

    id: str = ""
    inputs: list[_Input] = Field(min_length=1, max_length=1)
    outputs: list[_Output] = Field(default_factory=list)
    parameters: _Parameters = Field(default_factory=_Parameters)


_STRING = {"type": "string"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": _STRING,
                    "inputs": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["name", "shape", "datatype", "data"],
                            "properties": {
                                "name": {"const": INPUT},
                                "shape": {"type": "array", "items": {"type": "integer"}},
                                "datatype": {"enum": [TEXT, _PIXELS]},
                                "data": {"type": "array"},
                            },
                        },
                    },
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": _STRING},
                        },
                    },
                },
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


@router.get("", summary="The server")
async def server() -> dict[str, JsonValue]:
    """Return the name and the extensions of the server."""
    return {
        "name": "headstart",
        "version": version("headstart"),
        "extensions": ["binary_tensor_data"],
    }


@router.get("/health/live", summary="Is the process alive?")
async def live() -> dict[str, bool]:
    """Answer as long as the process is alive."""
    return {"live": True}


@router.get("/health/ready", summary="Are the models loaded?")
async def ready(request: Request) -> JSONResponse:
    """Answer 503 if no model is served."""
    served = bool(state_of(request).models.all)
    return JSONResponse({"ready": served}, 200 if served else 503)


@router.get("/models/{name}", summary="Inputs and outputs of a model")
@router.get("/models/{name}/versions/{wanted}", include_in_schema=False)
async def metadata(request: Request, name: str) -> dict[str, JsonValue]:
    """Return the inputs and outputs of a model."""
    model = _model(request, name)
    return {
        "name": name,
        "versions": [model.version],
        "platform": "headstart",
        "inputs": [{"name": INPUT, "datatype": TEXT, "shape": [-1]}],
        "outputs": [
            {"name": one.name, "datatype": one.datatype, "shape": list[JsonValue](one.shape)}
            for one in model.answerer.tensors([])
        ],
        "parameters": {"classes": "|".join(model.answerer.about.classes)},
    }


@router.get("/models/{name}/ready", summary="Is a model loaded?")
@router.get("/models/{name}/versions/{wanted}/ready", include_in_schema=False)
async def model_ready(request: Request, name: str) -> dict[str, JsonValue]:
    """Answer 404 if the model is not served."""
    return {"name": _model(request, name).name, "ready": True}


@router.post(
    "/models/{name}/infer",
    summary="Classify images, or find objects in them",
    openapi_extra={"requestBody": _BODY},
)
@router.post("/models/{name}/versions/{wanted}/infer", include_in_schema=False)
async def infer(request: Request, name: str) -> Response:
    """Answer a batch of images: encoded files (BYTES) or pixels (UINT8)."""
    state = state_of(request)
    model = _model(request, name)
    with state.admission.admitted() as ticket, model.used():
        body = await read_body(
            request, state.options, lambda size: state.admission.count_bytes(ticket, size)
        )
        asked, binary = _parsed(body, request.headers.get(_JSON_LENGTH))
        images = _images(asked.inputs[0], binary, state)
        state.admission.count_images(ticket, len(images))
        answers = await _answers(request, state, model, images)
    tensors = model.answerer.tensors([answer.prediction for answer in answers])
    return _response(asked, model, tensors)


def _model(request: Request, name: str) -> ServedModel:
    """Return the model that the path names, and perhaps its version."""
    wanted = request.path_params.get("wanted")
    model = state_of(request).models.get(name)
    if wanted not in (None, model.version, "1"):
        raise Refusal(404, f"Model '{name}' has no version '{wanted}', only '{model.version}'.")
    return model


def _parsed(body: bytes, json_length: str | None) -> tuple[InferenceRequest, bytes]:
    """Return the JSON of a body, and the binary data after it."""
    size = len(body)
    if json_length is not None:
        if not json_length.isdecimal() or len(json_length) > 12 or int(json_length) > size:
            raise Refusal(422, f"The header {_JSON_LENGTH} must be at most the size of the body.")
        size = int(json_length)
    if size > _MAX_JSON:
        raise Refusal(
            413,
            f"The JSON has {size:,} bytes; the limit is {_MAX_JSON:,}. Send images as binary data "
            "after the JSON.",
        )
    try:
        return InferenceRequest.model_validate_json(body[:size]), body[size:]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Refusal(422, f"The request is not valid: {place}: {first['msg']}.") from None


def _images(tensor: _Input, binary: bytes, state: State) -> list[bytes] | list[Pixels]:
    """Return the files or the pixels of the input."""
    if tensor.name != INPUT:
        raise Refusal(422, f"The input is named '{INPUT}', not '{tensor.name[:100]}'.")
    is_files = tensor.datatype == TEXT and len(tensor.shape) in (1, 2)
    if not is_files and not (
        tensor.datatype == _PIXELS and len(tensor.shape) == 4 and tensor.shape[3] == 3
    ):
        raise Refusal(
            422,
            f"The input '{INPUT}' is BYTES [N] with encoded files, or UINT8 [N, height, width, 3]. "
            f"Got {tensor.datatype[:20]} {tensor.shape}.",
        )
    most, count = state.options.max_images, tensor.shape[0]
    if not 1 <= count <= most:
        raise Refusal(
            413 if count > most else 422,
            f"A request has from 1 to {most:,} images. Got shape {tensor.shape}.",
        )
    size = tensor.parameters.binary_data_size
    if size is not None and size != len(binary):
        raise Refusal(422, f"binary_data_size is {size}, but {len(binary)} bytes follow the JSON.")
    if not is_files:
        return list(_pixels(tensor, binary if size is not None else None, state))
    files = _unpacked(binary) if size is not None else _decoded(tensor.data)
    if len(files) != math.prod(tensor.shape):
        raise Refusal(422, f"The shape is {tensor.shape}, but there are {len(files)} files.")
    return files


def _unpacked(binary: bytes) -> list[bytes]:
    """Return the elements of a binary tensor of BYTES."""
    files, start = [], 0
    while start < len(binary):
        if start + 4 > len(binary):
            raise Refusal(422, "The binary data end within a length.")
        (length,) = struct.unpack_from("<I", binary, start)
        start += 4
        if start + length > len(binary):
            raise Refusal(422, "The binary data end within a file.")
        files.append(binary[start : start + length])
        start += length
    return files


def _decoded(data: object) -> list[bytes]:
    """Return the files that are Base64 text in a list."""
    try:
        return [base64.b64decode(text, validate=True) for text in _flat(data)]
    except (binascii.Error, ValueError, TypeError):
        raise Refusal(
            422, "In JSON, files are Base64. Send them so, or as binary data after the JSON."
        ) from None


def _flat(data: Any) -> Iterator[Any]:  # noqa: ANN401
    if not isinstance(data, list):
        yield data
        return
    for item in data:
        yield from item if isinstance(item, list) else (item,)


def _pixels(tensor: _Input, binary: bytes | None, state: State) -> Pixels:
    _, height, width, _ = tensor.shape
    if min(height, width) < 1 or height * width > state.options.max_pixels:
        raise Refusal(422, f"Images of {width} x {height} pixels are not read.")
    try:
        values = (
            np.array(tensor.data).ravel() if binary is None else np.frombuffer(binary, np.uint8)
        )
        if binary is None and (values.dtype.kind not in "iu" or values.min() < 0):
            raise ValueError
        if values.max() > 255:
            raise ValueError
        return values.astype(np.uint8).reshape(tensor.shape)
    except (ValueError, TypeError):
        raise Refusal(
            422, f"The data are not {tensor.shape} whole numbers from 0 to 255."
        ) from None


async def _answers(
    request: Request, state: State, model: ServedModel, images: Sequence[bytes | Pixels]
) -> list[Answer]:
    sent = [Sent(f"image {number}", image) for number, image in enumerate(images, start=1)]
    answers = []
    for result in await answer_images(request, state, model, sent, Asked()):
        if isinstance(result, UnreadableImage):
            raise Refusal(422, str(result))
        answers.append(result)
    return answers


def _response(asked: InferenceRequest, model: ServedModel, tensors: Sequence[Tensor]) -> Response:
    wanted = {output.name: output.parameters.binary_data for output in asked.outputs}
    unknown = wanted.keys() - {tensor.name for tensor in tensors}
    if unknown:
        names = ", ".join(tensor.name for tensor in tensors)
        raise Refusal(422, f"There is no output '{min(unknown)[:100]}'. The outputs are {names}.")
    all_binary = bool(asked.parameters.binary_data_output)
    outputs, parts = list[JsonValue](), list[bytes]()
    for tensor in tensors:
        if wanted and tensor.name not in wanted:
            continue
        values: dict[str, JsonValue] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
        }
        asked_binary = wanted.get(tensor.name)
        if all_binary if asked_binary is None else asked_binary:
            parts.append(tensor.binary())
            values["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            values["data"] = tensor.values.ravel().tolist()
        outputs.append(values)
    return _joined(
        {
            "model_name": model.name,
            "model_version": model.version,
            "id": asked.id,
            "outputs": outputs,
        },
        parts,
    )


def _joined(values: Mapping[str, JsonValue], parts: Sequence[bytes]) -> Response:
    """Return JSON, followed by binary data if there are any."""
    text = json.dumps(values, ensure_ascii=False).encode()
    if not parts:
        return Response(text, media_type="application/json")
    headers = {_JSON_LENGTH: str(len(text))}
    return Response(b"".join((text, *parts)), 200, headers, "application/octet-stream")
