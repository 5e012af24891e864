"""The answers of a server are those of the model in process, whatever the form of the request."""

import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server.conftest import Client, Trained


def expected(trained: Trained, files: dict[str, bytes], **options: object) -> list[object]:
    """Return what the model answers in process, with the names of the files."""
    answers = trained.predictor.predict(list(files.values()), **options)
    return [one.to_json() | {"image": name} for one, name in zip(answers, files, strict=True)]


def same(answers: Any, wanted: Any) -> bool:
    """Return whether answers are equal: numbers up to what the size of a batch changes."""
    if isinstance(answers, list):
        return len(answers) == len(wanted) and all(map(same, answers, wanted))
    if isinstance(answers, dict):
        return answers.keys() == wanted.keys() and all(
            same(answers[name], wanted[name]) for name in answers
        )
    return answers == pytest.approx(wanted, abs=1e-6)


def test_a_form_with_files_is_answered_as_predict_answers(client: Client, trained: Trained) -> None:
    files = trained.files(6)
    answer = client.post_files("/predict", files)
    assert answer.status == 200
    assert same(answer.json, expected(trained, files))


def test_a_body_that_is_one_image_is_answered(client: Client, trained: Trained) -> None:
    (name, data), *_ = trained.files(1).items()
    answer = client.post(f"/predict?name={name}&top=1", data)
    assert same(answer.json, expected(trained, {name: data}, top=1))


@pytest.mark.parametrize("kind", ["image/gif", "application/octet-stream", "Image/PNG; x=y"])
def test_the_content_counts_not_the_type_that_is_claimed(
    client: Client, trained: Trained, kind: str
) -> None:
    (data,) = trained.files(1).values()
    assert client.post("/predict", data, kind).json[0]["label"] == "blue"


def test_prediction_sets_and_abstention_are_those_of_the_model(
    client: Client, trained: Trained
) -> None:
    # Alone, because "aps" draws from the last bits of the probabilities, which depend on the batch.
    for name, data in trained.files(4).items():
        answer = client.post(f"/predict?name={name}&coverage=0.8&set_method=aps", data)
        wanted = expected(trained, {name: data}, coverage=0.8, set_method="aps")
        assert same(answer.json, wanted)
        assert "set" in answer.json[0]


def test_similar_training_images_come_with_the_pictures_that_the_model_keeps(
    client: Client, trained: Trained
) -> None:
    (data,) = trained.files(1).values()
    nearest = client.post("/predict?nearest=2", data).json[0]["nearest"]
    assert [one["label"] for one in nearest] == ["blue", "blue"]
    assert nearest[0]["distance"] <= nearest[1]["distance"]
    assert nearest[0]["picture"].startswith("data:image/jpeg;base64,/9j/")


def test_a_heat_map_is_drawn_where_it_is_asked_for(client: Client, trained: Trained) -> None:
    (data,) = trained.files(1).values()
    assert client.post("/predict?explain=true", data).json[0]["heat_map"].startswith("data:image/")


def test_many_clients_at_once_each_get_their_own_answer(client: Client, trained: Trained) -> None:
    files = trained.files(20)
    right = {
        name: one["probability"] for name, one in zip(files, expected(trained, files), strict=True)
    }
    found: dict[str, float] = {}

    def ask(name: str) -> None:
        found[name] = client.post("/predict", files[name]).json[0]["probability"]

    threads = [threading.Thread(target=ask, args=(name,)) for name in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx(right, abs=1e-6)


def test_an_unreadable_file_among_others_has_an_error_in_its_place(
    client: Client, trained: Trained
) -> None:
    files = {"notes.txt": b"Not an image.", **trained.files(1), "nothing.png": b""}
    answer = client.post_files("/predict", files)
    assert answer.status == 200
    assert answer.json[0] == {
        "image": "notes.txt",
        "error": "it is not an image of a known format",
    }
    assert answer.json[1]["label"] == "blue"
    assert answer.json[2] == {"image": "nothing.png", "error": "the file is empty"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "it is not an image of a known format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged"),
    ],
)
def test_a_request_without_any_readable_image_is_refused(
    client: Client, body: bytes, reason: str
) -> None:
    answer = client.post("/predict?name=scan.pdf", body)
    assert answer.status == 422
    assert answer.json["detail"].startswith("Cannot read image 'scan.pdf'")
    assert answer.json["images"][0]["image"] == "scan.pdf"


def test_a_decompression_bomb_is_refused_without_being_decoded(
    serve, trained: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "large.png"
    Image.new("L", (3000, 3000)).save(file)
    client = serve(max_pixels=1_000_000)
    answer = client.post("/predict", file.read_bytes())
    assert answer.status == 422
    assert "1,000,000" in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/predict?top=0", 422, "'top' is not valid"),
        ("/predict?coverage=2", 422, "'coverage' is not valid"),
        ("/predict?set_method=best", 422, "'set_method' is not valid"),
        ("/predict?nearest=1000", 422, "'nearest' is not valid"),
        ("/predict?max_error=0.0000001", 422, "held-out predictions do not support"),
        ("/predict?model=colour", 404, "No model 'colour' is served. Did you mean 'colours'?"),
        ("/predict?tpo=2", 422, "There is no option 'tpo'. Did you mean 'top'?"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_a_wrong_option_is_named(
    client: Client, trained: Trained, path: str, status: int, detail: str
) -> None:
    (data,) = trained.files(1).values()
    answer = client.post(path, data)
    assert answer.status == status
    assert detail in answer.json["detail"]


def test_an_answer_names_the_version_of_the_model(client: Client, trained: Trained) -> None:
    (data,) = trained.files(1).values()
    version = client.get("/models").json[0]["version"]
    assert client.post("/predict", data).headers["x-model-version"] == version
