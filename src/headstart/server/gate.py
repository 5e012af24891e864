"""What every request passes: who may ask, safe headers, a line in the log, a count."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headstart.server.admission import Admission
from headstart.server.metrics import Metrics
from headstart.server.refusals import Refusal

log = logging.getLogger("headstart.server")

LOOPBACK = ("127.0.0.1", "localhost", "::1")

_OPEN = ("/", "/healthz", "/readyz", "/docs", "/redoc", "/openapi.json")
_OPEN_BELOW = ("/page/", "/static-offline-docs/", "/v2/health/")
# The routes that predict, by the end of the path.
_PREDICTIONS = {
    "/predict": "/predict",
    "/search": "/search",
    "/images": "/galleries/{name}/images",
    "/infer": "/v2/models/{name}/infer",
}
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}
# The description of the API is shown by Swagger UI, whose start is a script in the page.
_DOCS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
}


class Access:
    """Refuses requests without the key, from pages of other origins, and for other hosts.

    A web page that the user visits elsewhere can make the browser send requests here. They are
    recognised by their Origin; and if the page's own name points at this machine, by their Host.

    Args:
        app: The application.
        key: The key that clients must send; None if everyone may ask.
        origins: The origins of other pages that may ask.
        local: Whether the server only listens on this machine.
    """

    def __init__(
        self, app: ASGIApp, *, key: str | None, origins: Iterable[str], local: bool
    ) -> None:
        self._app, self._key, self._origins = app, key, frozenset(origins)
        others = {urlsplit(origin).hostname for origin in self._origins}
        self._hosts = {*LOOPBACK, *others} if local else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)):
            await refusal.response(scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # Browsers always say which host they mean; simple health checks may not.
        if self._hosts is not None and host and _hostname(host) not in self._hosts:
            return Refusal(
                403,
                "This server only answers to this machine's own name. Start it with "
                "--allow-origin if it is reached under another one.",
            )
        origin = headers.get("origin")
        if origin and origin not in self._origins and _netloc(origin) != host:
            return Refusal(
                403,
                f"Pages of {origin[:200]} may not use this server. Start it with --allow-origin to "
                "allow them.",
            )
        if self._key and not _is_open(scope["path"]) and not self._knows_key(headers):
            return Refusal(
                401,
                "The key is missing or wrong. Send it in the header X-API-Key, or as "
                "Authorization: Bearer KEY.",
                {"WWW-Authenticate": "Bearer"},
            )
        return None

    def _knows_key(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        if kind.lower() == "basic":  # Label Studio sends nothing else.
            given = _password(token)
        return hmac.compare_digest(given.encode(), (self._key or "").encode())


class Busy:
    """Refuses predictions at once while there is too much to do, before anything else is done.

    Args:
        app: The application.
        admission: Knows how much there is to do.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission) -> None:
        self._app, self._admission = app, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if self._admission.is_full and scope["type"] == "http" and scope["method"] == "POST":
            for end, route in _PREDICTIONS.items():
                if scope["path"].endswith(end):
                    scope["route"] = SimpleNamespace(path=route)
                    refusal = self._admission.overloaded()
                    await refusal.response(scope["path"])(scope, receive, send)
                    return
        await self._app(scope, receive, send)


class Observed:
    """Logs and counts each request, adds safe headers, and answers 500 to a fault of the server.

    A line of the log is a JSON object without anything of the body, of file names or of queries.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status, number = time.perf_counter(), 0, uuid4().hex[:16]
        extra = {**_SAFE, **(_DOCS if scope["path"] in ("/docs", "/redoc") else {})}

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in extra.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = number
            await send(message)

        error: Exception | None = None
        try:
            await self._app(scope, receive, send_and_see)
        except Exception as raised:
            error = raised
            if not status:
                response = JSONResponse(
                    {"detail": f"The server failed. Its log says why, at request {number}."}, 500
                )
                await response(scope, receive, send_and_see)
        seconds = time.perf_counter() - begin
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if error is not None or log.isEnabledFor(logging.INFO):
            line = {
                "request": number,
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(1000 * seconds, 1),
            }
            log.log(
                logging.ERROR if error else logging.INFO,
                "request",
                extra=line_of(line),
                exc_info=error,
            )


def line_of(values: Mapping[str, object]) -> dict[str, object]:
    """Return what makes `JsonLines` write these values."""
    return {"values": values}


class JsonLines(logging.Formatter):
    """Writes each record of a log as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= getattr(record, "values", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _password(token: str) -> str:
    """Return the password of Basic authentication, with any name; "" if there is none."""
    try:
        return base64.b64decode(token).decode().partition(":")[2]
    except ValueError:
        return ""


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _netloc(origin: str) -> str | None:
    """Return the host and the port of an origin; None if it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _hostname(host: str) -> str:
    """Return the name in a Host header, without the port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
