"""OpenVINO gives what torch gives, keeps its network on disk, and repairs it."""

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
    """Give smooth uint8 images."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 20, 20, 3), dtype=np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def pooling(name=TINY):
    """Give a tiny network that features are read from."""
    return StagePooling(load_backbone(name, weights="random")).eval()


def openvino(cache, precision="float32", network=None):
    """Build an OpenVINO engine of a tiny network."""
    network = network or pooling()
    return OpenVinoEngine(lambda: network, size=SIZE, precision=precision, cache=cache, key="net")


def results(engine, batches):
    """Run batches and stack what comes back."""
    return np.concatenate(list(engine.run(batches)))


def cosines(one, other):
    """Give the cosine of each pair of rows."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / norms


@pytest.mark.parametrize("name", [TINY, "test_resnet", "test_vit", "test_convnext"])
def test_float32_agrees_with_torch(tmp_path, name):
    """In float32 every image's features point where torch's do, cosine 0.9999 or more."""
    network, images = pooling(name), photos()
    expected = results(TorchEngine(network, device="cpu", precision="float32"), [images])
    found = results(openvino(tmp_path, network=network), [images])
    assert found.shape == expected.shape
    assert cosines(found, expected).min() >= 0.9999


@pytest.mark.skipif(not cpu_has_bf16(), reason="the processor has no bf16")
@pytest.mark.parametrize("name", [TINY, "test_resnet", "test_vit"])
def test_bf16_agrees_with_torch(tmp_path, name):
    """In bf16 the cosine with torch's float32 is 0.99 or more."""
    network, images = pooling(name), photos()
    expected = results(TorchEngine(network, device="cpu", precision="float32"), [images])
    found = results(openvino(tmp_path, "bf16", network), [images])
    assert cosines(found, expected).min() >= 0.99


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_results_do_not_depend_on_the_batch_size(tmp_path, precision):
    """One by one, by three or all at once: the same features in the same order."""
    if precision == "bf16" and not cpu_has_bf16():
        pytest.skip("the processor has no bf16")
    engine, images = openvino(tmp_path, precision), photos()
    whole = results(engine, [images])
    tolerance = np.abs(whole).max() * (1e-5 if precision == "float32" else 1e-2)
    for size in (1, 3):
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        np.testing.assert_allclose(results(engine, batches), whole, atol=tolerance, rtol=0)


def test_batches_are_asked_for_lazily(tmp_path):
    """The engine holds only a few batches; it does not draw all of them before it yields."""
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


def test_no_batch_gives_no_result(tmp_path):
    """Running nothing yields nothing."""
    assert list(openvino(tmp_path).run([])) == []


class Refusing(torch.nn.Module):
    """Stand in for a network that may not be converted."""

    def forward(self, images):
        raise AssertionError("converted again")


def test_a_converted_network_is_kept(tmp_path):
    """A second engine reads the first one's network from disk and gives the same."""
    images = photos(3)
    first = results(openvino(tmp_path), [images])
    again = results(openvino(tmp_path, network=Refusing()), [images])
    np.testing.assert_array_equal(again, first)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    files = sorted(path.name for path in (tmp_path / "net").iterdir())
    assert files == ["network.bin", "network.xml", "sha256"]


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
def test_a_damaged_network_is_converted_again(tmp_path, damage, name):
    """Whichever file is changed or gone, the network is converted again and kept again."""
    images = photos(2)
    first = results(openvino(tmp_path), [images])
    damage(tmp_path / "net" / name)
    np.testing.assert_array_equal(results(openvino(tmp_path), [images]), first)
    again = results(openvino(tmp_path, network=Refusing()), [images])
    np.testing.assert_array_equal(again, first)


def test_a_network_that_is_not_kept_is_converted(tmp_path):
    """The stand-in of the tests above does notice a conversion."""
    with pytest.raises(AssertionError, match="converted again"):
        openvino(tmp_path, network=Refusing())


def test_a_cache_that_cannot_be_written_is_no_harm(tmp_path):
    """Without a place to keep the network, the engine runs all the same."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert results(openvino(blocked / "networks"), [photos(2)]).shape[0] == 2


def test_torch_engine_gives_what_the_network_gives():
    """The torch engine is the network, batch by batch, in float32."""
    network, images = pooling(), photos(4)
    engine = TorchEngine(network, device="cpu", precision="float32")
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    found = results(engine, [images[:3], images[3:]])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
