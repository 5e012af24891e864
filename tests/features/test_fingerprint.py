"""A fingerprint changes if and only if features may change."""

from dataclasses import fields, replace

import pytest

from headstart.backbones.backbone import load_backbone
from headstart.data.contract import CONTRACT_VERSION, PixelContract
from headstart.data.contract import FIRST as FIRST_CONTRACT
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
    "scales": "two",
    "contract": PixelContract(version=CONTRACT_VERSION + 1),
}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_changes_the_key(part):
    """Architecture, weights, blocks, precision and rounding are in the key."""
    assert replace(FIRST, **{part: PARTS[part]}).key != FIRST.key


@pytest.mark.parametrize("part", sorted(PIXELS))
def test_each_part_of_the_preprocess_changes_the_key(part):
    """Every value of the preprocess is in the key."""
    other = replace(FIRST.preprocess, **{part: PIXELS[part]})
    assert replace(FIRST, preprocess=other).key != FIRST.key


def test_the_background_changes_the_key():
    """Transparent pixels look different on another background."""
    black = replace(FIRST.preprocess, contract=PixelContract(background="black"))
    assert replace(FIRST, preprocess=black).key != FIRST.key


def test_a_single_scale_adds_nothing_to_the_key():
    """Features that were stored before there were scales are still found."""
    assert "scales" not in FIRST.to_dict()["preprocess"]


def test_keys_from_before_there_were_contracts_are_valid():
    """The first contract adds nothing to the key, so that stored features are still found."""
    first = replace(FIRST, preprocess=replace(FIRST.preprocess, contract=FIRST_CONTRACT))
    assert first.key == "215718b92dd7343a8ae3b96169b98dda0bc64345e0707c948f07173225da3872"


def test_every_part_is_tested():
    """The two tests above cover all fields."""
    assert {field.name for field in fields(Fingerprint)} == {*PARTS, "preprocess"}
    assert {field.name for field in fields(Preprocess)} == set(PIXELS)


def test_the_key_is_the_same_in_every_process():
    """Equal values have the same key of 64 hexadecimal digits."""
    again = Fingerprint("net", "abc", (("output", 4), ("stage1.mean", 2)), Preprocess(64), "bf16")
    assert again.key == FIRST.key
    assert len(bytes.fromhex(FIRST.key)) == 32


def test_name_cache_and_origin_are_not_in_the_key(tmp_path):
    """The source of the weights and the cache folder do not matter."""
    first = load_backbone("test_resnet", weights="random")
    second = load_backbone(" Test_ResNet", weights="random")
    second.origin = "elsewhere"
    keys = {
        FeatureExtractor(backbone, cache=tmp_path / name, precision="float32").fingerprint.key
        for name, backbone in (("a", first), ("b", second))
    }
    assert len(keys) == 1


def test_the_weights_are_in_the_key(tmp_path):
    """Random weights of two seeds have different fingerprints."""
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
    """Engines in bf16 and float32 share a network; other weights have another network."""
    assert replace(FIRST, precision="float32").network_key == FIRST.network_key
    assert replace(FIRST, weights="def").network_key != FIRST.network_key
    assert FIRST.network_key != FIRST.key


def test_a_converted_network_does_not_depend_on_the_contract():
    """The network itself is the same for any background."""
    black = replace(FIRST.preprocess, contract=PixelContract(background="black"))
    assert replace(FIRST, preprocess=black).network_key == FIRST.network_key
