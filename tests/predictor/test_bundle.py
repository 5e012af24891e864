"""A bundle comes back byte by byte, or says what is wrong with it."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from headstart.data.preprocessing import Preprocess
from headstart.errors import BundleError, OutputError
from headstart.files import digest
from headstart.predictor.bundle import Bundle, read_bundle, write_bundle
from headstart.predictor.card import model_card
from headstart.predictor.config import (
    BackboneConfig,
    Calibration,
    Config,
    HeadConfig,
    Specification,
)
from headstart.tasks.single import Single
from tests.report.test_page import metrics, record

FILES = ("config.json", "model.safetensors", "README.md")

CONFIG = Config(
    headstart="0",
    created="2026-11-27T12:00:00+00:00",
    task="single",
    classes=("Ähre", "b"),
    preprocess=Preprocess(64, orientations="mirror"),
    backbone=BackboneConfig("tiny", "test_resnet", "random"),
    features="last",
    stored_as="float16",
    precision="float32",
    head=HeadConfig("kernel", {"bandwidth": 0.1}),
    calibration=Calibration(1.1),
    specification=Specification("mlp", {"hidden": 8, "dropout": 0.5}, "last", True, 3),
    record=record(metrics()),
)
BUNDLE = Bundle(
    CONFIG,
    {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "half": np.ones(3, dtype=np.float16),
        "count": np.array(7),
    },
    "# A card\nwith ümlauts\n",
)


@pytest.fixture
def folder(tmp_path):
    """Write the bundle and give its folder."""
    write_bundle(BUNDLE, tmp_path / "model")
    return tmp_path / "model"


def test_what_is_written_is_read(folder):
    """Config, tensors with shape and precision, and card come back exactly."""
    found = read_bundle(folder)
    assert found.config == BUNDLE.config
    assert found.card == BUNDLE.card
    assert found.tensors.keys() == BUNDLE.tensors.keys()
    for name, tensor in BUNDLE.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found.tensors[name], tensor)


def test_a_bundle_is_three_files_without_pickle(folder):
    """JSON, safetensors and Markdown, nothing else, and nothing left beside it."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in FILES:
        content = (folder / name).read_bytes()
        assert not content.startswith((b"\x80", b"PK"))


def test_a_run_is_read_by_its_bundle(folder, tmp_path):
    """The folder that a training wrote can be given in place of the bundle in it."""
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "bundle")
    assert read_bundle(run).card == BUNDLE.card


@pytest.mark.parametrize("place", [0, 0.2, 0.5, 0.8, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_noticed(folder, name, place):
    """Wherever one bit of one file changes, the file is named."""
    content = bytearray((folder / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x04
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"Model '{folder}' was changed or damaged: '{name}' is not what was saved. "
        "Copy it again, or train again."
    )


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(folder, name):
    """A bundle without its tensors or its card is incomplete."""
    (folder / name).unlink()
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == f"Model '{folder}' is incomplete: '{name}' is missing."


def test_a_folder_without_a_config_is_no_model(folder):
    """The error says what to give instead."""
    (folder / "config.json").unlink()
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"'{folder}' is no model: it holds no 'config.json'. Give a run or its 'bundle' folder."
    )


def test_a_folder_that_does_not_exist(tmp_path):
    """A wrong path is told."""
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / "none")
    assert str(caught.value) == f"Model '{tmp_path / 'none'}' does not exist."


def test_a_file_is_no_model(folder):
    """A file in the place of the folder is no model."""
    with pytest.raises(BundleError, match=r"is no model: it holds no 'config\.json'"):
        read_bundle(folder / "model.safetensors")


def change_config(folder, **changes):
    """Write another config with a right checksum of its own."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    del config["sha256"]
    config["sha256"] = digest(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_a_newer_version_is_told(folder):
    """A bundle of a later headstart says to upgrade."""
    change_config(folder, schema=3)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"Model '{folder}' has version 3, this headstart reads up to 2. Upgrade headstart."
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}'])
def test_a_config_that_is_no_config(folder, text):
    """Anything else in its place is damage."""
    (folder / "config.json").write_text(text)
    with pytest.raises(BundleError, match=r"'config\.json' is not what was saved"):
        read_bundle(folder)


def test_tensors_that_are_no_safetensors(folder):
    """A file of another format with a right checksum is refused without being executed."""
    (folder / "model.safetensors").write_bytes(b"\x80\x04.")
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[1:]}
    change_config(folder, files=files)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value).startswith(f"Model '{folder}' cannot be read: ")


def test_an_existing_folder_is_not_replaced(folder):
    """Without overwrite the old bundle stays as it is."""
    before = (folder / "config.json").read_bytes()
    with pytest.raises(OutputError) as caught:
        write_bundle(replace(BUNDLE, card="other"), folder)
    assert str(caught.value) == (
        f"Output '{folder}' already exists. Pass overwrite=True to replace it."
    )
    assert (folder / "config.json").read_bytes() == before


def test_overwrite_replaces_a_bundle(folder):
    """With overwrite the new bundle is there, and nothing of the old one."""
    (folder / "old.txt").write_text("old")
    write_bundle(replace(BUNDLE, card="other"), folder, overwrite=True)
    assert read_bundle(folder).card == "other"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_overwrite_deletes_nothing_but_a_bundle(tmp_path):
    """A folder of photos given by mistake is not deleted."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"dear")
    with pytest.raises(OutputError):
        write_bundle(BUNDLE, photos, overwrite=True)
    assert (photos / "a.jpg").read_bytes() == b"dear"


def test_a_folder_that_cannot_be_written(tmp_path):
    """A file in the way is told, and nothing is left."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        write_bundle(BUNDLE, tmp_path / "file" / "model")
    assert str(caught.value) == (
        f"Model '{tmp_path / 'file' / 'model'}' cannot be written: Not a directory."
    )


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 128 KiB, or skip."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_leaves_the_old_bundle(small_disk):
    """A bundle that does not fit is told, leaves nothing, and the old one stays."""
    folder = small_disk / "model"
    write_bundle(BUNDLE, folder)
    large = replace(BUNDLE, tensors={"a": np.ones(100_000, dtype=np.float32)})
    with pytest.raises(OutputError) as caught:
        write_bundle(large, folder, overwrite=True)
    assert str(caught.value) == (f"Model '{folder}' cannot be written: No space left on device.")
    assert read_bundle(folder).card == BUNDLE.card
    assert [path.name for path in small_disk.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"kind": "kernel", "numbers": {}}, True),
        ({"kind": "linear", "numbers": {}}, False),
        ({"kind": "blend", "numbers": {"first.kind": "linear", "second.kind": "kernel"}}, True),
        ({"kind": "blend", "numbers": {"first.kind": "linear", "second.kind": "linear"}}, False),
    ],
)
def test_a_card_says_that_features_of_training_images_are_kept(head, said):
    """A kernel keeps them, alone or averaged with another head."""
    config = replace(CONFIG, head=HeadConfig(head["kind"], head["numbers"]))
    card = model_card(config, Single())
    assert ("keeps the features of training images" in card) == said


@pytest.mark.parametrize(
    ("origin", "licence", "line"),
    [
        ("random", None, "random"),
        ("imagenet", "mit", "imagenet, licence mit"),
        (
            "imagenet",
            "cc-by-nc-4.0",
            "imagenet, licence cc-by-nc-4.0, which does not allow commercial use",
        ),
        ("imagenet", "unknown", "imagenet, licence unknown"),
        ("model.safetensors", None, "model.safetensors, licence unknown"),
    ],
)
def test_a_card_names_the_licence_of_the_weights(origin, licence, line):
    """What a model may be used for depends on what it was made of."""
    backbone = BackboneConfig("tiny", "test_resnet", origin, licence=licence)
    card = model_card(replace(CONFIG, backbone=backbone), Single())
    assert f"\n- Weights: {line}\n" in card


def test_a_bundle_keeps_the_licence(folder):
    """It is read as it was written, and a bundle that was written without one still loads."""
    backbone = BackboneConfig("tiny", "test_resnet", "imagenet", licence="mit")
    write_bundle(replace(BUNDLE, config=replace(CONFIG, backbone=backbone)), folder, overwrite=True)
    assert read_bundle(folder).config.backbone.licence == "mit"
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["backbone"]["licence"]
    change_config(folder, backbone=values["backbone"])
    assert read_bundle(folder).config.backbone.licence is None


def test_a_missing_part_is_named(folder):
    """A config that lacks something, with a right checksum, says what."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["calibration"]["temperature"]
    change_config(folder, calibration=values["calibration"])
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"Model '{folder}' is incomplete: 'calibration.temperature' is missing."
    )
