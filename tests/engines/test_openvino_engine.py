"""The OpenVINO engine agrees with PyTorch, and caches the converted network on disk."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from headstart.backbones.backbone import load_backbone
from headstart.backbones.pooling import StagePooling
from headstart.engines.openvino_engine import OpenVinoEngine, cpu_has_bf16
from headstart.engines.torch_engine import TorchEngine

TINY = "test_efficientnet"
SIZE = 160


def photos(count=11, seed=0):
    """Return smooth uint8 images."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 20, 20, 3), dtype=np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def pooling(name=TINY):
    """Return a tiny network that computes features."""
    return StagePooling(load_backbone(name, weights="random")).eval()


def openvino(cache, precision="float32", network=None):
    """Create an OpenVINO engine for a tiny network."""
    network = network or pooling()
    return OpenVinoEngine(lambda: network, size=SIZE, precision=precision, cache=cache, key="net")


def results(engine, batches):
    """Run batches and concatenate the features."""
    return np.concatenate(list(engine.run(batches)))


def cosines(found, expected):
    """Return the cosine similarity of each pair of rows."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return (found * expected).sum(axis=1) / norms


@pytest.mark.parametrize("name", [TINY, "test_resnet", "test_vit", "test_convnext"])
def test_float32_agrees_with_torch(tmp_path, name):
    """In float32, the cosine similarity with PyTorch's features is at least 0.9999."""
    network, images = pooling(name), photos()
    expected = results(TorchEngine(network, device="cpu", precision="float32"), [images])
    found = results(openvino(tmp_path, network=network), [images])
    assert found.shape == expected.shape
    assert cosines(found, expected).min() >= 0.9999


@pytest.mark.skipif(not cpu_has_bf16(), reason="the processor has no bf16")
@pytest.mark.parametrize("name", [TINY, "test_resnet", "test_vit"])
def test_bf16_agrees_with_torch(tmp_path, name):
    """In bf16, the cosine similarity with PyTorch's float32 features is at least 0.99."""
    network, images = pooling(name), photos()
    expected = results(TorchEngine(network, device="cpu", precision="float32"), [images])
    found = results(openvino(tmp_path, "bf16", network), [images])
    assert cosines(found, expected).min() >= 0.99


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_results_do_not_depend_on_the_batch_size(tmp_path, precision):
    """Batches of one, of three and of all images give the same features in the same order."""
    if precision == "bf16" and not cpu_has_bf16():
        pytest.skip("the processor has no bf16")
    engine, images = openvino(tmp_path, precision), photos()
    whole = results(engine, [images])
    tolerance = np.abs(whole).max() * (1e-5 if precision == "float32" else 1e-2)
    for size in (1, 3):
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        np.testing.assert_allclose(results(engine, batches), whole, atol=tolerance, rtol=0)


def test_batches_are_consumed_lazily(tmp_path):
    """The engine consumes only a few batches before it yields the first result."""
    engine = openvino(tmp_path)
    drawn = []

    def batches():
        for number in range(200):
            drawn.append(number)
            yield photos(1, seed=number)

    running = engine.run(batches())
    next(running)
    assert len(drawn) < 100
    assert len(list(running)) == 199


def test_without_batches_there_are_no_results(tmp_path):
    """An empty iterable yields nothing."""
    assert list(openvino(tmp_path).run([])) == []


class Refusing(torch.nn.Module):
    """A network that fails when it is converted."""

    def forward(self, images):
        raise AssertionError("converted again")


def test_a_converted_network_is_cached(tmp_path):
    """A second engine reads the converted network from disk and has the same results."""
    images = photos(3)
    first = results(openvino(tmp_path), [images])
    again = results(openvino(tmp_path, network=Refusing()), [images])
    np.testing.assert_array_equal(again, first)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    files = sorted(path.name for path in (tmp_path / "net").iterdir())
    assert files == ["network.bin", "network.xml", "sha256"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return a cache with a converted network, and the features of two images."""
    cache = tmp_path_factory.mktemp("converted")
    return cache, results(openvino(cache), [photos(2)])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def _random(path):
    path.write_bytes(b"\xff\xfe\x80")


@pytest.mark.parametrize("damage", [_flip, _cut, _random, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["network.bin", "network.xml", "sha256"])
def test_a_damaged_network_is_converted_again(tmp_path, converted, damage, name):
    """If any file is changed or missing, the network is converted and cached again."""
    (cache, first), images = converted, photos(2)
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "net" / name)
    np.testing.assert_array_equal(results(openvino(tmp_path), [images]), first)
    again = results(openvino(tmp_path, network=Refusing()), [images])
    np.testing.assert_array_equal(again, first)


def test_a_network_that_is_not_cached_is_converted(tmp_path):
    """The failing network of the tests above detects a conversion."""
    with pytest.raises(AssertionError, match="converted again"):
        openvino(tmp_path, network=Refusing())


def test_an_unwritable_cache_is_ignored(tmp_path):
    """If the converted network cannot be cached, the engine still runs."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert results(openvino(blocked / "networks"), [photos(2)]).shape[0] == 2


def test_torch_engine_returns_the_network_s_output():
    """In float32, the PyTorch engine returns the output of the network, batch by batch."""
    network, images = pooling(), photos(4)
    engine = TorchEngine(network, device="cpu", precision="float32")
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    found = results(engine, [images[:3], images[3:]])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_ctrl_c_after_several_engines(tmp_path):
    """The signal is handled, however engines were created and dropped: it once was a crash."""
    network = pooling()
    openvino(tmp_path, network=network)
    code = f"""
import signal
from pathlib import Path
from headstart.engines.openvino_engine import OpenVinoEngine

def engine():
    cache = Path({str(tmp_path)!r})
    return OpenVinoEngine(None, size={SIZE}, precision="float32", cache=cache, key="net")

first, second = engine(), engine()
del first
del second
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
