"""The route that searches a gallery: image files in, what `gallery search --json` prints out."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, JsonValue

from headstart.commands.gallery_pictures import EnrolledPictures
from headstart.errors import UnreadableImage
from headstart.galleries.answers import HITS, SearchResult
from headstart.predictor.predictor import FailedPrediction
from headstart.server.answerer import Asked
from headstart.server.answering import AnswerOrError
from headstart.server.asking import answered, data_url, parameters_of, query_of, wait_for
from headstart.server.gallery import ServedGallery
from headstart.server.prediction import IMAGES, VERSION_HEADER
from headstart.server.refusals import Refusal
from headstart.server.state import state_of
from headstart.strict import Options

router = APIRouter()

_MAX_HITS = 100
_GALLERY = {
    "name": "gallery",
    "in": "query",
    "required": False,
    "description": "Name of the gallery; needed if several are served.",
    "schema": {"type": "string"},
}


class Query(Options):
    """The options in the URL of a search. Text is converted, as a URL has nothing else."""

    model_config = ConfigDict(strict=False)

    hits: int = Field(
        HITS, ge=1, le=_MAX_HITS, description="Number of nearest enrolled images to name."
    )
    pictures: bool = Field(
        False, description="Add a small picture of each hit, if the server has --pictures."
    )


@router.post(
    "/search",
    summary="Search a gallery by images",
    openapi_extra={"requestBody": IMAGES, "parameters": [_GALLERY, *parameters_of(Query)]},
)
async def search(request: Request) -> JSONResponse:
    """Find out which enrolled item each image shows: several in a form, or one as the body.

    The answer is a list with an object for each image, as `headstart gallery search --json` prints
    it. An image that cannot be read has an `error`; if none can be read, the status is 422.
    """
    state, query = state_of(request), query_of(request, Query)
    served = state.models.gallery(request.query_params.get("gallery"))
    if query.pictures and state.pictures is None:
        raise Refusal(422, "'pictures' has no effect: start the server with --pictures FOLDER.")
    async with answered(request, state, served, Asked(nearest=query.hits)) as (_, results):
        _check_not_empty(served, results)
        if query.pictures and state.pictures:
            work = state.explainers.submit(_as_json, results, state.pictures)
            (values,) = await wait_for(request, [work], state.options.timeout)
        else:
            values = _as_json(results, None)
    return JSONResponse(values, headers={VERSION_HEADER: served.version})


def _check_not_empty(served: ServedGallery, results: Sequence[AnswerOrError]) -> None:
    """Refuse a search of an empty gallery, in which nothing has a label."""
    found = [one.prediction for one in results if not isinstance(one, UnreadableImage)]
    if not any(one.labels for one in found if isinstance(one, SearchResult)):
        raise Refusal(
            422,
            f"The gallery '{served.name}' is empty, so nothing can be found in it. Enrol images "
            f"first: POST /galleries/{served.name}/images, or headstart gallery add.",
        )


def _as_json(
    results: Sequence[AnswerOrError], pictures: EnrolledPictures | None
) -> list[JsonValue]:
    return [
        FailedPrediction(one.path, one.reason).to_json()
        if isinstance(one, UnreadableImage)
        else one.prediction.to_json() | _pictured(one.prediction, pictures)
        for one in results
    ]


def _pictured(found: object, pictures: EnrolledPictures | None) -> dict[str, JsonValue]:
    """Return the hits of an answer with their pictures; nothing if there are no pictures."""
    if pictures is None or not isinstance(found, SearchResult):
        return {}
    drawn = [(hit.to_json(), pictures.of(hit)) for hit in found.hits]
    return {"hits": [hit | ({"picture": data_url(jpeg)} if jpeg else {}) for hit, jpeg in drawn]}
