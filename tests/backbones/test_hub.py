"""Weights from a hub are downloaded, resumed, verified and cached; failures are clear errors."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save

from headstart.backbones import hub as hub_client
from headstart.backbones.backbone import load_backbone
from headstart.backbones.weights import check_reachable, weights_available
from headstart.errors import WeightsError
from tests.backbones.hub import Hub, point_at, use

TINY = "test_efficientnet"
REPO = "timm/test_efficientnet.r160_in1k"
FILE = f"{REPO}/model.safetensors"


@pytest.fixture(scope="module")
def network():
    """Return a network with random weights."""
    return timm.create_model(TINY)


@pytest.fixture
def hub(network, monkeypatch, tmp_path):
    """Return a hub with the network, and point the client at it."""
    with Hub(files={FILE: save(network.state_dict())}) as server:
        use(server, monkeypatch, tmp_path)
        yield server


def has_weights_of(backbone, network):
    """Return whether a backbone has a network's weights."""
    return torch.equal(backbone.network.conv_stem.weight, network.conv_stem.weight)


def test_weights_are_downloaded_once(hub, network):
    """The first load downloads the file, and later loads use the cache."""
    assert not weights_available(TINY)
    assert has_weights_of(load_backbone(TINY), network)
    assert weights_available(TINY)
    assert len(hub.gets()) == 1
    assert has_weights_of(load_backbone(TINY), network)
    assert has_weights_of(load_backbone(TINY, weights=f"hf-hub:{REPO}"), network)
    assert len(hub.gets()) == 1


def test_cached_weights_load_offline(hub, network, monkeypatch):
    """Offline, cached weights load without a request; others are one clear error."""
    load_backbone(TINY)
    requests = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert has_weights_of(load_backbone(TINY), network)
    assert len(hub.requests) == requests
    for ask in (load_backbone, lambda name: check_reachable(name, "imagenet")):
        with pytest.raises(WeightsError) as caught:
            ask("test_resnet")
        assert str(caught.value).startswith(
            "Cannot download 'model.safetensors' of 'timm/test_resnet.r160_in1k' from the hub: "
            "the offline mode is on (HF_HUB_OFFLINE). Without network access, download it "
            "elsewhere and pass --weights PATH/model.safetensors"
        )


def test_a_broken_download_is_resumed(hub):
    """After a broken connection, only the missing range is requested."""
    large = timm.create_model("resnet18")
    hub.files["timm/resnet18.tv_in1k/model.safetensors"] = save(large.state_dict())
    hub.cuts.append(25_000_000)
    backbone = load_backbone("resnet18")
    assert torch.equal(backbone.network.conv1.weight, large.conv1.weight)
    first, second = hub.gets()
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").split("-")[0]) <= 25_000_000


def test_a_corrupt_file_is_removed_and_downloaded_again(hub, network):
    """A file that does not match its hash is refused, and the next run downloads it again."""
    whole = hub.files[FILE]
    hub.sha256[FILE] = hashlib.sha256(whole).hexdigest()
    hub.files[FILE] = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY)
    assert "is damaged: sha256" in str(caught.value)
    hub.files[FILE] = whole
    assert has_weights_of(load_backbone(TINY), network)


def test_a_wrong_hash_is_refused_each_time(hub):
    """A file is refused each time the hub reports a hash that does not match."""
    hub.sha256[FILE] = "0" * 64
    for _ in range(2):
        with pytest.raises(WeightsError, match=f"instead of {'0' * 64}"):
            load_backbone(TINY)
    assert not weights_available(TINY)


def test_a_damaged_copy_on_disk_is_found(hub, network, tmp_path):
    """A cached file that has changed on disk is refused, removed and downloaded again."""
    load_backbone(TINY)
    (blob,) = [path for path in (tmp_path / "hub").rglob("*") if len(path.name) == 64]
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(WeightsError, match="It was removed"):
        load_backbone(TINY)
    assert has_weights_of(load_backbone(TINY), network)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "RepoNotFound"), (404, "EntryNotFound"), (401, "GatedRepo"), (500, "")],
)
def test_errors_of_the_hub_are_one_clear_error(hub, status, reason):
    """Missing, forbidden and failing files are reported with what to do instead."""
    hub.status = (status, reason)
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY)
    text = str(caught.value)
    assert text.startswith(f"Cannot download 'model.safetensors' of '{REPO}' from the hub: ")
    assert "download it elsewhere and pass --weights PATH/model.safetensors" in text
    assert "\n" not in text


def test_a_stalled_server_times_out(hub, monkeypatch):
    """A server that never responds leads to the same error instead of an endless wait."""
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.1)
    hub.stalled = True
    with pytest.raises(WeightsError, match="Cannot download"):
        load_backbone(TINY)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://hub.invalid"])
def test_no_network_at_all(hub, monkeypatch, caplog, capfd, url):
    """An endpoint that refuses connections or has no address leads to one error, at once."""
    point_at(url, monkeypatch)
    begin = time.perf_counter()
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY)
    assert time.perf_counter() - begin < 5
    assert f"from the hub: {url} cannot be reached ([Errno" in str(caught.value)
    assert "or use efficientnet-lite0, which needs no download." in str(caught.value)
    assert caplog.records == [] and capfd.readouterr().err == ""


def test_a_hub_that_never_answers(monkeypatch, hub):
    """A connection that hangs, such as a search for an address, is given up."""
    monkeypatch.setattr(hub_client, "ANSWER_WITHIN", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hub.closing.wait())
    with pytest.raises(WeightsError, match=r"cannot be reached \(it did not answer within"):
        load_backbone(TINY)


def test_without_network_cached_weights_are_used(hub, network, monkeypatch):
    """They are not downloaded again; what follows in training is not refused."""
    load_backbone(TINY)
    point_at("http://127.0.0.1:9", monkeypatch)
    assert has_weights_of(load_backbone(TINY), network)
    check_reachable(TINY, "imagenet")


def test_the_hub_is_asked_before_any_work(hub, monkeypatch):
    """Only for weights that must be downloaded."""
    check_reachable(TINY, "imagenet")
    point_at("http://127.0.0.1:9", monkeypatch)
    for architecture, weights in ((TINY, "imagenet"), ("test_resnet", f"hf-hub:{REPO}")):
        with pytest.raises(WeightsError, match=f"'{REPO}' from the hub: http://127"):
            check_reachable(architecture, weights)
    for weights in ("random", "some/model.safetensors"):
        check_reachable(TINY, weights)
    check_reachable("tf_efficientnet_lite0", "imagenet")


def test_retries_are_not_logged(hub, caplog):
    """What fails in the end is one error, without a line for each attempt."""
    hub.status = (500, "")
    with caplog.at_level("WARNING"), pytest.raises(WeightsError):
        load_backbone(TINY)
    assert caplog.records == []


DOWNLOAD = f"""
import multiprocessing
from headstart.backbones.backbone import load_backbone

def download(_):
    return load_backbone({TINY!r}).weights_sha256()

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(len(set(pool.map(download, range(2), chunksize=1))))
"""


def test_two_processes_download_at_once(network, tmp_path):
    """Both processes get the whole file, configured by environment variables only."""
    with Hub(files={FILE: save(network.state_dict())}) as server:
        environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path)}
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-c", DOWNLOAD],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout == "1\n", done.stderr
    (cached,) = Path(tmp_path).rglob("*.safetensors")
    assert cached.stat().st_size == len(save(network.state_dict()))
