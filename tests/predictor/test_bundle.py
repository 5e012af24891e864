"""A bundle is read exactly as written, or the error says what is wrong with it."""

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
    """Write the bundle and return its folder."""
    write_bundle(BUNDLE, tmp_path / "model")
    return tmp_path / "model"


def test_a_bundle_is_read_as_written(folder):
    """Config, tensors with shape and precision, and card are equal."""
    bundle = read_bundle(folder)
    assert bundle.config == BUNDLE.config
    assert bundle.card == BUNDLE.card
    assert bundle.tensors.keys() == BUNDLE.tensors.keys()
    for name, tensor in BUNDLE.tensors.items():
        assert bundle.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(bundle.tensors[name], tensor)


def test_a_bundle_is_three_files_without_pickle(folder):
    """A bundle has a JSON, a safetensors and a Markdown file, and no temporary files are left."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in FILES:
        content = (folder / name).read_bytes()
        assert not content.startswith((b"\x80", b"PK"))


def test_a_run_is_read_as_its_bundle(folder, tmp_path):
    """The folder of a run can be passed instead of its bundle."""
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "bundle")
    assert read_bundle(run).card == BUNDLE.card


@pytest.mark.parametrize("position", [0, 0.2, 0.5, 0.8, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_detected(folder, name, position):
    """Wherever a bit of a file changes, the error names the file."""
    content = bytearray((folder / name).read_bytes())
    content[int(position * (len(content) - 1))] ^= 0x04
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"Model '{folder}' was changed or damaged: '{name}' differs from what was saved. "
        "Copy the model again, or retrain it."
    )


def test_a_missing_file_is_named(folder):
    """A bundle without its tensors is incomplete."""
    (folder / "model.safetensors").unlink()
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == f"Model '{folder}' is incomplete: 'model.safetensors' is missing."


def test_a_bundle_without_its_card_loads(folder):
    """The card is for people; predictions do not need it."""
    (folder / "README.md").unlink()
    bundle = read_bundle(folder)
    assert (bundle.config, bundle.card) == (BUNDLE.config, "")
    assert bundle.tensors.keys() == BUNDLE.tensors.keys()


def test_a_folder_without_a_config_is_not_a_model(folder):
    """The error says what to pass instead."""
    (folder / "config.json").unlink()
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"'{folder}' is not a model: it contains no 'config.json'. "
        "Pass a run folder or its 'bundle' folder."
    )


def test_a_run_without_its_config_is_incomplete(folder, tmp_path):
    """A run folder whose bundle has lost its configuration is named as such."""
    (folder / "config.json").unlink()
    run = tmp_path / "run"
    run.mkdir()
    bundle = folder.rename(run / "bundle")
    with pytest.raises(BundleError) as caught:
        read_bundle(run)
    assert str(caught.value) == f"Model '{bundle}' is incomplete: 'config.json' is missing."


def test_a_folder_that_does_not_exist(tmp_path):
    """The error names a path that does not exist."""
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / "none")
    assert str(caught.value) == f"Model '{tmp_path / 'none'}' does not exist."


def test_a_file_is_not_a_model(folder):
    """A file is not a model."""
    with pytest.raises(BundleError, match=r"is not a model: it contains no 'config\.json'"):
        read_bundle(folder / "model.safetensors")


def change_config(folder, **changes):
    """Change values of the config and update its checksum."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    del config["sha256"]
    config["sha256"] = digest(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_a_later_version_is_an_error(folder):
    """The error says to upgrade."""
    change_config(folder, schema=5)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"Model '{folder}' has version 5, but this version of headstart reads only up to 4. "
        "Upgrade headstart."
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}'])
def test_an_invalid_config(folder, text):
    """A config that is not a JSON object of a bundle counts as damaged."""
    (folder / "config.json").write_text(text)
    with pytest.raises(BundleError, match=r"'config\.json' differs from what was saved"):
        read_bundle(folder)


def test_tensors_in_another_format(folder):
    """A file of another format is refused without being executed, even with a valid checksum."""
    (folder / "model.safetensors").write_bytes(b"\x80\x04.")
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[1:]}
    change_config(folder, files=files)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value).startswith(f"Model '{folder}' cannot be read: ")


def test_an_existing_folder_is_not_replaced(folder):
    """Without `overwrite`, the existing bundle is unchanged."""
    before = (folder / "config.json").read_bytes()
    with pytest.raises(OutputError) as caught:
        write_bundle(replace(BUNDLE, card="other"), folder)
    assert str(caught.value) == (
        f"Output '{folder}' already exists. Pass overwrite=True to replace it."
    )
    assert (folder / "config.json").read_bytes() == before


def test_overwrite_replaces_a_bundle(folder):
    """With `overwrite`, no files of the existing bundle are left."""
    (folder / "old.txt").write_text("old")
    write_bundle(replace(BUNDLE, card="other"), folder, overwrite=True)
    assert read_bundle(folder).card == "other"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_overwrite_replaces_only_bundles(tmp_path):
    """A folder of photos is not deleted by mistake."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"dear")
    with pytest.raises(OutputError):
        write_bundle(BUNDLE, photos, overwrite=True)
    assert (photos / "a.jpg").read_bytes() == b"dear"


def test_a_folder_that_cannot_be_written(tmp_path):
    """If a file is in the way, the error has the system's reason."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        write_bundle(BUNDLE, tmp_path / "file" / "model")
    assert str(caught.value) == (
        f"Model '{tmp_path / 'file' / 'model'}' cannot be written: Not a directory."
    )


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 128 KiB, or skip the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_leaves_the_old_bundle(small_disk):
    """A bundle that does not fit is an error, and the existing bundle is kept."""
    folder = small_disk / "model"
    write_bundle(BUNDLE, folder)
    large = replace(BUNDLE, tensors={"a": np.ones(100_000, dtype=np.float32)})
    with pytest.raises(OutputError) as caught:
        write_bundle(large, folder, overwrite=True)
    assert str(caught.value) == (f"Model '{folder}' cannot be written: No space left on device.")
    assert read_bundle(folder).card == BUNDLE.card
    assert [path.name for path in small_disk.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"kind": "kernel", "numbers": {}}, True),
        ({"kind": "linear", "numbers": {}}, False),
        ({"kind": "blend", "numbers": {"first.kind": "linear", "second.kind": "kernel"}}, True),
        ({"kind": "blend", "numbers": {"first.kind": "linear", "second.kind": "linear"}}, False),
    ],
)
def test_a_card_says_whether_features_of_training_images_are_kept(head, expected):
    """A kernel head keeps them, also in a blend."""
    config = replace(CONFIG, head=HeadConfig(head["kind"], head["numbers"]))
    card = model_card(config, Single())
    assert ("keeps the features of training images" in card) == expected


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
    """The licence of the weights applies to the model."""
    backbone = BackboneConfig("tiny", "test_resnet", origin, licence=licence)
    card = model_card(replace(CONFIG, backbone=backbone), Single())
    assert f"\n- Weights: {line}\n" in card


def test_a_bundle_keeps_the_licence(folder):
    """The licence is read as written; bundles without a licence still load."""
    backbone = BackboneConfig("tiny", "test_resnet", "imagenet", licence="mit")
    write_bundle(replace(BUNDLE, config=replace(CONFIG, backbone=backbone)), folder, overwrite=True)
    assert read_bundle(folder).config.backbone.licence == "mit"
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["backbone"]["licence"]
    change_config(folder, backbone=values["backbone"])
    assert read_bundle(folder).config.backbone.licence is None


def test_a_missing_value_is_named(folder):
    """If a config lacks a value, the error names the value."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["calibration"]["temperature"]
    change_config(folder, calibration=values["calibration"])
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == (
        f"Model '{folder}' cannot be read: 'calibration.temperature' is missing."
    )
