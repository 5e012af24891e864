"""What operators and other programs ask."""

import json

from tests.server.conftest import Client, Trained


def test_it_says_that_it_is_alive_and_ready(client: Client) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready", "models": ["colours"]}


def test_it_describes_its_models(client: Client, trained: Trained) -> None:
    (model,) = client.get("/models").json
    assert model["name"] == "colours"
    assert model["classes"] == ["blue", "red"]
    assert model["task"] == "single"
    assert model["can"]["pictures"]
    one = client.get("/models/colours").json
    assert one["card"] == (trained.run / "bundle" / "README.md").read_text()
    assert client.get("/models/colors").status == 404


def test_it_counts_for_prometheus(client: Client, trained: Trained) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    answered = 'headstart_images_total{model="colours",result="answered"}'
    before = value(answered), value("headstart_batch_images_sum")
    client.post_files("/predict", trained.files(3))
    assert value(answered) == before[0] + 3
    assert value("headstart_batch_images_sum") == before[1] + 3
    assert value('headstart_requests_total{route="/predict",status="200"}') >= 1
    assert value("headstart_waiting_images") == 0


def test_it_describes_its_routes(client: Client) -> None:
    description = client.get("/openapi.json").json
    assert {"/predict", "/models", "/healthz", "/v2/models/{name}/infer"} <= set(
        description["paths"]
    )
    body = description["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "image/*", "application/octet-stream"}


def test_the_description_is_shown_without_any_other_host(client: Client) -> None:
    page = client.get("/docs").body.decode()
    assert "https://" not in page
    assert "/static-offline-docs/swagger-ui-bundle.js" in page
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status == 200


def test_values_that_are_not_numbers_never_appear(client: Client, trained: Trained) -> None:
    names: list[str] = []
    body = client.post_files("/predict?nearest=3", trained.files(2)).body
    assert len(json.loads(body, parse_constant=names.append)) == 2
    assert not names
