"""A server of a detector answers with the boxes of `headstart predict`."""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.dataset as ds
import pytest
from PIL import Image

from headstart.errors import ServerError
from headstart.server.app import create_app
from headstart.server.models import Place
from headstart.serving_options import ServeOptions
from tests.detection.scenes import scene
from tests.server.conftest import Client, Trained, serving
from tests.server.detecting import Detecting, encoded, files
from tests.server.test_prediction import same

_ORIENTATION = 0x0112
_TURNED = 6
INFER = "/v2/models/scenes/infer"


@pytest.fixture(scope="module")
def finder(detecting: Detecting) -> Iterator[Client]:
    with serving(detecting.model, cache=detecting.cache) as one:
        yield one


@pytest.fixture(scope="module")
def cutting(tmp_path_factory: pytest.TempPathFactory) -> Detecting:
    """A detector that cuts images into tiles."""
    return Detecting.at(tmp_path_factory.mktemp("cutting"), tiles=100)


def free(client: Client) -> int:
    """Return the room that is left for decoded images."""
    return client.app.state.headstart.models.get(None)._decoders._free


def expected(detecting: Detecting, sent: dict[str, bytes]) -> list[Any]:
    """Return what the detector answers in process, with the names of the files."""
    answers = detecting.detector.predict(list(sent.values()))
    return [one.to_json() | {"image": name} for one, name in zip(answers, sent, strict=True)]


def test_boxes_are_those_of_predict(finder: Client, detecting: Detecting) -> None:
    """A form with files is answered as the detector answers, in pixels of each image."""
    sent = files(4) | {"tall.png": encoded(scene(7, size=(60, 200)).image)}
    answer = finder.post_files("/predict", sent)
    assert answer.status == 200
    assert answer.headers["x-model-version"] == finder.get("/models").json[0]["version"]
    assert same(answer.json, expected(detecting, sent))
    assert all(one["boxes"] for one in answer.json)


def test_boxes_of_a_large_photo_are_in_its_own_pixels(finder: Client, detecting: Detecting) -> None:
    """Although it is decoded at a fraction of its size."""
    large = scene(0, size=(150, 90)).image.resize((1500, 900))
    sent = {"large.jpg": encoded(large, "JPEG")}
    answer = finder.post_files("/predict", sent).json
    assert same(answer, expected(detecting, sent))
    assert max(box["box"][2] for box in answer[0]["boxes"]) > 1000


def test_boxes_are_in_the_image_as_it_is_seen(finder: Client) -> None:
    """A photo that is stored on its side has the boxes of the upright one."""
    upright = scene(2, size=(90, 150)).image
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    sent = {"a": encoded(upright), "b": encoded(turned, exif=exif)}
    seen, turned_back = finder.post_files("/predict", sent).json
    assert seen["boxes"]
    assert turned_back["boxes"] == seen["boxes"]


def test_an_image_without_objects_has_no_boxes(detecting: Detecting, tmp_path: Any) -> None:
    strict = Detecting.at(tmp_path, threshold=1.0)
    with serving(strict.model, cache=detecting.cache) as client:
        (data,) = files(1).values()
        assert client.post("/predict?name=a", data).json == [{"image": "a", "boxes": []}]


def test_many_clients_at_once_each_get_their_own_boxes(
    finder: Client, detecting: Detecting
) -> None:
    sent = files(20)
    found: dict[str, Any] = {}

    def ask(name: str) -> None:
        found[name] = finder.post(f"/predict?name={name}", sent[name]).json[0]

    threads = [threading.Thread(target=ask, args=(name,)) for name in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same([found[name] for name in sent], expected(detecting, sent))


def test_an_unreadable_file_among_others_has_an_error_in_its_place(finder: Client) -> None:
    answer = finder.post_files("/predict", {"notes.txt": b"Not an image.", **files(1)})
    assert answer.status == 200
    assert answer.json[0]["error"] == "it is not an image of a known format"
    assert "boxes" in answer.json[1]


@pytest.mark.parametrize(
    "option",
    ["top=5", "coverage=0.9", "set_method=aps", "max_error=0.1", "nearest=3", "explain=true"],
)
def test_an_option_for_labels_is_refused(finder: Client, option: str) -> None:
    (data,) = files(1).values()
    answer = finder.post(f"/predict?{option}", data)
    name = option.partition("=")[0]
    assert answer.status == 422
    assert answer.json["detail"] == (
        f"'{name}' is for classifiers, and this model is a detector. Leave it out."
    )


def test_it_says_what_it_is(finder: Client) -> None:
    model = finder.get("/models").json[0]
    assert (model["task"], model["classes"]) == ("boxes", ["disc", "square"])
    assert (model["image_size"], model["operating_point"]) == (64, "f1")
    assert not any(model["can"].values())
    assert finder.get("/models/scenes").json["card"]


def test_the_inference_protocol_has_the_boxes_as_json(finder: Client, detecting: Detecting) -> None:
    """An output of text, with the list of boxes of each image: of files, and of pixels."""
    outputs = [{"name": "boxes", "datatype": "BYTES", "shape": [-1]}]
    assert finder.get("/v2/models/scenes").json["outputs"] == outputs
    sent = files(2)
    wanted = [one["boxes"] for one in expected(detecting, sent)]
    data = [base64.b64encode(one).decode() for one in sent.values()]
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": data}
    pixels = np.stack([np.asarray(scene(seed, size=(150, 90)).image) for seed in range(2)])
    values = {"name": "image", "shape": pixels.shape, "datatype": "UINT8"}
    for given in (tensor, values | {"data": pixels.ravel().tolist()}):
        answer = finder.send("POST", INFER, json.dumps({"inputs": [given]}))
        (output,) = answer.json["outputs"]
        assert (output["name"], output["shape"]) == ("boxes", [2])
        assert same([json.loads(text) for text in output["data"]], wanted)


def test_the_inference_protocol_writes_boxes_as_binary_data(finder: Client) -> None:
    (data,) = files(1).values()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    inputs = [tensor | {"data": [base64.b64encode(data).decode()]}]
    asked = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    answer = finder.send("POST", INFER, json.dumps(asked))
    rest = answer.body[int(answer.headers["inference-header-content-length"]) :]
    assert struct.unpack("<I", rest[:4])[0] == len(rest) - 4
    assert json.loads(rest[4:]) == finder.post("/predict", data).json[0]["boxes"]


def test_the_labels_of_boxes_are_logged(detecting: Detecting, tmp_path: Any) -> None:
    """With the highest probability of a box, whether or not it is shown."""
    sent = files(3)
    with serving(detecting.model, cache=detecting.cache, log=tmp_path / "log") as client:
        answers = client.post_files("/predict", sent).json
    (file,) = (tmp_path / "log").rglob("*.parquet")
    table = ds.dataset(file).to_table()
    boxes = [one["boxes"] for one in answers]
    assert table["answer"].to_pylist() == ["|".join(box["label"] for box in one) for one in boxes]
    highest = [one[0]["probability"] for one in boxes]
    assert table["probability"].to_pylist() == pytest.approx(highest)
    assert table["unknown"].to_pylist() == [None] * 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"label_studio": True}, "--label-studio proposes labels of whole images"),
        ({"log_features": True}, "--log-features logs the features of classifiers"),
    ],
)
def test_what_is_not_for_detectors_is_an_error_at_the_start(
    detecting: Detecting, tmp_path: Any, options: dict[str, Any], reason: str
) -> None:
    log = {"log": tmp_path} if "log_features" in options else {}
    values = ServeOptions.of(cache=detecting.cache, **options, **log)
    app = create_app((Place.parse(str(detecting.model)),), values)
    with pytest.raises(ServerError) as raised:
        app.state.headstart.models.load_all()
    assert str(raised.value) == (
        f"{reason}, but '{detecting.model}' is a detector of boxes. Serve it without this option."
    )


def test_a_detector_is_served_beside_a_classifier(detecting: Detecting, trained: Trained) -> None:
    """Each of them takes its own options."""
    (data,) = files(1).values()
    with serving(detecting.model, trained.run, cache=trained.cache) as client:
        assert "boxes" in client.post("/predict?model=scenes", data).json[0]
        assert "label" in client.post("/predict?model=colours&top=1", data).json[0]
        assert client.post("/predict?model=scenes&top=1", data).status == 422


def test_a_detector_that_cuts_images_answers_as_it_predicts(cutting: Detecting) -> None:
    """Files of one and of many tiles, turned and at reduced scale, together and as tensors."""
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED
    large = scene(3, size=(150, 90)).image.resize((1501, 907))
    sent = {
        "small.png": encoded(scene(0, size=(90, 70)).image),
        "wide.png": encoded(scene(1, size=(400, 90)).image),
        "large.jpg": encoded(large, "JPEG"),
        "turned.jpg": encoded(large, "JPEG", exif=exif),
        "notes.txt": b"Not an image.",
        "tall.png": encoded(scene(2, size=(110, 333)).image),
    }
    readable = {name: data for name, data in sent.items() if name != "notes.txt"}
    wanted = expected(cutting, readable)
    with serving(cutting.model, cache=cutting.cache) as client:
        before = free(client)
        answers = client.post_files("/predict", sent).json
        assert answers.pop(4)["error"] == "it is not an image of a known format"
        assert same(answers, wanted)
        assert same(client.post("/predict?name=wide.png", sent["wide.png"]).json, wanted[1:2])
        pixels = np.asarray(scene(1, size=(400, 90)).image)[None]
        tensor = {"name": "image", "shape": pixels.shape, "datatype": "UINT8"}
        inputs = [tensor | {"data": pixels.ravel().tolist()}]
        (output,) = client.send("POST", INFER, json.dumps({"inputs": inputs})).json["outputs"]
        assert same(json.loads(output["data"][0]), wanted[1]["boxes"])
        assert free(client) == before
    assert max(len(one["boxes"]) for one in wanted) > 20


def test_many_clients_of_a_detector_that_cuts_images_get_their_own_boxes(
    cutting: Detecting,
) -> None:
    sent = files(12, size=(333, 210))
    found: dict[str, Any] = {}
    with serving(cutting.model, cache=cutting.cache) as client:

        def ask(name: str) -> None:
            found[name] = client.post(f"/predict?name={name}", sent[name]).json[0]

        threads = [threading.Thread(target=ask, args=(name,)) for name in sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert same([found[name] for name in sent], expected(cutting, sent))


def test_a_large_image_does_not_hold_up_a_small_one(cutting: Detecting) -> None:
    """Tiles take turns with other images; the answer of the large one comes last."""
    (small,), (large,) = files(1).values(), files(1, size=(2000, 1500)).values()
    ended: list[str] = []
    with serving(cutting.model, cache=cutting.cache) as client:
        held = client.app.state.headstart.models.get(None)
        infer, begun = held._engine.infer, threading.Event()
        before, left = free(client), list[int]()

        def slow(batch: Any) -> Any:
            begun.set()
            left.append(free(client))
            time.sleep(0.01)
            return infer(batch)

        def ask(name: str, data: bytes) -> None:
            assert client.post("/predict", data).status == 200
            ended.append(name)

        with patch.object(held._engine, "infer", slow):
            first = threading.Thread(target=ask, args=("large", large))
            first.start()
            assert begun.wait(10)
            ask("small", small)
            first.join()
    assert ended == ["small", "large"]
    assert max(left) < before


def test_tiles_that_nobody_waits_for_are_not_computed(cutting: Detecting) -> None:
    """After a request has taken too long, what it occupied is free again."""
    (large,) = files(1, size=(2000, 1500)).values()
    computed: list[int] = []
    with serving(cutting.model, cache=cutting.cache, timeout=1) as client:
        held, before = client.app.state.headstart.models.get(None), free(client)
        infer = held._engine.infer

        def slow(batch: Any) -> Any:
            computed.append(len(batch))
            time.sleep(0.2)
            return infer(batch)

        with patch.object(held._engine, "infer", slow):
            assert client.post("/predict", large).status == 504
            assert free(client) == before
            time.sleep(0.5)
            count = len(computed)
            time.sleep(0.5)
            assert len(computed) == count
        (small,) = files(1).values()
        assert client.post("/predict", small).status == 200


def test_a_tile_that_fails_ends_its_image_only(cutting: Detecting) -> None:
    """With one answer, although the tiles of several batches fail."""
    (large,), (small,) = files(1, size=(900, 900)).values(), files(1).values()
    with serving(cutting.model, cache=cutting.cache) as client:
        held, before = client.app.state.headstart.models.get(None), free(client)

        def failing(_: Any) -> Any:
            raise RuntimeError("the device was lost")

        with patch.object(held._engine, "infer", failing):
            assert client.post("/predict", large).status == 500
        assert free(client) == before
        assert client.post("/predict", small).status == 200
