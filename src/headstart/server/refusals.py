"""Why a request is not answered: a status and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi.responses import JSONResponse
from pydantic import JsonValue


class Refusal(Exception):  # noqa: N818
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

    def response(self) -> JSONResponse:
        """Return the response."""
        content: dict[str, JsonValue] = {"detail": self.detail}
        if self.images:
            content["images"] = list(self.images)
        return JSONResponse(content, self.status, dict(self.headers))
