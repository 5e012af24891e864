"""A server on a cluster: the same answers, and another model without a pause."""

import io
import json
import socket
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import headstart as hs
from headstart.cluster.joining import joined
from headstart.server.running import app_maker
from headstart.serving_options import ServeOptions
from headstart.watching import SilentWatcher
from tests.cluster.test_commands import QUICK
from tests.conftest import COLOURS, picture

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Train two models on the same pictures, with other names of the labels."""
    root = tmp_path_factory.mktemp("served")
    runs = []
    for number, names in enumerate((("blue", "red"), ("cold", "warm"))):
        for name, colour in zip(names, ("blue", "red"), strict=True):
            folder = root / f"photos-{number}" / name
            folder.mkdir(parents=True)
            for index in range(12):
                picture(index + 100 * (colour == "red"), COLOURS[colour], side=32).save(
                    folder / f"{index}.png"
                )
        runs.append(hs.train(root / f"photos-{number}", out=root / f"run-{number}", **QUICK).run)
    return runs


def free_port() -> int:
    """Return a port that nothing uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def ask(port: int, image: bytes) -> str:
    """Return the label of an image."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", image, {"Content-Type": "image/png"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)[0]["label"])


def test_a_model_is_replaced_without_a_pause(models: list[Path], address: str) -> None:
    """Every request is answered while the replicas are replaced, by one model or the other."""
    port, buffer = free_port(), io.BytesIO()
    picture(5, COLOURS["red"], side=32).save(buffer, "PNG")
    answers, replaced = list[str](), threading.Event()

    def keep_asking() -> None:
        while not (replaced.is_set() and answers[-1:] == ["warm"]):
            answers.append(ask(port, buffer.getvalue()))
            time.sleep(0.02)

    def serve(run: Path) -> None:
        make = app_maker([str(run)], ServeOptions(port=port, cluster=address))
        cluster.serve(make, host="127.0.0.1", port=port, replicas=1, device="cpu")

    with joined(address, SilentWatcher()) as cluster:
        from ray import serve as ray_serve  # Its warnings are ignored only within tests.

        try:
            serve(models[0])
            assert (
                ask(port, buffer.getvalue())
                == hs.load(models[0]).predict([picture(5, COLOURS["red"], side=32)])[0].label
            )
            asking = threading.Thread(target=keep_asking)
            asking.start()
            serve(models[1])
            replaced.set()
            asking.join(60)
            assert not asking.is_alive()
        finally:
            ray_serve.shutdown()
    assert set(answers) == {"red", "warm"}
    assert answers == sorted(answers)  # First one model, then the other.


def test_the_command_waits_until_requests_are_passed_on() -> None:
    """A proxy that knows of no application yet, or of another one, is asked again."""
    from headstart.cluster.serving import is_routed  # Ray Serve's warnings are ignored in tests.

    port, said = free_port(), iter(((503, "none"), (200, "{}"), (200, '{"/": "headstart"}')))

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, text = next(said)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

    with HTTPServer(("127.0.0.1", port), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        assert is_routed("0.0.0.0", port)
        proxy.shutdown()
    assert list(said) == []
    assert is_routed("127.0.0.1", port)  # No proxy runs there.
