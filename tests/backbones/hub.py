"""A local server that speaks the protocol of the Hugging Face hub over HTTP."""

import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.local_server import LocalServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub(LocalServer):
    """The files of the server and its faults.

    Attributes:
        files: Content by path, such as "timm/tiny/model.safetensors".
        sha256: Hash that is reported instead of the true one, by path.
        cuts: Numbers of bytes after which the next responses break off.
        stalled: Whether requests for files are never answered.
        status: Status that is returned instead of a file, with the hub's error code.
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

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        super().__exit__()

    def gets(self) -> list[str | None]:
        """Return the range of every GET request for a file."""
        return [
            range_
            for method, path, range_ in self.requests
            if method == "GET" and "/resolve/" in path
        ]


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
        """Log nothing."""


Hub.handler = _Handler


def point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the client, which read HF_ENDPOINT when it was imported, at another hub."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def use(server: Hub, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Point the client at a server, with short waits and its own cache in a folder."""
    point_at(server.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))
