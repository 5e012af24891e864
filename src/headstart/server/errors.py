"""What a client is told if a request cannot be answered."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from headstart.errors import HeadstartError
from headstart.server.asking import ClientLeft
from headstart.server.refusals import Refusal

_CLIENT_LEFT = 499


def handle_errors(app: FastAPI) -> None:
    """Answer with a status and one sentence, whatever is wrong with a request."""

    @app.exception_handler(Refusal)
    async def refuse(request: Request, error: Refusal) -> Response:
        return error.response(request.url.path)

    @app.exception_handler(HeadstartError)
    async def explain(request: Request, error: HeadstartError) -> Response:
        return Refusal(422, str(error)).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def name_status(request: Request, error: HTTPException) -> Response:
        refusal = Refusal(error.status_code, str(error.detail), error.headers)
        return refusal.response(request.url.path)

    @app.exception_handler(ClientLeft)
    @app.exception_handler(ClientDisconnect)
    async def give_up(_: Request, error: Exception) -> Response:
        return Response(status_code=_CLIENT_LEFT)
