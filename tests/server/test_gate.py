"""Who may use a server, and what it says about itself."""

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from headstart.errors import OptionError
from headstart.server.gate import JsonLines
from headstart.serving_options import ServeOptions
from tests.server.conftest import Client, Trained


@contextmanager
def logged() -> Iterator[Callable[[str], dict[str, object]]]:
    """Collect the log, and yield a function that returns the line of a request."""
    lines: list[dict[str, object]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(JsonLines().format(record)))
    log = logging.getLogger("headstart.server")

    def line_of(request: str) -> dict[str, object]:
        end = time.monotonic() + 10  # The line may come after the answer.
        while time.monotonic() < end:
            if found := [line for line in lines if line.get("request") == request]:
                (line,) = found
                return line
            time.sleep(0.005)
        raise AssertionError(lines)

    log.addHandler(handler)
    try:
        yield line_of
    finally:
        log.removeHandler(handler)


KEY = "a-key-of-enough-characters"


@pytest.mark.parametrize(
    "origin",
    ["https://elsewhere.example", "null", "http://localhost", "http://127.0.0.1:1", "http://["],
)
def test_pages_of_other_origins_are_refused(client: Client, trained: Trained, origin: str) -> None:
    (data,) = trained.files(1).values()
    answer = client.post("/predict", data, Origin=origin)
    assert answer.status == 403
    assert "--allow-origin" in answer.json["detail"]
    assert "access-control-allow-origin" not in answer.headers


def test_the_own_page_may_ask(client: Client, trained: Trained) -> None:
    (data,) = trained.files(1).values()
    for name in ("localhost", "127.0.0.1"):
        host = f"{name}:{client.port}"
        answer = client.post("/predict", data, Origin=f"http://{host}", Host=host)
        assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "elsewhere.example:80", "127.0.0.2", "[::2]:80"]
)
def test_a_local_server_answers_to_no_other_name(client: Client, host: str) -> None:
    assert client.get("/models", Host=host).status == 403


def test_origins_that_are_allowed_may_ask(serve: Callable[..., Client], trained: Trained) -> None:
    client = serve(allow_origin="https://photos.example, https://other.example")
    (data,) = trained.files(1).values()
    answer = client.post("/predict", data, Origin="https://photos.example")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://photos.example"
    asked = {"Origin": "https://photos.example", "Access-Control-Request-Method": "POST"}
    assert client.send("OPTIONS", "/predict", headers=asked).status == 200
    assert client.get("/models", Origin="https://third.example").status == 403
    assert client.get("/models", Host="photos.example").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": KEY[:-1]}, 401),
        ({"X-API-Key": KEY + "ü"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"X-API-Key": KEY}, 200),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"Authorization": f"bearer {KEY}"}, 200),
    ],
)
def test_the_key_is_needed(
    serve: Callable[..., Client], headers: dict[str, str], status: int
) -> None:
    client = serve(key=KEY)
    for path in ("/models", "/metrics", "/v2/models/colours"):
        assert client.get(path, **headers).status == status
    for path in ("/", "/healthz", "/readyz", "/openapi.json", "/docs", "/v2/health/live"):
        assert client.get(path).status == 200


def test_every_answer_has_safe_headers(client: Client) -> None:
    for path in ("/", "/models", "/nothing", "/docs", "/predict"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
    assert "unsafe" not in client.get("/").headers["content-security-policy"]


def test_a_line_of_the_log_says_nothing_about_the_image(client: Client, trained: Trained) -> None:
    (data,) = trained.files(1).values()
    with logged() as line_of:
        answer = client.post("/predict?name=Jane_Doe.png&top=1", data)
        line = line_of(answer.headers["x-request-id"])
    assert (line["method"], line["route"], line["status"]) == ("POST", "/predict", 200)
    assert "Jane" not in json.dumps(line)


def test_a_fault_of_the_server_is_logged_and_not_shown(
    serve: Callable[..., Client], trained: Trained
) -> None:
    client = serve()
    held = client.app.state.headstart.models.get(None)
    held._engine.infer = lambda batch: 1 / 0
    (data,) = trained.files(1).values()
    try:
        with logged() as line_of:
            answer = client.post("/predict", data)
            line = line_of(answer.headers["x-request-id"])
    finally:
        del held._engine.infer
    assert answer.status == 500
    assert "ZeroDivisionError" not in answer.body.decode()
    assert str(line["request"]) in answer.json["detail"]
    assert "ZeroDivisionError" in line["error"]
    assert client.post("/predict", data).status == 200


def test_the_browser_may_ask_beforehand_without_the_key(serve: Callable[..., Client]) -> None:
    client = serve(key=KEY, allow_origin="https://photos.example")
    asked = {
        "Origin": "https://photos.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    answer = client.send("OPTIONS", "/predict", headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://photos.example"
    refused = client.get("/models", Origin="https://photos.example")
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "https://photos.example"


@pytest.mark.parametrize("origins", ["photos.example", "*", "http://[", "https://a/b"])
def test_what_is_no_origin_is_an_error_at_the_start(origins: str) -> None:
    with pytest.raises(OptionError, match="is not an origin such as"):
        ServeOptions.of(allow_origin=origins)
    assert ServeOptions.of(allow_origin="https://a.example/,").origins == ("https://a.example",)


def test_health_checks_need_no_host_and_may_ask_for_the_head(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as one:
        one.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 200 ")
    for path in ("/", "/healthz", "/readyz"):
        assert client.send("HEAD", path).status == 200
