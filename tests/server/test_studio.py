"""The routes of the studio."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.errors import DataError, ProjectError
from headstart.server.studio.jobs import Jobs
from headstart.watching import Watcher
from tests.commands.conftest import QUICK
from tests.conftest import COLOURS, picture, write_blue_and_red
from tests.server.conftest import Client, Response
from tests.server.studio_server import TOKEN, studio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images of two classes, and three without a label."""
    folder = tmp_path_factory.mktemp("studio") / "photos"
    write_blue_and_red(folder, 16)
    for index in range(3):
        picture(index + 500, COLOURS["red"]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def client(folder: Path, cache: Path) -> Iterator[Client]:
    """Return a client of the studio on that folder."""
    with studio(folder, cache) as client:
        yield client


def do(client: Client, **row: Any) -> Response:
    """Send an act."""
    return client.post("/studio/acts", json.dumps(row).encode(), "application/json")


def state(client: Client, until: Callable[[Any], bool] = lambda _: True) -> Any:
    """Return the state of the studio, as soon as a condition holds."""
    end = time.monotonic() + 60
    while not until(found := client.get("/studio/state").json):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def has_learnt(found: Any) -> bool:
    """Return whether a model has seen all labels."""
    return bool(found.get("learnt", {}).get("lesson") == found["lesson"])


def test_a_model_learns_from_the_labels(client: Client) -> None:
    """Images without a label are guessed and suggested; a label is answered with a new model."""
    before = state(client, has_learnt)
    assert set(before["learnt"]["guesses"]) == {"0.png", "1.png", "2.png"}
    assert set(before["learnt"]["next"]) == {"0.png", "1.png", "2.png"}
    assert "correct" in before["learnt"]["verdict"]
    assert do(client, act="label", labels={"1.png": ["red"]}).status == 200
    after = state(client, has_learnt)
    assert set(after["learnt"]["guesses"]) == {"0.png", "2.png"}
    assert do(client, act="undo").json == {"number": after["number"] + 1}
    assert state(client)["items"]["1.png"]["labels"] is None


def test_a_page_waits_for_changes(client: Client) -> None:
    """The answer says only what has changed since the page asked last."""
    known = state(client, has_learnt)
    do(client, act="label", labels={"2.png": ["red"]})
    path = f"/studio/state?since={known['number']}&seen={known['version']}"
    path += f"&learnt={known['learnt']['version']}"
    found = client.get(path).json
    assert list(found["items"]) == ["2.png"]
    assert found["items"]["2.png"]["labels"] == ["red"]
    do(client, act="undo")


def test_files_that_are_dropped(client: Client, folder: Path) -> None:
    """They are kept, shown and read; one that is no image is named, and nothing is lost."""
    data = (folder / "red" / "0.png").read_bytes()
    (added,) = client.post("/studio/files?name=<b>x</b>.png&label=red", data).json["images"]
    (broken,) = client.post("/studio/files?name=broken.png", b"no image").json["images"]
    found = state(client, lambda found: broken in found["problems"])
    assert found["items"][added]["labels"] == ["red"]
    small = client.get(f"/studio/thumbnails/{added.replace('<', '%3C').replace('>', '%3E')}")
    assert small.headers["content-type"] == "image/jpeg"
    assert client.get(f"/studio/pictures/{broken}").status == 422
    refused = client.post("/studio/files?name=notes.txt", b"text")
    assert refused.json["detail"] == "'notes.txt' is not an image."
    do(client, act="drop", images=[added, broken])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"act": "paint"}, "does not know this action"),
        ({"act": "label", "labels": 3}, "does not know this action"),
        ({"act": "add", "found": [{"image": "x.png"}]}, "does not know this action"),
        ({"act": "add_class", "name": "red"}, "There is a class 'red' already"),
        ({"act": "drop", "images": ["x.png"], "dropped": True}, "'x.png' is not in the project"),
    ],
)
def test_what_is_impossible(client: Client, row: dict[str, Any], message: str) -> None:
    """The answer says why, and nothing has changed."""
    number = state(client)["number"]
    refused = do(client, **row)
    assert refused.status == 422
    assert message in refused.json["detail"]
    assert state(client)["number"] == number


def test_who_may_use_it(client: Client) -> None:
    """The token of this start is needed, and pages of others are refused."""
    stranger = Client(client.port)
    assert stranger.get("/studio/state").status == 403
    assert stranger.get("/?token=wrong").status == 403
    opened = stranger.get(f"/?token={TOKEN}")
    assert opened.status == 303
    assert f"headstart-studio-0={TOKEN}; HttpOnly" in opened.headers["set-cookie"]
    assert client.get("/studio/state", Origin="http://evil.example").status == 403
    assert client.get("/studio/state", Host="evil.example").status == 403


@pytest.mark.parametrize("path", ["../../etc/passwd", "%2e%2e/secret.png", ".studio/journal.jsonl"])
def test_paths_outside_the_project(client: Client, path: str) -> None:
    """Only images of the project are sent."""
    assert client.get(f"/studio/pictures/{path}").status in (404, 422)


def job(client: Client, path: str, **row: Any) -> Any:
    """Start some work, wait for its end, and return the state."""
    assert client.post(path, json.dumps(row).encode(), "application/json").status == 200
    return state(client, lambda found: not found["job"]["running"])


def test_the_whole_model_is_that_of_train(
    client: Client, folder: Path, cache: Path, tmp_path: Path
) -> None:
    """*Finish* writes what `train` writes for the same labels, to the bit; then it is exported."""
    assert client.get("/studio/report").status == 404
    refused = client.post("/studio/export", b'{"format": "onnx"}', "application/json")
    assert "no trained model yet" in refused.json["detail"]
    found = job(client, "/studio/finish")
    assert not found["job"]["error"]
    assert found["finished"]["lesson"] == found["lesson"]
    run = Path(found["finished"]["run"])
    options = {**QUICK, "deterministic": True}
    alone = hs.train(folder / "studio.csv", out=tmp_path / "run", cache=cache, **options)
    for name in ("model.safetensors", "config.json", "README.md"):
        files = [folder / "bundle" / name for folder in (run, alone.run)]
        assert files[0].read_bytes() == files[1].read_bytes()
    report = client.get("/studio/report")
    assert b"<html" in report.body
    assert "default-src 'none'" in report.headers["content-security-policy"]
    exported = job(client, "/studio/export", format="onnx")["job"]
    assert not exported["error"]
    assert exported["result"]["images"] > 0
    for name, member in (("model", "bundle/model.safetensors"), ("export", "model.onnx")):
        archive = client.get(f"/studio/archives/{name}")
        assert member in zipfile.ZipFile(io.BytesIO(archive.body)).namelist()
    assert client.get("/studio/archives/images").status == 422


def test_the_full_head(client: Client) -> None:
    """It is measured on folds; the model of the page is then this one."""
    found = job(client, "/studio/train")
    assert not found["job"]["error"]
    assert found["study"]["lesson"] == found["lesson"]
    assert "correct" in found["study"]["verdict"]
    assert found["study"]["advice"]


def test_what_the_model_takes_an_image_for(client: Client, folder: Path) -> None:
    """An image is answered and not kept; its heat map comes with the images most like it."""
    before = state(client, has_learnt)
    data = (folder / "red" / "0.png").read_bytes()
    answer = client.post("/studio/look", data).json
    assert answer["label"] == "red"
    assert client.post("/studio/look", b"no image").status == 422
    assert len(state(client)["items"]) == len(before["items"])
    why = client.get("/studio/explanations/0.png").json
    assert why["picture"].startswith("data:image/jpeg;base64,")
    assert why["nearest"]
    assert "0.png" not in why["nearest"]
    assert client.get("/studio/sizes/0.png").json == {"width": 64, "height": 64}


def test_work_is_paused_and_cancelled() -> None:
    """It stops at the next step, is the only one, and what has failed is said."""
    jobs = Jobs(lambda: None)
    steps = list[int]()

    def work(watcher: Watcher) -> dict[str, Any]:
        with watcher.stage("Counting") as advance:
            for number in range(1000):
                steps.append(number)
                advance(number, 1000)
                time.sleep(0.001)
        return {"counted": len(steps)}

    def ended() -> bool:
        end = time.monotonic() + 30
        while jobs.state.running and time.monotonic() < end:
            time.sleep(0.005)
        return not jobs.state.running

    jobs.start("count", work)
    with pytest.raises(ProjectError, match="busy"):
        jobs.start("count", work)
    jobs.pause(paused=True)
    time.sleep(0.05)
    seen = len(steps)
    time.sleep(0.05)
    assert len(steps) == seen
    assert jobs.state.paused
    assert jobs.state.stage == "Counting"
    jobs.cancel()
    assert ended()
    assert jobs.state.result is None
    assert jobs.state.error == "Cancelled."
    jobs.start("count", lambda watcher: {"counted": 1})
    assert ended()
    assert jobs.state.result == {"counted": 1}

    def fail(watcher: Watcher) -> dict[str, Any]:
        raise DataError("No images.")

    jobs.start("count", fail)
    assert ended()
    assert jobs.state.error == "No images."


def test_boxes_are_trained_on(tmp_path: Path) -> None:
    """Boxes are drawn, there is no live probe, and *Finish* is refused without images enough."""
    for index in range(2):
        picture(index, COLOURS["red"]).save(tmp_path / f"{index}.png")
    with studio(tmp_path, tmp_path / ".cache") as client:
        assert do(client, act="set_kind", kind="boxes").status == 200
        box = {"label": "car", "x1": 1, "y1": 2, "x2": 30, "y2": 40}
        assert do(client, act="draw", image="0.png", boxes=[box]).status == 200
        found = state(client, has_learnt)
        assert found["items"]["0.png"]["boxes"] == [box]
        assert not found["learnt"]["verdict"]
        assert found["learnt"]["next"] == ["1.png"]
        assert client.post("/studio/train", b"", "application/json").status == 422
        assert job(client, "/studio/finish")["job"]["error"]


def test_without_two_classes(tmp_path: Path) -> None:
    """Images are suggested before there is a model; it comes with the labels, and goes."""
    for number, colour in enumerate(("blue", "red")):
        for index in range(6):
            name = tmp_path / f"{colour}-{index}.png"
            picture(index + 100 * number, COLOURS[colour]).save(name)
    with studio(tmp_path, tmp_path / ".cache") as client:
        found = state(client, has_learnt)
        assert not found["learnt"]["verdict"]
        assert client.post("/studio/look", b"").status == 422
        assert len(found["learnt"]["next"]) == 12
        labels = {name: [name.partition("-")[0]] for name in found["items"]}
        do(client, act="label", labels=labels)
        assert state(client, has_learnt)["learnt"]["verdict"]
        do(client, act="undo")
        assert not state(client, has_learnt)["learnt"]["verdict"]
