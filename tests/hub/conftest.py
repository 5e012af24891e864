"""A local hub, and a small trained model to push to it."""

import time

import pytest
from huggingface_hub import constants

import headstart as hs
from tests.conftest import write_blue_and_red
from tests.hub.server import TOKEN, ModelHub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Start a hub, and point the client at it with a token, an empty cache and without xet."""
    with ModelHub() as server:
        point_at(server.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        sleep = time.sleep
        monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.05)))
        yield server


def point_at(url, monkeypatch):
    """Point the client, which read HF_ENDPOINT when it was imported, at another hub."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the folder of a small model, and an image."""
    folder = tmp_path_factory.mktemp("pushed")
    write_blue_and_red(folder / "photos", 12)
    options = {"precision": "float32", "cache": folder / "cache"}
    data = hs.open_images(folder / "photos", cache=folder / "cache")
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    model = hs.Classifier(backbone, hs.LinearHead(), classes=data.classes, **options)
    model.fit(data.train).save(folder / "model")
    return folder / "model", folder / "photos" / "red" / "0.png"
