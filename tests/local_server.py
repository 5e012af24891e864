"""A server on the loopback interface, for the time of a with block."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self


class LocalServer:
    """The base of test servers, which their handlers see as `state`."""

    handler: ClassVar[type[BaseHTTPRequestHandler]]
    url: str

    def __enter__(self) -> Self:
        handler = type("Handler", (self.handler,), {"state": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
