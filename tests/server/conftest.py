"""A server over loopback with a tiny trained model, shared by the tests of this package."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI

from headstart import load, train
from headstart.predictor.predictor import Predictor
from headstart.server.app import create_app
from headstart.server.models import Place
from headstart.server.running import server_config
from headstart.serving_options import ServeOptions
from tests.commands.conftest import QUICK
from tests.conftest import write_blue_and_red
from tests.server.detecting import Detecting

BOUNDARY = "form-boundary"


@dataclass(frozen=True)
class Response:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Sends requests to a server, each on a connection of its own."""

    port: int
    app: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: bytes, kind: str = "image/png", **headers: str) -> Response:
        return self.send("POST", path, body, {"Content-Type": kind, **headers})

    def post_files(self, path: str, files: Mapping[str, bytes]) -> Response:
        return self.post(path, form(files), f"multipart/form-data; boundary={BOUNDARY}")


def form(files: Mapping[str, bytes]) -> bytes:
    """Return a form with files."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; '
        f'filename="{quote(name, safe=" /+ü.")}"\r\nContent-Type: image/png\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serving(
    *models: str | Path, key: str | None = None, cache: Path, **options: Any
) -> Iterator[Client]:
    """Serve models in a thread."""
    values = ServeOptions.of(cache=cache, **options)
    app = create_app(tuple(Place.parse(str(model)) for model in models), values, key)
    with running(app) as client:
        yield client


@contextmanager
def running(app: FastAPI) -> Iterator[Client]:
    """Run an application in a thread."""
    config = server_config(app, port=0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("The server did not start.")
        thread.join(0.01)
    try:
        yield Client(server.servers[0].sockets[0].getsockname()[1], app)
    finally:
        server.should_exit = True
        thread.join(30)


@dataclass(frozen=True)
class Trained:
    """A tiny model.

    Attributes:
        run: Its run.
        photos: Folders of its photos.
        cache: The cache.
        predictor: The model in this process.
    """

    run: Path
    photos: Path
    cache: Path
    predictor: Predictor

    def files(self, count: int = 4) -> dict[str, bytes]:
        """Return the names and contents of some photos of both classes."""
        paths = [
            self.photos / label / f"{number}.png"
            for number in range(count)
            for label in ("blue", "red")
        ]
        return {f"{path.parent.name}-{path.name}": path.read_bytes() for path in paths[:count]}


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("served")
    write_blue_and_red(root / "photos", 20)
    result = train(
        root / "photos",
        out=root / "colours",
        cache=root / "cache",
        keep_examples=40,
        progress=False,
        **QUICK,
    )
    return Trained(
        result.run, root / "photos", root / "cache", load(result.run, cache=root / "cache")
    )


@pytest.fixture(scope="package")
def detecting(tmp_path_factory: pytest.TempPathFactory) -> Detecting:
    """A tiny detector."""
    return Detecting.at(tmp_path_factory.mktemp("detecting"))


@pytest.fixture(scope="package")
def client(trained: Trained) -> Iterator[Client]:
    with serving(trained.run, cache=trained.cache) as one:
        yield one


@pytest.fixture
def serve(trained: Trained) -> Iterator[Callable[..., Client]]:
    """Return a function that serves the tiny model with other options, until the test ends."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*models: str | Path, **options: Any) -> Client:
            return stack.enter_context(
                serving(*(models or (trained.run,)), **{"cache": trained.cache, **options})
            )

        yield start
