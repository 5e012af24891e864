"""A hub on this machine: speaks the protocol that the hub's client speaks, over real HTTP."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds, and how it misbehaves.

    Attributes:
        files: Content by path, such as "timm/tiny/model.safetensors".
        sha256: Hash that is told instead of the true one, by path.
        cuts: At how many bytes the next answers break off.
        stalled: Whether files never come.
        status: Answered instead of a file, with the hub's own code for the reason.
        requests: Method, path and range of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    stalled: bool = False
    status: tuple[int, str] | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def gets(self) -> list[str | None]:
        """Give the range of every GET of a file."""
        asked = [one for one in self.requests if one[0] == "GET" and "/resolve/" in one[1]]
        return [range_ for _, _, range_ in asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.state
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        if hub.stalled and self.command == "GET":
            hub.closing.wait()
            return
        path = (
            self.path.strip("/").replace("/resolve/main/", "/").replace(f"/resolve/{COMMIT}/", "/")
        )
        content = hub.files.get(path)
        if hub.status is not None or content is None:
            status, reason = hub.status or (404, "EntryNotFound")
            self.send_response(status)
            self.send_header("X-Error-Code", reason)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        body = content[start:]
        sha256 = hub.sha256.get(path) or hashlib.sha256(content).hexdigest()
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{sha256}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            cut = hub.cuts.pop(0) if hub.cuts else None
            self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""
