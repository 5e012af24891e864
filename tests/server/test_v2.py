"""The Open Inference Protocol, as its clients speak it."""

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.server.conftest import Client, Trained

INFER = "/v2/models/colours/infer"


def infer(client: Client, values: Any, binary: bytes = b"") -> Any:
    text = json.dumps(values).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))} if binary else {}
    return client.send("POST", INFER, text + binary, headers)


def encoded(files: list[bytes]) -> dict[str, Any]:
    data = [base64.b64encode(one).decode() for one in files]
    return {"name": "image", "shape": [len(files)], "datatype": "BYTES", "data": data}


def outputs(answer: Any) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return {one["name"]: one for one in answer.json["outputs"]}


def test_it_describes_the_server_and_the_model(client: Client) -> None:
    assert client.get("/v2").json["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    model = client.get("/v2/models/colours").json
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    shapes = {one["name"]: one["shape"] for one in model["outputs"]}
    assert shapes["probabilities"] == [-1, 2]
    (version,) = model["versions"]
    for place in ("", f"/versions/{version}", "/versions/1"):
        assert client.get(f"/v2/models/colours{place}/ready").json["ready"]
    assert client.get("/v2/models/colours/versions/2").status == 404
    assert client.get("/v2/models/other/ready").status == 404


def test_encoded_files_are_classified(client: Client, trained: Trained) -> None:
    files = list(trained.files(4).values())
    answers = trained.predictor.predict(files)
    found = outputs(infer(client, {"id": "7", "inputs": [encoded(files)]}))
    assert found["label"]["data"] == [one.label for one in answers]
    right = [one.probability for one in answers]
    assert found["probability"]["data"] == pytest.approx(right, abs=1e-6)
    assert found["probabilities"]["shape"] == [4, 2]


def test_binary_tensors_are_read_and_written(client: Client, trained: Trained) -> None:
    files = list(trained.files(2).values())
    binary = b"".join(struct.pack("<I", len(one)) + one for one in files)
    tensor = {
        "name": "image",
        "shape": [2],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(binary)},
    }
    wanted = [
        {"name": name, "parameters": {"binary_data": True}} for name in ("label", "probabilities")
    ]
    answer = infer(client, {"inputs": [tensor], "outputs": wanted}, binary)
    size = int(answer.headers["inference-header-content-length"])
    values, rest = json.loads(answer.body[:size]), answer.body[size:]
    labels, rows = (one["parameters"]["binary_data_size"] for one in values["outputs"])
    assert rest[:labels] == b"\x04\0\0\0blue\x03\0\0\0red"
    right = np.array([one.probabilities for one in trained.predictor.predict(files)], "f4")
    assert rows == right.nbytes == len(rest) - labels
    found = np.frombuffer(rest[labels:], "f4").reshape(right.shape)
    assert found == pytest.approx(right, abs=1e-6)


def test_pixels_are_classified(client: Client, trained: Trained) -> None:
    (name,) = trained.files(1)
    with Image.open(trained.photos / "blue" / name.removeprefix("blue-")) as image:
        pixels = np.asarray(image.convert("RGB"))
    tensor = {"name": "image", "shape": [1, *pixels.shape], "datatype": "UINT8"}
    right = trained.predictor.predict(pixels).probability
    in_json = tensor | {"data": pixels.ravel().tolist()}
    binary = tensor | {"parameters": {"binary_data_size": pixels.nbytes}}
    for answer in (
        infer(client, {"inputs": [in_json]}),
        infer(client, {"inputs": [binary]}, pixels.tobytes()),
    ):
        assert outputs(answer)["probability"]["data"] == pytest.approx([right], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "binary", "status", "detail"),
    [
        ({"name": "input"}, b"", 422, "named 'image'"),
        ({"shape": [2]}, b"", 422, "there are 1 files"),
        ({"shape": [0]}, b"", 422, "from 1 to 100"),
        ({"shape": [101]}, b"", 413, "from 1 to 100"),
        ({"shape": [-1]}, b"", 422, "from 1 to 100"),
        ({"datatype": "FP32"}, b"", 422, "BYTES [N]"),
        ({"data": ["not base64!"]}, b"", 422, "Base64"),
        ({"data": [3]}, b"", 422, "Base64"),
        ({"data": None}, b"", 422, "Base64"),
        ({"data": ["QUJD"]}, b"", 422, "Cannot read image 'image 1'"),
        ({"parameters": {"binary_data_size": 9}}, b"1234", 422, "4 bytes follow"),
        ({"parameters": {"binary_data_size": 2}}, b"12", 422, "end within a length"),
        ({"parameters": {"binary_data_size": 5}}, b"\x09\0\0\0x", 422, "end within a file"),
        ({"datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2]}, b"", 422, "whole numbers"),
        ({"datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 300]}, b"", 422, "numbers"),
        ({"datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, -3]}, b"", 422, "numbers"),
        ({"datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [[1], 2]}, b"", 422, "numbers"),
        ({"datatype": "UINT8", "shape": [1, 1, 1, 3], "data": {}}, b"", 422, "numbers"),
        ({"datatype": "UINT8", "shape": [1, 0, 9, 3], "data": []}, b"", 422, "9 x 0 pixels"),
        ({"datatype": "UINT8", "shape": [1, 9**9, 9**9, 3]}, b"", 422, "are not read"),
    ],
)
def test_a_wrong_tensor_is_refused(
    client: Client,
    trained: Trained,
    change: dict[str, Any],
    binary: bytes,
    status: int,
    detail: str,
) -> None:
    (data,) = trained.files(1).values()
    answer = infer(client, {"inputs": [encoded([data]) | change]}, binary)
    assert answer.status == status, answer.body
    assert detail in answer.json["error"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty"),
        (b"{", "not valid"),
        (b"[]", "not valid"),
        (b'{"inputs": []}', "inputs"),
        (b'{"inputs": [{"name": "image"}]}', "shape"),
    ],
)
def test_a_body_that_is_no_request_is_refused(client: Client, body: bytes, detail: str) -> None:
    answer = client.send("POST", INFER, body)
    assert answer.status == 422
    assert detail in answer.json["error"]


def test_an_output_that_there_is_not_is_refused(client: Client, trained: Trained) -> None:
    (data,) = trained.files(1).values()
    answer = infer(client, {"inputs": [encoded([data])], "outputs": [{"name": "logits"}]})
    assert answer.status == 422
    assert "There is no output 'logits'" in answer.json["error"]


def test_errors_have_the_key_of_the_protocol(client: Client) -> None:
    assert client.get("/v2/models/other").json["error"]
