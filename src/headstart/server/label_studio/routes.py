"""The routes that Label Studio calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, JsonValue

from headstart.errors import OutputError, UnreadableImage
from headstart.server import prediction
from headstart.server.admission import Ticket
from headstart.server.answerer import Asked, labels_of
from headstart.server.answering import ServedModel
from headstart.server.asking import answer_images, wait_for
from headstart.server.label_studio.backend import Backend
from headstart.server.label_studio.changes import (
    ANNOTATED,
    DELETED,
    TASKS_DELETED,
    changes_of_event,
    changes_of_tasks,
)
from headstart.server.label_studio.config import ImageChoices, read_config
from headstart.server.label_studio.host import Unavailable
from headstart.server.label_studio.images import short_name
from headstart.server.label_studio.journal import Change
from headstart.server.label_studio.protocol import (
    Event,
    Id,
    PredictRequest,
    SetupRequest,
    Task,
    TrainRequest,
    no_prediction,
    prediction_json,
    project_number,
    read_message,
)
from headstart.server.refusals import Refusal
from headstart.server.state import State, state_of
from headstart.server.uploads import Count, Sent, read_body

log = logging.getLogger("headstart.server")

router = APIRouter(tags=["Label Studio"])

UNTRAINED = "untrained"
"""The version as long as there is no model."""

_TRAIN = "START_TRAINING"
_ACTIONS = (*ANNOTATED, *DELETED, *TASKS_DELETED, _TRAIN)
# So many images of a request are in memory at a time.
_AT_A_TIME = 32

_Message = TypeVar("_Message", bound=BaseModel)


def backend_of(request: Request) -> Backend:
    """Return the backend of the server that received a request."""
    return cast(Backend, request.app.state.label_studio)


@router.get("/health", summary="Is the backend alive?")
async def health() -> dict[str, str]:
    """Answer as long as the process is alive."""
    return {"status": "UP", "model_class": "headstart"}


@router.get("/versions", summary="Versions of the model")
async def versions(request: Request) -> dict[str, list[str]]:
    """Return the version of the model that answers; an earlier one is not kept."""
    return {"versions": [_version(state_of(request))]}


@router.post("/setup", summary="Connect a project")
async def setup(request: Request) -> dict[str, str]:
    """Check the labelling configuration of a project, and return the version of the model."""
    state, backend = state_of(request), backend_of(request)
    body = await _read(SetupRequest, request, state)
    _check_project(backend, project_number(body.project))
    choices = _choices(body.label_config)
    if served := _served(state):
        backend.by_class(served, choices)
    return {"model_version": _version(state)}


@router.post("/predict", summary="Predict tasks, or classify images")
async def predict_tasks(request: Request) -> Response:
    """Return a prediction for each task of Label Studio; classify images that are not JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return await prediction.predict(request)
    state, backend = state_of(request), backend_of(request)
    until, results = time.monotonic() + state.options.timeout, list[JsonValue]()
    with state.admission.admitted() as ticket:
        body = await _read(
            PredictRequest, request, state, lambda size: state.admission.count_bytes(ticket, size)
        )
        choices, served = _choices(body.label_config), _served(state)
        if served is None:
            return JSONResponse({"results": []})
        with served.used():
            for start in range(0, len(body.tasks), _AT_A_TIME):
                if time.monotonic() > until:
                    raise Refusal(504, "The predictions take too long. Ask for fewer tasks.")
                tasks = body.tasks[start : start + _AT_A_TIME]
                results += await _predictions(request, backend, served, ticket, tasks, choices)
    return JSONResponse({"results": results})


@router.post("/webhook", summary="Learn what was annotated", status_code=201)
async def webhook(request: Request) -> dict[str, str]:
    """Keep annotations, and train on them soon."""
    state, backend = state_of(request), backend_of(request)
    event = await _read(Event, request, state)
    if backend.project is None or event.action not in _ACTIONS:
        return {"status": "ignored"}
    number = project_number(event.project.id) if event.project else None
    _check_project(backend, number)
    config = event.project.label_config if event.project else None
    choices = _choices(config) if event.action in ANNOTATED else None
    await _keep(backend, number, changes_of_event(event, choices))
    if event.action == _TRAIN:
        backend.train_at_once(number, config)
    return {"status": "ok"}


@router.post("/train", summary="Train on all annotations", status_code=201)
async def train(request: Request) -> dict[str, str]:
    """Keep the annotations of all tasks, and train on them at once."""
    state, backend = state_of(request), backend_of(request)
    body = await _read(TrainRequest, request, state)
    if backend.project is None:
        return {"status": "ignored"}
    number = project_number(body.project)
    _check_project(backend, number)
    if body.annotations:
        choices = _choices(body.label_config)
        await _keep(backend, number, changes_of_tasks(body.annotations, choices))
    backend.train_at_once()
    return {"status": "ok"}


async def _read(
    kind: type[_Message], request: Request, state: State, count: Count = lambda _: None
) -> _Message:
    """Read a request. Annotations are not refused when there is much to predict."""
    return read_message(kind, await read_body(request, state.options, count))


def _choices(config: str | None) -> ImageChoices:
    """Read a configuration; Label Studio does not show why one is refused, so it is logged."""
    try:
        return read_config(config or "")
    except Refusal as refusal:
        log.warning(refusal.detail)
        raise


def _check_project(backend: Backend, number: str | None) -> None:
    """Refuse requests of another project than the one whose annotations are kept."""
    ours = backend.project.journal.project if backend.project else None
    if ours is not None and number is not None and number != ours:
        refusal = Refusal(
            409,
            f"This server has the annotations of project {ours[:20]}. Start another one, with "
            f"another folder, for project {number[:20]}.",
        )
        log.warning(refusal.detail)
        raise refusal


def _served(state: State) -> ServedModel | None:
    return next(iter(state.models.served.values()), None)


def _version(state: State) -> str:
    served = _served(state)
    return served.version if served else UNTRAINED


async def _predictions(
    request: Request,
    backend: Backend,
    served: ServedModel,
    ticket: Ticket,
    tasks: Sequence[Task],
    choices: ImageChoices,
) -> list[JsonValue]:
    """Return the predictions of tasks, in order."""
    state = state_of(request)
    state.admission.count_images(ticket, len(tasks))
    images = await _images(request, backend, tasks, choices)
    size = sum(len(data) for data in images.values())
    state.admission.count_bytes(ticket, size)
    sent = [Sent(f"task {tasks[number].id}", data) for number, data in images.items()]
    answers = await answer_images(request, state, served, sent, Asked())
    state.admission.count_bytes(ticket, -size)
    by_class = backend.by_class(served, choices)
    results: list[JsonValue] = [no_prediction(served.version) for _ in tasks]
    for number, answer in zip(images, answers, strict=True):
        if isinstance(answer, UnreadableImage):
            _say_why_not(tasks[number].id, tasks[number].image(choices), answer.reason)
        else:
            prediction = labels_of(answer.prediction)
            results[number] = prediction_json(prediction, choices, by_class, served.version)
    return results


async def _images(
    request: Request, backend: Backend, tasks: Sequence[Task], choices: ImageChoices
) -> dict[int, bytes]:
    """Return the images of tasks that can be had, by the position of the task."""
    names = [task.image(choices) for task in tasks]
    futures = [backend.readers.submit(_image, backend, name, choices) for name in names]
    results = await wait_for(request, futures, state_of(request).options.timeout)
    images = {}
    for number, (name, result) in enumerate(zip(names, results, strict=True)):
        if isinstance(result, Unavailable):
            _say_why_not(tasks[number].id, name, str(result))
        else:
            images[number] = result
    return images


def _image(backend: Backend, name: str | None, choices: ImageChoices) -> bytes | Unavailable:
    """Return the content of an image, or why it cannot be had."""
    if name is None:
        return Unavailable(f"its data have no text '{choices.key}'")
    try:
        return backend.images.read(name)
    except Unavailable as error:
        return error


def _say_why_not(task: Id, image: str | None, reason: str) -> None:
    log.warning("Task %s: image '%s': %s.", task, short_name(image or ""), reason)


async def _keep(backend: Backend, number: str | None, changes: Iterable[Change]) -> None:
    """Write changes to the disk, in the order in which they arrive, and ask for a training."""
    assert backend.project is not None
    future = backend.writer.submit(backend.project.keep, number, list(changes))
    try:
        changed = await asyncio.wrap_future(future)
    except OutputError as error:
        log.error(str(error))
        raise Refusal(507, str(error)) from None
    if changed and backend.trainer:
        backend.trainer.ask()
