"""A fingerprint changes with everything that changes a feature, and with nothing else."""

from dataclasses import fields, replace

import pytest

from headstart.backbones.backbone import load_backbone
from headstart.data.decoding import DECODER_VERSION
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import ROUNDING_VERSION
from headstart.features.extractor import FeatureExtractor
from headstart.features.fingerprint import Fingerprint

FIRST = Fingerprint("net", "abc", (("output", 4), ("stage1.mean", 2)), Preprocess(64), "bf16")

PARTS = {
    "architecture": "other",
    "weights": "abd",
    "blocks": (("output", 4), ("stage1.max", 2)),
    "precision": "float32",
    "decoder": DECODER_VERSION + 1,
    "rounding": ROUNDING_VERSION + 1,
}
PIXELS = {
    "size": 65,
    "resize": "shorter",
    "crop": 0.9,
    "interpolation": "bilinear",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "orientations": "mirror",
}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_changes_the_key(part):
    """Architecture, weights, blocks, precision, decoder and rounding are in the key."""
    assert replace(FIRST, **{part: PARTS[part]}).key != FIRST.key


@pytest.mark.parametrize("part", sorted(PIXELS))
def test_each_part_of_the_preprocess_changes_the_key(part):
    """What happens to the pixels is in the key, value by value."""
    other = replace(FIRST.preprocess, **{part: PIXELS[part]})
    assert replace(FIRST, preprocess=other).key != FIRST.key


def test_no_part_is_forgotten():
    """The two tests above know every field that there is."""
    assert {field.name for field in fields(Fingerprint)} == {*PARTS, "preprocess"}
    assert {field.name for field in fields(Preprocess)} == set(PIXELS)


def test_the_key_is_the_same_in_every_process():
    """Equal parts give an equal key: 64 hexadecimal digits that never change."""
    again = Fingerprint("net", "abc", (("output", 4), ("stage1.mean", 2)), Preprocess(64), "bf16")
    assert again.key == FIRST.key
    assert len(bytes.fromhex(FIRST.key)) == 32


def test_names_cache_and_origin_are_not_in_it(tmp_path):
    """Where the same weights came from, and where features are kept, changes nothing."""
    one = load_backbone("test_resnet", weights="random")
    other = load_backbone(" Test_ResNet", weights="random")
    other.origin = "elsewhere"
    keys = {
        FeatureExtractor(backbone, cache=tmp_path / name, precision="float32").fingerprint.key
        for name, backbone in (("a", one), ("b", other))
    }
    assert len(keys) == 1


def test_other_weights_are_in_it(tmp_path):
    """Two seeds of random weights have two fingerprints."""
    keys = {
        FeatureExtractor(
            load_backbone("test_resnet", weights="random", seed=seed),
            cache=tmp_path,
            precision="float32",
        ).fingerprint.key
        for seed in (0, 1)
    }
    assert len(keys) == 2


def test_a_converted_network_does_not_depend_on_the_precision():
    """Engines in bf16 and in float32 share it; other weights have another."""
    assert replace(FIRST, precision="float32").network_key == FIRST.network_key
    assert replace(FIRST, weights="def").network_key != FIRST.network_key
    assert FIRST.network_key != FIRST.key
