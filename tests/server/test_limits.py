"""What a server takes on: how large, how many, how slow."""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from queue import SimpleQueue

import pytest
from PIL import Image

from headstart.options import DecodeLimits
from headstart.server import protocol
from headstart.server.admission import Admission
from headstart.server.decoders import Decoders
from headstart.server.refusals import Refusal
from tests.data.files import encoded
from tests.server.conftest import BOUNDARY, Client, Trained, form


def test_a_body_of_another_type_is_refused_by_name(client: Client) -> None:
    answer = client.post("/predict", b"{}", "application/json")
    assert answer.status == 415
    assert "'application/json' is not read" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        (b"", "image/png", "The body is empty"),
        (b"", f"multipart/form-data; boundary={BOUNDARY}", "contains no file"),
        (b"abc", "multipart/form-data", "boundary"),
        (b"abc", f"multipart/form-data; boundary={BOUNDARY}", "cannot be read"),
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="top"\r\n\r\n3\r\n'
            f"--{BOUNDARY}--\r\n".encode(),
            f"multipart/form-data; boundary={BOUNDARY}",
            "The field 'top' is not a file",
        ),
        (
            f"--{BOUNDARY}\r\nContent-Type: image/png\r\n\r\n3\r\n--{BOUNDARY}--\r\n".encode(),
            f"multipart/form-data; boundary={BOUNDARY}",
            "cannot be read",
        ),
    ],
)
def test_a_body_without_an_image_is_refused(
    client: Client, body: bytes, kind: str, detail: str
) -> None:
    answer = client.post("/predict", body, kind)
    assert answer.status == 422
    assert detail in answer.json["detail"]


def test_a_thousand_files_in_one_request_are_refused(client: Client, trained: Trained) -> None:
    (data,) = trained.files(1).values()
    answer = client.post_files("/predict", {f"{number}.png": data for number in range(1000)})
    assert answer.status == 413
    assert "more than 100 images" in answer.json["detail"]


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_is_refused(
    serve: Callable[..., Client], trained: Trained, *, declared: bool
) -> None:
    client = serve(max_request_mb=1)
    body = bytes(1_100_000)
    answer = client.send(
        "POST",
        "/predict",
        body if declared else iter([body]),
        {"Content-Type": "image/png", "Expect": ""},
    )
    assert answer.status == 413
    assert "larger than 1 MB" in answer.json["detail"]
    (data,) = trained.files(1).values()
    assert client.post("/predict", data).status == 200


def test_an_overloaded_server_refuses_at_once_and_answers_what_it_took(
    serve: Callable[..., Client], trained: Trained
) -> None:
    client = serve(max_waiting=2)
    files = trained.files(40)
    begun, held = threading.Event(), client.app.state.headstart.models.get(None)
    answers: list[int] = []
    features_of = held.answerer.engine.infer

    def slow(batch):
        begun.set()
        time.sleep(0.5)
        return features_of(batch)

    held._engine.infer = slow
    try:
        first = threading.Thread(
            target=lambda: answers.append(client.post_files("/predict", files).status)
        )
        first.start()
        assert begun.wait(10)
        (data,) = trained.files(1).values()
        begin = time.perf_counter()
        refused = client.post("/predict", data)
        assert time.perf_counter() - begin < 0.4
        assert client.get("/healthz").status == 200
        first.join()
    finally:
        del held._engine.infer
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "wait already" in refused.json["detail"]
    assert answers == [200]
    assert client.post("/predict", data).status == 200


def test_an_answer_that_takes_too_long_is_refused(
    serve: Callable[..., Client], trained: Trained
) -> None:
    client = serve(timeout=0.2)
    held = client.app.state.headstart.models.get(None)
    infer = held._engine.infer
    held._engine.infer = lambda batch: (time.sleep(1), infer(batch))[1]
    (data,) = trained.files(1).values()
    try:
        answer = client.post("/predict", data)
    finally:
        del held._engine.infer
    assert answer.status == 504
    assert client.app.state.headstart.admission.images == 0


def test_the_images_of_a_client_that_left_are_not_computed(
    serve: Callable[..., Client], trained: Trained
) -> None:
    client = serve()
    state = client.app.state.headstart
    held = state.models.get(None)
    begun, computed = threading.Event(), []
    infer = held._engine.infer

    def slow(batch):
        begun.set()
        computed.append(len(batch))
        time.sleep(0.4)
        return infer(batch)

    held._engine.infer = slow
    files = trained.files(40)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", client.port)
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", "/predict", form(files), kind)
        assert begun.wait(10)
        connection.close()
        end = time.monotonic() + 10
        while state.admission.images and time.monotonic() < end:
            time.sleep(0.01)
        assert state.admission.images == 0
        time.sleep(0.5)
    finally:
        del held._engine.infer
    assert sum(computed) < 40


def test_a_client_that_sends_too_slowly_is_answered_and_cut_off(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SECONDS", 0.3)
    client = serve()
    with socket.create_connection(("127.0.0.1", client.port)) as silent:
        silent.settimeout(10)
        assert silent.recv(100).startswith(b"HTTP/1.1 408 ")
    with socket.create_connection(("127.0.0.1", client.port)) as slow:
        slow.settimeout(10)
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nab")
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def test_large_headers_are_refused(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as one:
        one.settimeout(10)
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: ")
        answer = b""
        try:
            for _ in range(32):
                one.sendall(b"x" * 32 * 1024)
            answer = one.recv(100)
        except OSError:  # The connection was closed meanwhile.
            pass
        assert not answer or answer.startswith(b"HTTP/1.1 431 ")
    assert client.get("/healthz").status == 200


def test_what_a_request_occupies_is_given_back_whatever_happens() -> None:
    shown: list[int] = []
    admission = Admission(max_images=3, max_bytes=10, show=shown.append)
    with pytest.raises(RuntimeError), admission.admitted() as ticket:
        admission.count_bytes(ticket, 8)
        with admission.admitted() as other:
            admission.count_images(ticket, 5)
            assert (admission.images, admission.bytes) == (5, 8)
            with pytest.raises(Refusal, match="5 images wait already"):
                admission.count_images(other, 1)
            with pytest.raises(Refusal, match="5 images wait already"), admission.admitted():
                pass
            with pytest.raises(Refusal):
                admission.count_bytes(ticket, 3)
        raise RuntimeError
    assert (admission.images, admission.bytes, admission.requests) == (0, 0, 0)
    assert shown[-1] == 0


def test_connections_whose_bodies_have_not_arrived_keep_nobody_out(
    serve: Callable[..., Client], trained: Trained
) -> None:
    client = serve(max_waiting=2)
    (data,) = trained.files(1).values()
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", client.port)))
            one.sendall(head)
        assert client.post("/predict", data).status == 200


def test_large_images_wait_for_each_other_and_small_ones_pass() -> None:
    """What waits keeps no thread, and takes its turn when room is freed."""
    decoders = Decoders(DecodeLimits(max_pixels=10_000))
    large, small = (encoded(Image.new("L", size), "PNG") for size in ((100, 90), (10, 10)))
    started = SimpleQueue[tuple[str, Callable[[], None]]]()

    def submit(name: str, data: bytes | None) -> None:
        decoders.submit(lambda free: started.put((name, free)), data)

    for _ in range(20):
        submit("large", large)
    (first, free), (second, free_too) = (started.get(timeout=10) for _ in range(2))
    assert (first, second) == ("large", "large")
    submit("small", small)
    assert started.get(timeout=10)[0] == "small"
    submit("pixels", None)
    assert started.get(timeout=10)[0] == "pixels"
    for release in (free, free_too):
        assert started.empty()
        release()
        assert started.get(timeout=10)[0] == "large"


def test_the_time_of_an_image_is_that_of_all_its_tiles() -> None:
    """The batches before the one that answers it count too."""
    admission, single = (Admission(max_images=3, max_bytes=10) for _ in range(2))
    for _ in range(3):
        admission.learn(0, 2.0)
    admission.learn(2, 2.0)
    single.learn(1, 4.0)
    for one in (admission, single):
        with one.admitted() as ticket:
            one.count_images(ticket, 25)
            assert one.overloaded().headers == {"Retry-After": "10"}
