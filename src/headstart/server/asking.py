"""What a request asks of a model, and waiting for its answers."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ConfigDict, Field, JsonValue, ValidationError

from headstart.data.paths import printable
from headstart.errors import UnreadableImage, suggestion
from headstart.evaluation.known_images import Neighbour
from headstart.options import AnswerOptions
from headstart.predictor.predictor import FailedPrediction
from headstart.server.answerer import Answer, Asked, labels_of
from headstart.server.answering import AnswerOrError, AnyServed
from headstart.server.refusals import Refusal
from headstart.server.state import State
from headstart.server.uploads import Sent, read_uploads
from headstart.strict import Options

_Result = TypeVar("_Result")
_Query = TypeVar("_Query", bound=Options)
_MAX_NEAREST = 20
_NOT_OPTIONS = {"model", "gallery", "name"}


class Query(AnswerOptions):
    """The options in the URL of a prediction. Text is converted, as a URL has nothing else."""

    model_config = ConfigDict(strict=False)

    nearest: int = Field(
        0, ge=0, le=_MAX_NEAREST, description="Number of similar training images to name."
    )
    explain: bool = Field(
        False, description="Also draw a heat map of each prediction, which takes longer."
    )


def parameters_of(query: type[Options]) -> list[dict[str, Any]]:
    """Return the options in a URL, for the description of the API."""
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": schema,
        }
        for name, schema in query.model_json_schema()["properties"].items()
    ]


def asked_of(request: Request) -> Asked:
    """Return what a request asks for, from its query.

    Raises:
        Refusal: An option is unknown or not valid.
    """
    query = query_of(request, Query)
    if not query.model_fields_set:
        return Asked()
    options = query.model_dump(exclude={"nearest", "explain"}, exclude_unset=True)
    return Asked(AnswerOptions.of(**options), query.nearest, query.explain)


def query_of(request: Request, kind: type[_Query]) -> _Query:
    """Return the options in the URL of a request.

    Raises:
        Refusal: An option is unknown or not valid.
    """
    given = {
        name: value for name, value in request.query_params.items() if name not in _NOT_OPTIONS
    }
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            hint = suggestion(name, [*kind.model_fields, *_NOT_OPTIONS])
            raise Refusal(422, f"There is no option '{name[:100]}'.{hint}") from None
        raise Refusal(422, f"'{name}' is not valid: {first['msg']}.") from None


@asynccontextmanager
async def answered(
    request: Request, state: State, served: AnyServed, asked: Asked
) -> AsyncIterator[tuple[list[Sent], list[AnswerOrError]]]:
    """Admit a request, read its images and answer them; they count as waiting until the block ends.

    Yields:
        The images, and the answer to each of them, or why it cannot be read.

    Raises:
        Refusal: There is too much to do, the body is not valid, or no image can be read.
        ClientLeft: The client left.
    """
    with state.admission.admitted() as ticket, served.used():
        sent = await read_uploads(
            request, state.options, lambda size: state.admission.count_bytes(ticket, size)
        )
        state.admission.count_images(ticket, len(sent))
        results = await answer_images(request, state, served, sent, asked)
        _check_any_read(results)
        yield sent, results


def _check_any_read(results: Sequence[AnswerOrError]) -> None:
    """Refuse a request of which no image can be read."""
    failed = [result for result in results if isinstance(result, UnreadableImage)]
    if len(failed) == len(results):
        several = f"None of {len(failed)} images can be read."
        raise unreadable(failed, str(failed[0]) if len(failed) == 1 else several)


def unreadable(failed: Sequence[UnreadableImage], detail: str) -> Refusal:
    """Return the refusal of a request because of images that cannot be read."""
    return Refusal(
        422,
        detail,
        images=[FailedPrediction(one.path, one.reason).to_json() for one in failed],
    )


async def answer_images(
    request: Request,
    state: State,
    served: AnyServed,
    images: Sequence[Sent],
    asked: Asked,
) -> list[AnswerOrError]:
    """Return the answer to each image, or why it cannot be read, in order; count and log them.

    Raises:
        Refusal: The answers take too long.
        ClientLeft: The client left.
    """
    begin = time.perf_counter()
    results = await compute(request, state, served, images, asked)
    seconds = time.perf_counter() - begin
    for sent, result in zip(images, results, strict=True):
        _note(state, served, sent, result, seconds)
    return results


async def compute(
    request: Request,
    state: State,
    served: AnyServed,
    images: Sequence[Sent],
    asked: Asked,
) -> list[AnswerOrError]:
    """Return what `answer_images` does, without counting or logging it."""
    futures = [served.submit(printable(one.name), one.image, asked) for one in images]
    return await wait_for(request, futures, state.options.timeout)


def _note(
    state: State, served: AnyServed, sent: Sent, result: AnswerOrError, seconds: float
) -> None:
    """Count an answer, and log it."""
    if isinstance(result, UnreadableImage):
        state.metrics.images.labels(served.name, "unreadable").inc()
        return
    kind = "unknown" if result.prediction.unknown else "answered"
    state.metrics.images.labels(served.name, kind).inc()
    if state.log:
        state.log.add(
            model=served.name,
            version=served.version,
            sha256=sent.sha256,
            prediction=labels_of(result.prediction),
            seconds=seconds,
            features=result.features,
        )


async def wait_for(
    request: Request, futures: Sequence[Future[_Result]], seconds: float
) -> list[_Result]:
    """Wait for results, unless the client leaves or they take too long; then they are cancelled.

    The time of a request begins when it waits for the first time, after its body has arrived.

    Returns:
        The results, in order.

    Raises:
        Refusal: They take too long.
        ClientLeft: The client left.
    """
    results = asyncio.gather(*map(asyncio.wrap_future, futures))
    results.add_done_callback(_take_exception)
    left = asyncio.ensure_future(_disconnected(request))
    now = asyncio.get_running_loop().time()
    if not hasattr(request.state, "until"):
        request.state.until = now + seconds
    both: set[asyncio.Future[Any]] = {results, left}
    try:
        done, _ = await asyncio.wait(
            both, timeout=request.state.until - now, return_when=asyncio.FIRST_COMPLETED
        )
        if results in done:
            return results.result()
    finally:
        left.cancel()
        for future in futures:
            future.cancel()  # It changes nothing where there is a result.
    if left in done:
        raise ClientLeft
    raise Refusal(504, f"The answer took longer than {seconds:g} seconds. Send fewer images.")


def _take_exception(future: asyncio.Future[Any]) -> None:
    """Take the exception of a future that nobody waits for, which asyncio would log otherwise."""
    if not future.cancelled():
        future.exception()


class ClientLeft(Exception):
    """The client closed the connection before its answer was computed."""


async def _disconnected(request: Request) -> None:
    """Return when the client closes the connection. Its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answer_json(answer: Answer, asked: Asked, heat_map: bytes | None = None) -> JsonValue:
    """Return the answer to one image, as `predict --json` prints it.

    Pictures are data URLs.
    """
    values = answer.prediction.to_json()
    if heat_map:
        values["heat_map"] = data_url(heat_map)
    if asked.nearest:
        values["nearest"] = [_neighbour_json(*one) for one in answer.neighbours]
    return values


def _neighbour_json(neighbour: Neighbour, picture: bytes | None) -> JsonValue:
    values: dict[str, JsonValue] = {"label": neighbour.label, "distance": neighbour.distance}
    return values | {"picture": data_url(picture)} if picture else values


def data_url(jpeg: bytes) -> str:
    """Return a picture as a URL that contains it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
