"""A backend of Label Studio, from its first annotation to its predictions."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.errors import OptionError, ServerError
from headstart.server.app import create_app
from headstart.server.label_studio.backend import place_of
from headstart.server.label_studio.routes import UNTRAINED
from headstart.serving_options import ServeOptions
from tests.server.conftest import Client, Trained
from tests.server.label_studio.conftest import (
    FakeLabelStudio,
    annotation,
    connected,
    predict,
    recorded,
    send,
    wait_until,
)

Connect = Callable[..., Client]

SEVERAL = (
    '<View><Image name="image" value="$image"/>'
    '<Choices name="colour" toName="image" choice="multiple">'
    '<Choice value="blue"/><Choice value="red"/><Choice value="bright"/></Choices></View>'
)


def local(label: str, number: int) -> str:
    return f"/data/local-files/?d={label}/{number}.png"


def version(client: Client) -> str:
    return client.get("/versions").json["versions"][0]


def wait_for_model(client: Client, before: str = UNTRAINED) -> None:
    wait_until(lambda: version(client) != before)


def annotate(client: Client, count: int, start: int = 0, config: str | None = None) -> None:
    """Annotate so many images of each colour."""
    for index in range(start, start + count):
        for offset, label in enumerate(("blue", "red")):
            event = annotation(2 * index + offset, local(label, index), label, config=config)
            assert send(client, "/webhook", event).status == 201


def chosen(results: list[dict]) -> list[list[str]]:
    return [
        result["result"][0]["value"]["choices"] if result["result"] else [] for result in results
    ]


def test_annotations_become_a_model_that_predicts(
    connect: Connect, project: Path, photos: Path, cache: Path, logged: list[str]
) -> None:
    """The whole loop: connect, annotate twelve images, predict; then correct and predict again."""
    begin = time.monotonic()
    client = connect(project, label_studio_files=photos, cache=cache)
    health = client.get("/health")
    assert (health.status, health.json["status"]) == (200, "UP")
    setup = send(client, "/setup", recorded("setup"))
    assert (setup.status, setup.json) == (200, {"model_version": UNTRAINED})
    assert predict(client, local("blue", 0)).json == {"results": []}

    annotate(client, 6)
    wait_for_model(client)
    assert time.monotonic() - begin < 30
    answer = predict(client, *(local(label, 10) for label in ("blue", "red")))
    assert answer.status == 200
    results = answer.json["results"]
    assert chosen(results) == [["blue"], ["red"]]
    for result in results:
        (choice,) = result["result"]
        assert choice["from_name"] == "colour"
        assert choice["to_name"] == "image"
        assert choice["type"] == "choices"
        assert 0.5 <= choice["score"] == result["score"] <= 1
        assert result["model_version"] == version(client)
    assert send(client, "/setup", recorded("setup")).json == {"model_version": version(client)}
    assert any("Trained on 12 annotated images in" in line for line in logged)

    before = version(client)
    annotate(client, 3, start=6)
    wait_for_model(client, before)
    assert any("Before: 100.0% correct on" in line for line in logged)
    # The page and the API are as they are without Label Studio.
    assert (
        client.post("/predict", (photos / "red" / "11.png").read_bytes()).json[0]["label"] == "red"
    )
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/models").json[0]["name"] == "colours"
    assert {"/predict", "/webhook"} <= client.get("/openapi.json").json["paths"].keys()


def test_annotations_survive_and_are_trained_on_by_the_next_server(
    project: Path, photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.server.label_studio import trainer

    options = {"label_studio_files": photos, "cache": cache}
    with monkeypatch.context() as patch, connected(project, **options) as client:
        patch.setattr(trainer, "PAUSE", 60.0)
        time.sleep(0.5)
        client.app.state.label_studio.trainer.ask = lambda **_: None  # It never gets to train.
        annotate(client, 6)
    assert not (project / "run").exists()
    with connected(project, **options) as client:
        wait_for_model(client)
        first = version(client)
    trained = (project / "trained.json").stat().st_mtime_ns
    with connected(project, **options) as client:
        assert version(client) == first  # It is served at once, and not trained again.
        time.sleep(0.5)
    assert (project / "trained.json").stat().st_mtime_ns == trained


def test_several_labels_per_image(
    connect: Connect, project: Path, photos: Path, cache: Path
) -> None:
    client = connect(project, label_studio_files=photos, cache=cache)
    for index in range(10):
        for offset, labels in enumerate((("blue", "bright"), ())):
            image = local(("blue", "red")[offset], index)
            event = annotation(2 * index + offset, image, *labels, config=SEVERAL)
            if not labels:
                event["annotation"]["result"] = []
            assert send(client, "/webhook", event).status == 201
    wait_for_model(client)
    assert client.get("/models").json[0]["classes"] == ["blue", "bright"]
    results = predict(client, local("blue", 12), local("red", 12), config=SEVERAL).json["results"]
    assert [sorted(names) for names in chosen(results)] == [["blue", "bright"], []]
    assert all(0 <= result["score"] <= 1 for result in results)


def test_a_model_without_a_project_predicts(
    connect: Connect, trained: Trained, photos: Path, logged: list[str]
) -> None:
    client = connect(trained.run, label_studio_files=photos, cache=trained.cache)
    assert chosen(predict(client, local("red", 1)).json["results"]) == [["red"]]
    answer = send(client, "/webhook", annotation(1, local("red", 1), "red"))
    assert answer.json == {"status": "ignored"}
    assert send(client, "/train", recorded("train")).json == {"status": "ignored"}
    assert not any("Trained" in line for line in logged)


def test_choices_and_classes_that_do_not_match_are_said_once_and_left_out(
    connect: Connect, trained: Trained, photos: Path, logged: list[str]
) -> None:
    client = connect(trained.run, label_studio_files=photos, cache=trained.cache)
    config = recorded("setup")["schema"].replace('"red"', '"green"')
    for _ in range(2):
        answer = predict(client, local("blue", 1), local("red", 1), config=config)
        results = answer.json["results"]
        assert chosen(results) == [["blue"], []]
        assert results[1]["score"] == 0
    assert logged.count("Classes that are not choices, never predicted: red") == 1
    assert logged.count("Choices that the model does not know: green") == 1


def test_images_that_cannot_be_had_are_said_and_the_others_predicted(
    connect: Connect, trained: Trained, photos: Path, logged: list[str]
) -> None:
    client = connect(trained.run, label_studio_files=photos, cache=trained.cache)
    names = [
        local("blue", 1),
        "http://other.example/x.png?token=secret",
        "../../etc/passwd",
        local("red", 1),
    ]
    body = recorded("predict")
    body["tasks"] = [
        *({"id": 101 + number, "data": {"image": name}} for number, name in enumerate(names)),
        {"id": 105, "data": {"picture": local("red", 1)}},
        {"id": 106, "data": {"image": f"data:;base64,{base64.b64encode(b'no image').decode()}"}},
    ]
    results = send(client, "/predict", body).json["results"]
    assert chosen(results) == [["blue"], [], [], ["red"], [], []]
    said = [line for line in logged if line.startswith("Task ")]
    assert len(said) == 4
    assert "Task 102: image 'http://other.example/x.png': only files in" in "\n".join(said)
    assert "secret" not in "\n".join(said)
    assert any(
        line.startswith("Task 105: image '': its data have no text 'image'") for line in said
    )
    assert any(line.startswith("Task 106: image 'data URL': ") for line in said)


def test_images_are_downloaded_to_train_and_to_predict(
    connect: Connect, project: Path, photos: Path, cache: Path, label_studio: FakeLabelStudio
) -> None:
    for label in ("blue", "red"):
        for number in range(8):
            content = (photos / label / f"{number}.png").read_bytes()
            label_studio.answers[f"/data/upload/3/{label}-{number}.png"] = content
    client = connect(project, cache=cache)
    number = 0
    for label in ("blue", "red"):
        for index in range(5):
            number += 1
            name = f"/data/upload/3/{label}-{index}.png"
            send(client, "/webhook", annotation(number, name, label))
    wait_for_model(client)
    assert len(list((project / "images").iterdir())) == 10
    results = predict(client, "/data/upload/3/red-7.png").json["results"]
    assert chosen(results) == [["red"]]
    assert len(list((project / "images").iterdir())) == 10


def test_earlier_annotations_are_loaded_when_a_training_is_asked_for(
    connect: Connect, project: Path, photos: Path, cache: Path, label_studio: FakeLabelStudio
) -> None:
    tasks = []
    for number in range(10):
        (task,) = json.loads(json.dumps(recorded("train")["annotations"]))
        label = ("blue", "red")[number % 2]
        task["id"] = task["annotations"][0]["id"] = number
        task["data"]["image"] = local(label, number // 2)
        task["annotations"][0]["result"][0]["value"]["choices"] = [label]
        tasks.append(task)
    label_studio.answers["/api/projects/3/export?exportType=JSON"] = json.dumps(tasks).encode()
    client = connect(project, label_studio_files=photos, cache=cache)
    assert send(client, "/webhook", recorded("start_training")).status == 201
    wait_for_model(client)


def test_tasks_with_annotations_are_trained_on(
    connect: Connect, project: Path, photos: Path, cache: Path
) -> None:
    client = connect(project, label_studio_files=photos, cache=cache)
    assert send(client, "/train", recorded("train")).status == 201
    journal = client.app.state.label_studio.project.journal
    (one,) = journal.labelled()
    assert (one.task, one.labels, one.image) == (101, ("blue",), local("blue", 0))


def test_annotations_are_changed_and_deleted(
    connect: Connect, project: Path, photos: Path, cache: Path
) -> None:
    client = connect(project, label_studio_files=photos, cache=cache)
    journal = client.app.state.label_studio.project.journal

    def labels() -> dict[object, tuple[str, ...]]:
        return {one.task: one.labels for one in journal.labelled()}

    for name in ("annotation_created", "annotation_updated"):
        assert send(client, "/webhook", recorded(name)).json == {"status": "ok"}
    assert labels() == {101: ("red",)}
    send(client, "/webhook", recorded("annotations_created"))
    assert labels() == {101: ("blue",), 102: ("blue",)}
    send(client, "/webhook", recorded("annotations_deleted"))
    assert labels() == {102: ("blue",)}
    send(client, "/webhook", annotation(17, local("blue", 0), "blue"))
    skipped = annotation(17, local("blue", 0), "blue", name="updated")
    skipped["annotation"]["was_cancelled"] = True
    send(client, "/webhook", skipped)
    assert labels() == {102: ("blue",)}
    deleted = recorded("tasks_deleted")
    deleted["tasks"][0]["id"] = 102
    send(client, "/webhook", deleted)
    assert labels() == {}
    for event in (recorded("project_updated"), {"action": "PROJECT_DELETED"}):
        assert send(client, "/webhook", event).json == {"status": "ignored"}


def test_another_project_is_refused(
    connect: Connect, project: Path, photos: Path, cache: Path
) -> None:
    client = connect(project, label_studio_files=photos, cache=cache)
    send(client, "/webhook", recorded("annotation_created"))
    event = annotation(2, local("red", 1), "red")
    event["project"]["id"] = 4
    answer = send(client, "/webhook", event)
    assert answer.status == 409
    assert "has the annotations of project 3" in answer.json["detail"]
    body = recorded("setup")
    body["project"] = "4.1741075950"
    assert send(client, "/setup", body).status == 409


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", b"[]"),
        ("/predict", b"{"),
        ("/predict", b'{"tasks": [{"id": [1]}], "label_config": ""}'),
        ("/setup", b"{}"),
        ("/setup", b'{"schema": "<!DOCTYPE a><a/>"}'),
        ("/webhook", b"{}"),
        ("/webhook", b'{"action": "ANNOTATION_CREATED", "annotation": {"id": 1}}'),
        ("/train", b'{"annotations": 1}'),
        ("/train", b"[" * 100_000),
    ],
)
def test_what_label_studio_does_not_send_is_refused(
    connect: Connect, project: Path, cache: Path, path: str, body: bytes
) -> None:
    client = connect(project, cache=cache)
    answer = client.post(path, body, "application/json")
    assert answer.status == 422
    assert answer.json["detail"]


def test_the_limits_of_the_server_hold(connect: Connect, trained: Trained, photos: Path) -> None:
    client = connect(
        trained.run, label_studio_files=photos, cache=trained.cache, max_request_mb=1, timeout=1e-6
    )
    assert client.post("/predict", bytes(1_100_000), "application/json").status == 413
    assert predict(client, local("blue", 0)).status == 504


def test_annotations_are_kept_when_predictions_are_refused(
    connect: Connect, project: Path, photos: Path, cache: Path
) -> None:
    client = connect(project, label_studio_files=photos, cache=cache)
    client.app.state.headstart.admission.images = 1000
    assert predict(client, local("blue", 0)).status == 503
    assert send(client, "/webhook", recorded("annotation_created")).status == 201
    assert send(client, "/setup", recorded("setup")).status == 200


def test_a_full_disk_is_said_to_label_studio(
    connect: Connect,
    project: Path,
    photos: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[str],
) -> None:
    client = connect(project, label_studio_files=photos, cache=cache)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    answer = send(client, "/webhook", recorded("annotation_created"))
    assert answer.status == 507
    assert "No space left on device" in answer.json["detail"]
    assert answer.json["detail"] in logged


def test_more_tasks_than_fit_at_a_time(connect: Connect, trained: Trained, photos: Path) -> None:
    """Predictions are those of the model; nothing is chosen for images that it does not know."""
    client = connect(trained.run, label_studio_files=photos, cache=trained.cache)
    places = [(("blue", "red")[number % 2], number % 12) for number in range(70)]
    results = predict(client, *(local(*place) for place in places)).json["results"]
    answers = trained.predictor.predict([photos / label / f"{n}.png" for label, n in places])
    assert {bool(answer.unknown) for answer in answers} == {True, False}
    assert chosen(results) == [[] if one.unknown else [one.label] for one in answers]
    assert [result["score"] for result in results] == pytest.approx(
        [0.0 if one.unknown else one.probability for one in answers], abs=1e-6
    )
    assert client.app.state.headstart.admission.bytes == 0
    assert client.app.state.headstart.admission.images == 0


def test_the_key_is_the_password_that_label_studio_sends(
    connect: Connect, trained: Trained, photos: Path
) -> None:
    key = "a key that is long"
    client = connect(trained.run, key=key, label_studio_files=photos, cache=trained.cache)
    assert client.get("/health").status == 401
    for pair, status in ((f"any:{key}", 200), (f"{key}:any", 401), ("any", 401)):
        token = base64.b64encode(pair.encode()).decode()
        assert client.get("/health", Authorization=f"Basic {token}").status == status
    assert client.get("/health", Authorization="Basic %%%").status == 401


def refused(folder: Path, **options: object) -> str:
    values = ServeOptions.of(label_studio=True, **options)
    with pytest.raises((ServerError, OptionError)) as error:
        create_app((place_of([str(folder)]),), values)
    return str(error.value)


def test_what_cannot_be_a_project_is_refused(tmp_path: Path, photos: Path, project: Path) -> None:
    assert "neither a model nor a folder of annotations" in refused(photos)
    (tmp_path / "file").write_text("")
    assert "neither a model" in refused(tmp_path / "file")
    assert "is not a folder" in refused(tmp_path / "new", label_studio_files=tmp_path / "none")
    for text, said in (
        ('{"backbon": "resnet50"}', "Did you mean 'backbone'"),
        ('{"out": "x"}', "must not have 'out', which the server decides"),
        ("{", "cannot be read"),
        ("[]", "one JSON object"),
    ):
        (project / "options.json").write_text(text)
        assert said in refused(project)
    with pytest.raises(ServerError, match="name one model, or one folder"):
        place_of(["a", "b"])


def test_a_folder_in_use_is_refused(connect: Connect, project: Path, cache: Path) -> None:
    connect(project, cache=cache)
    assert "Another server uses" in refused(project, cache=cache)


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(OptionError, match="label_studio_files has no effect"):
        ServeOptions.of(label_studio_files=Path())
    with pytest.raises(OptionError, match="workers must be 1"):
        ServeOptions.of(label_studio=True, workers=2)
