"""Only the browser that opened the address that the terminal shows may use the studio."""

from __future__ import annotations

import hmac

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from headstart.server.refusals import Refusal

_NAME = "headstart-studio"


class Token:
    """Refuses requests without the token of this start, which a cookie keeps in the browser.

    Other programs and other users of this machine can reach the port, but do not know the token.

    Args:
        app: The application.
        token: The token.
        port: The port: browsers send the cookies of all ports to each of them.
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app, self._token, self._name = app, token, f"{_NAME}-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, refuse it, or take the token from its address."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        if scope["path"] == "/" and self._is_known(asked.query_params.get("token", "")):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(self._name, self._token, httponly=True, samesite="strict")
            await response(scope, receive, send)
            return
        if self._is_known(asked.cookies.get(self._name, "")):
            await self._app(scope, receive, send)
            return
        refusal = Refusal(403, "Open the studio at the address that the terminal shows.")
        await refusal.response(scope["path"])(scope, receive, send)

    def _is_known(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())
