"""The route that predicts: image files in, the list that `predict --json` prints out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import JsonValue

from headstart.errors import UnreadableImage
from headstart.predictor.predictor import FailedPrediction
from headstart.server.answerer import Answer, Asked
from headstart.server.answering import AnswerOrError, ServedModel
from headstart.server.asking import (
    Query,
    answer_json,
    answered,
    asked_of,
    parameters_of,
    wait_for,
)
from headstart.server.state import State, state_of
from headstart.server.uploads import BINARY, MULTIPART, Sent

router = APIRouter()

VERSION_HEADER = "X-Model-Version"

FILE: dict[str, JsonValue] = {"type": "string", "format": "binary"}
IMAGES = {
    "required": True,
    "content": {
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["images"],
                "properties": {"images": {"type": "array", "minItems": 1, "items": FILE}},
            }
        },
        "image/*": {"schema": FILE},
        BINARY[0]: {"schema": FILE},
    },
}
"""The body of a request with images, for the description of the API."""

_MODEL = {
    "name": "model",
    "in": "query",
    "required": False,
    "description": "Name of the model; needed if several are served.",
    "schema": {"type": "string"},
}


@router.post(
    "/predict",
    summary="Classify images, or find objects in them",
    openapi_extra={"requestBody": IMAGES, "parameters": [_MODEL, *parameters_of(Query)]},
)
async def predict(request: Request) -> JSONResponse:
    """Classify image files, or find objects in them: several in a form, or one as the body.

    The answer is a list with an object for each image, as `headstart predict --json` prints it. An
    image that cannot be read has an `error`; if none can be read, the status is 422.
    """
    state, asked = state_of(request), asked_of(request)
    served = state.models.get(request.query_params.get("model"))
    served.answerer.check(asked)
    async with answered(request, state, served, asked) as (sent, results):
        values = await _as_json(request, state, served, sent, results, asked)
    return JSONResponse(values, headers={VERSION_HEADER: served.version})


async def _as_json(
    request: Request,
    state: State,
    served: ServedModel,
    sent: Sequence[Sent],
    results: Sequence[AnswerOrError],
    asked: Asked,
) -> list[JsonValue]:
    heat_maps: Iterator[bytes] = iter(())
    if asked.explain:
        drawn = [
            state.explainers.submit(served.answerer.heat_map, one.image, result.prediction)
            for one, result in zip(sent, results, strict=True)
            if isinstance(result, Answer)
        ]
        heat_maps = iter(await wait_for(request, drawn, state.options.timeout))
    return [
        FailedPrediction(result.path, result.reason).to_json()
        if isinstance(result, UnreadableImage)
        else answer_json(result, asked, next(heat_maps, None))
        for result in results
    ]
