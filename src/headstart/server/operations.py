"""What operators ask a server: is it alive, is it ready, what does it serve, how much."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import JsonValue

from headstart.server.answering import AnyServed, ServedModel
from headstart.server.state import State, state_of

router = APIRouter()


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Answer as long as the process is alive."""
    return {"status": "alive"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Are the models loaded?")
async def readyz(request: Request) -> JSONResponse:
    """Answer with the names of the models and galleries, or with status 503 if none is served."""
    models = list(state_of(request).models.all)
    return JSONResponse(
        {"status": "ready" if models else "no model", "models": models}, 200 if models else 503
    )


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return counts and durations in the text format of Prometheus."""
    return Response(state_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/models", summary="What is served")
async def models(request: Request) -> list[dict[str, JsonValue]]:
    """Return each model with its classes, its version and its accuracy."""
    state = state_of(request)
    return [_described(model, state) for model in state.models.served.values()]


@router.get("/models/{name}", summary="One model, with its card")
async def model(request: Request, name: str) -> dict[str, JsonValue]:
    """Return a model with its card, in Markdown."""
    state = state_of(request)
    served = state.models.get(name)
    return _described(served, state) | {"card": served.card}


def _described(model: ServedModel, state: State) -> dict[str, JsonValue]:
    return {
        "name": model.name,
        "version": model.version,
        **loading_json(model, state),
        **model.answerer.about.to_json(),
        "headstart": version("headstart"),
    }


def loading_json(served: AnyServed, state: State) -> dict[str, JsonValue]:
    """Return when a model or a gallery was loaded, and why its newest files are not served."""
    return {
        "loaded": datetime.fromtimestamp(served.loaded, UTC).isoformat(timespec="seconds"),
        "problem": state.models.problems.get(served.name),
    }
