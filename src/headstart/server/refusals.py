"""Why a request is not answered: a status and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue

# The Open Inference Protocol has its own name for what is wrong.
_V2 = "/v2/"


class Problem(BaseModel):
    """The body of a response that refuses a request; `error` in the Open Inference Protocol."""

    detail: str = ""
    error: str = ""


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "model": Problem}
    for status, description in (
        (401, "The key is missing or wrong."),
        (403, "A page of another origin, another host, or a change without any key."),
        (404, "There is no such model, gallery or label."),
        (413, "The request is too large."),
        (415, "A body of this type is not read."),
        (422, "The request is not valid, or no image can be read."),
        (503, "The server is busy, or serves no model or gallery."),
        (504, "The answer takes too long."),
    )
}
"""What else a route may answer, for the description of the API."""


class Refusal(Exception):
    """A request that is not answered.

    Attributes:
        status: The status code.
        detail: What is wrong, and what to do.
        headers: Further headers of the response.
        images: For each image of the request that cannot be read, its name and why.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        images: Sequence[dict[str, JsonValue]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers, self.images = headers or {}, images

    def response(self, path: str) -> JSONResponse:
        """Return the response to a request for a path."""
        key = "error" if path.startswith(_V2) else "detail"
        content: dict[str, JsonValue] = {key: self.detail}
        if self.images:
            content["images"] = list(self.images)
        return JSONResponse(content, self.status, dict(self.headers))
