"""Models are loaded from a hub by name, by all commands; offline from the cache."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

import headstart as hs
from headstart.errors import BundleError, HubError, OptionError
from headstart.hub.names import HubModel, on_hub
from tests.hub.conftest import point_at
from tests.hub.test_pushing import run

NAME = "me/solar-cells"
MODEL = f"hf-hub:{NAME}"


@pytest.fixture
def files(trained):
    """Return the files of the bundle."""
    return {path.name: path.read_bytes() for path in trained[0].iterdir()}


@pytest.fixture
def repository(hub, files):
    """Return a repository with the model."""
    return hub.add(NAME, files)


def load(tmp_path, model=MODEL):
    """Load a model with the settings of the tests."""
    return hs.load(model, precision="float32", cache=tmp_path / "cache")


def test_names_are_read():
    """A revision may follow; a path is not a name of the hub."""
    assert HubModel.parse("hf-hub:me/a@v1.0") == HubModel("me/a", "v1.0")
    assert HubModel.parse("me/a") == HubModel("me/a")
    assert on_hub(Path("hf-hub:me/a")) == "hf-hub:me/a"
    assert on_hub("runs/a") is on_hub(Path("/runs/a")) is None
    with pytest.raises(OptionError, match="has no revision after the @"):
        HubModel.parse("me/a@")


def test_commands_take_the_name(repository, trained, tmp_path, capsys):
    """Predict, evaluate and explain accept a model of the hub."""
    image, cache = trained[1], ("--cache", tmp_path / "cache")
    status, out, _ = run(capsys, "predict", MODEL, image, *cache, "--json")
    assert status == 0 and json.loads(out)[0]["label"] == "red"
    status, out, _ = run(capsys, "evaluate", MODEL, image.parents[1], *cache, "--json")
    assert status == 0 and json.loads(out)["images"] == 24
    folder = ("--out", tmp_path / "maps")
    status, out, _ = run(capsys, "explain", MODEL, image, *cache, *folder, "--json")
    assert status == 0 and json.loads(out)[0]["label"] == "red"


def test_a_cached_model_loads_offline(repository, hub, tmp_path, monkeypatch):
    """In the offline mode nothing is asked; without network, the cached copy is used too."""
    load(tmp_path)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load(tmp_path).classes == ("blue", "red")
    assert len(hub.requests) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    point_at("http://127.0.0.1:9", monkeypatch)
    assert load(tmp_path).classes == ("blue", "red")


def test_without_a_copy_offline_is_an_error(repository, tmp_path, monkeypatch):
    """The error says what to do instead."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"Model '{NAME}' is not in the cache, and cannot be downloaded: the offline mode is on "
        "(HF_HUB_OFFLINE). Without network access, copy the folder of the model and pass its path."
    )


def test_a_revision_is_loaded(repository, files, tmp_path):
    """A commit is loaded as it was, whatever came later."""
    old = repository.commits[-1][0]
    repository.commit({"config.json": b"{}"})
    assert load(tmp_path, f"{MODEL}@{old}").classes == ("blue", "red")
    with pytest.raises(HubError) as caught:
        load(tmp_path, f"{MODEL}@v9")
    assert "it has no revision 'v9'." in str(caught.value)


def test_an_edited_card_is_no_damage(repository, tmp_path):
    """The card may be edited on the hub; predictions do not need it."""
    repository.commit(repository.files()[1] | {"README.md": b"edited"})
    assert load(tmp_path).classes == ("blue", "red")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"data.csv": b"a"}, "it contains no 'config.json'"),
        ({"config.json": b'{"model_type": "vit"}'}, "its 'config.json' is that of another library"),
        ({"config.json": b"\xff{"}, "its 'config.json' is that of another library"),
    ],
)
def test_a_repository_without_a_bundle(hub, tmp_path, content, why):
    """The error says what is missing; nothing large is downloaded."""
    hub.add(NAME, {**content, "model.safetensors": b"x" * 1000})
    with pytest.raises(BundleError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"'{NAME}' on the hub is not a model of headstart: {why}. "
        "Pass a repository that 'headstart push' has written."
    )
    assert not any("safetensors" in path for _, path in hub.requests)


def test_a_damaged_bundle(repository, tmp_path):
    """Weights that are not those of the configuration are refused."""
    spoilt = bytearray(repository.files()[1]["model.safetensors"])
    spoilt[-1] ^= 1
    repository.commit(repository.files()[1] | {"model.safetensors": bytes(spoilt)})
    with pytest.raises(BundleError) as caught:
        load(tmp_path)
    assert "'model.safetensors' differs from what was saved" in str(caught.value)
    folder = tmp_path / "hub-cache" / "models--me--solar-cells"
    assert f"remove '{folder}' to download it again." in str(caught.value)
    shutil.rmtree(folder)


def test_a_full_disk(repository, tmp_path, monkeypatch):
    """The reason of the system is named."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("headstart.hub.loading.hf_hub_download", full)
    with pytest.raises(HubError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"Model '{NAME}' cannot be downloaded: No space left on device."


def test_a_repository_that_does_not_exist(hub, tmp_path):
    """A private one looks the same to others, so both are named."""
    with pytest.raises(HubError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"Model '{NAME}' cannot be downloaded: the repository does not exist, or is private. "
        "Check the name, or log in with 'hf auth login', or set HF_TOKEN."
    )


def test_a_private_model_needs_the_token(hub, files, tmp_path, monkeypatch):
    """It loads with the token, and is not to be seen without."""
    hub.add(NAME, files, private=True)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="or is private"):
        load(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_tests")
    assert load(tmp_path).classes == ("blue", "red")
