"""Why a request is not answered: a status and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi.responses import JSONResponse
from pydantic import JsonValue

# The Open Inference Protocol has its own name for what is wrong.
_V2 = "/v2/"


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
