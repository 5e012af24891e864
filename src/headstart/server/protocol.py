"""HTTP/1.1 connections that slow and talkative clients cannot occupy."""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 60.0
"""A request must have arrived completely after so long."""

LAST_SECONDS = 5.0
"""When the server ends, the rest of a request must arrive within so long."""

HEADER_BYTES = 64 * 1024
"""The URL and the headers of a request have at most so many bytes."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request takes too long to arrive or whose headers are too large.

    Uvicorn itself only bounds the time between requests.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        self._timer: TimerHandle | None = None
        self._header_bytes = 0
        self._unfinished_bytes, self._in_headers = 0, False

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read data, unless the connection is being closed."""
        if self.transport.is_closing():
            return
        self._unfinished_bytes += len(data)
        super().data_received(data)
        # The parser passes a header on when it is complete; until then, it keeps it.
        if self._in_headers and self._unfinished_bytes > 2 * HEADER_BYTES:
            self._close(431, b"Request Header Fields Too Large")
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # What was sent between two requests is not the beginning of one.

    def shutdown(self) -> None:
        """Close the connection when its request is answered, or soon if that has not arrived."""
        super().shutdown()
        if self._timer is not None:
            self._wait(LAST_SECONDS)

    def on_message_begin(self) -> None:
        """Start waiting for the rest of a request."""
        self._wait()
        self._header_bytes, self._unfinished_bytes, self._in_headers = 0, 0, True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count a part of the URL."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(name + value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to read the body."""
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().on_message_complete()

    def _count(self, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > HEADER_BYTES:
            self._close(431, b"Request Header Fields Too Large")
            raise ValueError("The headers are too large.")

    def _wait(self, seconds: float | None = None) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds or SECONDS, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.cycle is not None and self.cycle.response_started:
            self.transport.close()
        else:
            self._close(408, b"Request Timeout")

    def _close(self, status: int, reason: bytes) -> None:
        if not self.transport.is_closing():
            body = b'{"detail":"%b."}' % reason
            head = (
                b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n"
            )
            self.transport.write(head % (status, reason, len(body)) + body)
            self.transport.close()
