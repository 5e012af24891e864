"""The routes of the studio."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from tests.commands.conftest import QUICK
from tests.conftest import COLOURS, picture, write_blue_and_red
from tests.server.conftest import Client, Response
from tests.server.studio_server import TOKEN, studio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images of two classes, and three without a label."""
    folder = tmp_path_factory.mktemp("studio") / "photos"
    write_blue_and_red(folder, 12)
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
    return bool(found.get("learnt", {}).get("number") == found["number"])


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
    assert state(client)["items"]["1.png"]["labels"] == []


def test_a_page_waits_for_changes(client: Client) -> None:
    """The answer says only what has changed since the page asked last."""
    known = state(client, has_learnt)
    do(client, act="label", labels={"2.png": ["red"]})
    path = f"/studio/state?since={known['number']}&seen={known['version']}"
    assert client.get(path).json["items"] == {"2.png": {"labels": ["red"], "dropped": False}}
    do(client, act="undo")


def test_files_that_are_dropped(client: Client, folder: Path) -> None:
    """They are kept, shown and read; one that is no image is named, and nothing is lost."""
    data = (folder / "red" / "0.png").read_bytes()
    added = client.post("/studio/files?name=<b>x</b>.png&label=red", data).json["image"]
    broken = client.post("/studio/files?name=broken.png", b"no image").json["image"]
    found = state(client, lambda found: broken in found["problems"])
    assert found["items"][added]["labels"] == ["red"]
    small = client.get(f"/studio/thumbnails/{added.replace('<', '%3C').replace('>', '%3E')}")
    assert small.headers["content-type"] == "image/jpeg"
    assert client.get(f"/studio/pictures/{broken}").status == 422
    do(client, act="undo")
    do(client, act="undo")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"act": "paint"}, "nothing that the studio can do"),
        ({"act": "label", "labels": 3}, "nothing that the studio can do"),
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


def test_the_whole_model_is_that_of_train(
    client: Client, folder: Path, cache: Path, tmp_path: Path
) -> None:
    """*Finish* writes what `train` writes for the same labels, and its report can be opened."""
    assert client.get("/studio/report").status == 404
    assert client.post("/studio/finish", b"{}", "application/json").status == 200
    finish = state(client, lambda found: not found["finish"]["running"])["finish"]
    assert not finish["error"]
    alone = hs.train(folder / "studio.csv", out=tmp_path / "run", cache=cache, **QUICK)
    pictures = [folder / f"{index}.png" for index in range(3)]
    assert hs.load(finish["run"]).predict(pictures) == hs.load(alone.run).predict(pictures)
    report = client.get("/studio/report")
    assert b"<html" in report.body
    assert "default-src 'none'" in report.headers["content-security-policy"]


def test_without_two_classes(tmp_path: Path) -> None:
    """Images are suggested before there is a model; it comes with the labels, and goes."""
    for number, colour in enumerate(("blue", "red")):
        for index in range(6):
            name = tmp_path / f"{colour}-{index}.png"
            picture(index + 100 * number, COLOURS[colour]).save(name)
    with studio(tmp_path, tmp_path / ".cache") as client:
        found = state(client, has_learnt)
        assert not found["learnt"]["verdict"]
        assert len(found["learnt"]["next"]) == 12
        labels = {name: [name.partition("-")[0]] for name in found["items"]}
        do(client, act="label", labels=labels)
        assert state(client, has_learnt)["learnt"]["verdict"]
        do(client, act="undo")
        assert not state(client, has_learnt)["learnt"]["verdict"]
