"""Requests as Label Studio sends them, a fake Label Studio, and servers that are its backend."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from headstart.server import models
from headstart.server.app import create_app
from headstart.server.label_studio import host, trainer
from headstart.server.label_studio.backend import place_of
from headstart.serving_options import ServeOptions
from tests.commands.conftest import QUICK
from tests.conftest import write_blue_and_red
from tests.local_server import LocalServer
from tests.server.conftest import Client, Response, running

TOKEN = "0123456789abcdef0123456789abcdef01234567"
_RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, Any]:
    """Return a request of Label Studio."""
    return json.loads((_RECORDED / f"{name}.json").read_text())


def send(client: Client, path: str, body: Any) -> Response:
    return client.post(path, json.dumps(body).encode(), "application/json")


def predict(client: Client, *images: str, config: str | None = None) -> Response:
    """Ask for the predictions of tasks with these images, numbered from 101."""
    body = recorded("predict")
    tasks = []
    for number, image in enumerate(images):
        task = copy.deepcopy(body["tasks"][0])
        task["id"], task["data"]["image"] = 101 + number, image
        tasks.append(task)
    body["tasks"] = tasks
    if config:
        body["label_config"] = config
    return send(client, "/predict", body)


def annotation(
    number: int, image: str, *labels: str, config: str | None = None, name: str = "created"
) -> dict[str, Any]:
    """Return an event: a task, of the number plus 100, got an annotation with these labels."""
    event = recorded(f"annotation_{name}")
    event["annotation"]["id"] = number
    event["annotation"]["task"] = event["task"]["id"] = 100 + number
    event["annotation"]["result"][0]["value"]["choices"] = list(labels)
    event["task"]["data"]["image"] = image
    if config:
        event["project"]["label_config"] = config
    return event


def wait_until(reached: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "It was not reached in time."
        time.sleep(0.05)


class _Handler(BaseHTTPRequestHandler):
    state: FakeLabelStudio

    def do_GET(self) -> None:
        state = self.state
        state.asked.append((self.path, self.headers.get("Authorization")))
        answer = state.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        elif isinstance(answer, str):
            self.send_response(302)
            self.send_header("Location", answer)
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.state.asked.append((self.path, body.decode()))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"access": "short-lived"}')

    def log_message(self, *_: Any) -> None:
        pass


class FakeLabelStudio(LocalServer):
    """Answers with files, and keeps what it was asked for.

    Attributes:
        answers: The content at a path, or where it redirects to.
        asked: The paths, with the header or the body that identified who asked.
    """

    handler = _Handler

    def __init__(self) -> None:
        self.answers: dict[str, bytes | str] = {}
        self.asked: list[tuple[str, str | None]] = []


@pytest.fixture
def label_studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLabelStudio]:
    """Return a fake Label Studio that the environment names."""
    with FakeLabelStudio() as fake:
        monkeypatch.setenv(host.URL, fake.url)
        monkeypatch.setenv(host.KEY, TOKEN)
        yield fake


@pytest.fixture(autouse=True)
def _no_label_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (host.URL, host.KEY):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train soon after an annotation, and look at the run often."""
    monkeypatch.setattr(trainer, "PAUSE", 0.3)
    monkeypatch.setattr(trainer, "_REST", 0)
    monkeypatch.setattr(models, "SECONDS", 0.1)


@contextmanager
def connected(model: str | Path, key: str | None = None, **options: Any) -> Iterator[Client]:
    """Serve a model or a project as a backend."""
    values = ServeOptions.of(label_studio=True, **options)
    app = create_app((place_of([str(model)]),), values, key)
    with running(app) as client:
        yield client


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Return a function that serves a backend until the test ends."""
    with ExitStack() as stack:
        yield lambda model, **options: stack.enter_context(connected(model, **options))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of blue and red photos, blue/0.png and so on."""
    folder = tmp_path_factory.mktemp("label-studio") / "files"
    write_blue_and_red(folder, 14)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label-studio-cache")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a new project that trains the tiny network."""
    folder = tmp_path / "colours"
    folder.mkdir()
    (folder / "options.json").write_text(json.dumps(QUICK))
    return folder


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Return the lines of the server's log, which grow."""
    lines: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return True

    logger = logging.getLogger("headstart.server")
    logger.addFilter(keep)
    yield lines
    logger.removeFilter(keep)
