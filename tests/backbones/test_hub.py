"""Weights from a hub: fetched, resumed, checked, kept; and every failure one clear error."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save

from headstart.backbones.backbone import load_backbone
from headstart.backbones.weights import weights_here
from headstart.errors import WeightsError
from tests.backbones.hub import Hub

TINY = "test_efficientnet"
REPO = "timm/test_efficientnet.r160_in1k"
FILE = f"{REPO}/model.safetensors"


@pytest.fixture(scope="module")
def network():
    """Give a network with weights of its own."""
    return timm.create_model(TINY)


def point_at(url, monkeypatch):
    """Make the client, which read HF_ENDPOINT when it was imported, ask another hub."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(network, monkeypatch, tmp_path):
    """Give a hub that holds the network, and point the client at it."""
    with Hub(files={FILE: save(network.state_dict())}) as server:
        point_at(server.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
        sleep = time.sleep
        monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))
        yield server


def is_like(backbone, network):
    """Tell whether a backbone has a network's weights."""
    return torch.equal(backbone.network.conv_stem.weight, network.conv_stem.weight)


def test_weights_are_fetched_once_and_kept(hub, network):
    """The first load fetches, the second finds the file; a name of the catalogue would too."""
    assert not weights_here(TINY)
    assert is_like(load_backbone(TINY), network)
    assert weights_here(TINY)
    assert len(hub.gets()) == 1
    assert is_like(load_backbone(TINY), network)
    assert is_like(load_backbone(TINY, weights=f"hf-hub:{REPO}"), network)
    assert len(hub.gets()) == 1


def test_what_is_kept_loads_offline(hub, network, monkeypatch):
    """Offline with a kept copy works and asks nobody; without one it is one clear error."""
    load_backbone(TINY)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert is_like(load_backbone(TINY), network)
    assert len(hub.requests) == asked
    with pytest.raises(WeightsError) as caught:
        load_backbone("test_resnet")
    assert "pass --weights PATH/model.safetensors" in str(caught.value)


def test_a_cut_connection_is_taken_up_where_it_broke(hub):
    """After a connection that breaks, the rest is asked for by its range, not the whole."""
    large = timm.create_model("resnet18")
    hub.files["timm/resnet18.tv_in1k/model.safetensors"] = save(large.state_dict())
    hub.cuts.append(25_000_000)
    backbone = load_backbone("resnet18")
    assert torch.equal(backbone.network.conv1.weight, large.conv1.weight)
    first, second = hub.gets()
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").split("-")[0]) <= 25_000_000


def test_a_corrupt_file_is_removed_and_fetched_again(hub, network):
    """A file whose bytes are not those of its hash is refused once, and whole the next time."""
    whole = hub.files[FILE]
    hub.sha256[FILE] = hashlib.sha256(whole).hexdigest()
    hub.files[FILE] = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY)
    assert "arrived damaged: sha256" in str(caught.value)
    hub.files[FILE] = whole
    assert is_like(load_backbone(TINY), network)


def test_a_wrong_hash_is_refused_each_time(hub):
    """A hub that tells another hash than its file has is never believed."""
    hub.sha256[FILE] = "0" * 64
    for _ in range(2):
        with pytest.raises(WeightsError, match=f"instead of {'0' * 64}"):
            load_backbone(TINY)
    assert not weights_here(TINY)


def test_a_damaged_copy_on_disk_is_found(hub, network, tmp_path):
    """A kept file that a disk has changed is refused, removed, and fetched anew."""
    load_backbone(TINY)
    (blob,) = [one for one in (tmp_path / "hub").rglob("*") if len(one.name) == 64]
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(WeightsError, match="It was removed"):
        load_backbone(TINY)
    assert is_like(load_backbone(TINY), network)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "RepoNotFound"), (404, "EntryNotFound"), (401, "GatedRepo"), (500, "")],
)
def test_what_the_hub_refuses_is_one_clear_error(hub, status, reason):
    """Not there, not allowed, broken: each names the file and what to do instead."""
    hub.status = (status, reason)
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY)
    text = str(caught.value)
    assert text.startswith(f"Cannot get 'model.safetensors' of '{REPO}' from the hub: ")
    assert "fetch that file elsewhere and pass --weights PATH/model.safetensors" in text
    assert "\n" not in text


def test_a_server_that_stalls_is_given_up(hub):
    """A server that never answers ends in the same error, not in a wait for ever."""
    hub.stalled = True
    with pytest.raises(WeightsError, match="Cannot get"):
        load_backbone(TINY)


def test_no_network_at_all(hub, monkeypatch):
    """An endpoint where nobody listens is the same error."""
    point_at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(WeightsError, match="Cannot get"):
        load_backbone(TINY)


def test_two_processes_fetch_at_once(network, tmp_path):
    """Both end with the whole file, by nothing but the variables that users set."""
    code = (
        "from headstart.backbones.backbone import load_backbone;"
        f"print(load_backbone({TINY!r}).weights_sha256())"
    )
    with Hub(files={FILE: save(network.state_dict())}) as server:
        environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path)}
        environment.pop("HF_HUB_OFFLINE", None)
        both = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert len({out for out, _ in told}) == 1
    (kept,) = Path(tmp_path).rglob("*.safetensors")
    assert kept.stat().st_size == len(save(network.state_dict()))
