"""A trained model on disk: a folder with safetensors and JSON, no pickle, every byte checked."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from headstart.errors import BundleError, OutputError
from headstart.files import file_sha256

SCHEMA = 1
CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"

Tensors = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Bundle:
    """What a trained model consists of.

    Attributes:
        config: Plain JSON values: classes in order, preprocess, backbone, head, calibration, …
        tensors: Weights by name.
        card: The model card, in Markdown.
    """

    config: Mapping[str, Any]
    tensors: Tensors
    card: str


def write_bundle(bundle: Bundle, folder: Path, *, overwrite: bool = False) -> None:
    """Write a bundle as a whole or not at all.

    Raises:
        OutputError: The folder exists and `overwrite` is false, or it cannot be written.
    """
    if folder.exists() and not overwrite:
        raise OutputError(f"Output '{folder}' already exists. Pass overwrite=True to replace it.")
    if folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise OutputError(f"Output '{folder}' is no model, so it is not replaced.")
    partial = folder.with_name(f".{folder.name}-{uuid4().hex}")
    try:
        write_files(bundle, partial)
        replace_folder(partial, folder)
    except OSError as error:
        raise OutputError(f"Model '{folder}' cannot be written: {error.strerror}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_files(bundle: Bundle, folder: Path) -> None:
    """Write a bundle's files into a new folder; an OSError is left to the caller."""
    folder.mkdir(parents=True)
    tensors = {name: np.asarray(value, order="C") for name, value in bundle.tensors.items()}
    (folder / TENSORS).write_bytes(save(tensors))
    (folder / CARD).write_bytes(bundle.card.encode())
    config = {
        "schema": SCHEMA,
        **bundle.config,
        "files": {name: file_sha256(folder / name) for name in (TENSORS, CARD)},
    }
    config["sha256"] = _digest(config)
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of another, which is there until the new one is."""
    aside = folder.with_name(f".{folder.name}-{uuid4().hex}-old")
    if folder.exists():
        folder.replace(aside)
    try:
        new.replace(folder)
    except OSError:
        if aside.exists():
            aside.replace(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def read_bundle(model: Path) -> Bundle:
    """Read a bundle, or the bundle of a run, and check every byte of it.

    Raises:
        BundleError: It is missing, incomplete, changed, or of a newer version.
    """
    folder = _bundle_folder(model)
    config = _config(folder)
    for name, expected in config["files"].items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"Model '{folder}' is incomplete: '{name}' is missing.")
        if file_sha256(path) != expected:
            raise BundleError(
                f"Model '{folder}' was changed or damaged: '{name}' is not what was saved. "
                "Copy it again, or train again."
            )
    try:
        tensors = load_file(folder / TENSORS)
    except SafetensorError as error:
        raise BundleError(f"Model '{folder}' cannot be read: {error}.") from None
    return Bundle(config, tensors, (folder / CARD).read_bytes().decode())


def _bundle_folder(model: Path) -> Path:
    for folder in (model / "bundle", model):
        if (folder / CONFIG).is_file():
            return folder
    if not model.exists():
        raise BundleError(f"Model '{model}' does not exist.")
    raise BundleError(
        f"'{model}' is no model: it holds no '{CONFIG}'. Give a run or its 'bundle' folder."
    )


def _config(folder: Path) -> dict[str, Any]:
    damaged = (
        f"Model '{folder}' was changed or damaged: '{CONFIG}' is not what was saved. "
        "Copy it again, or train again."
    )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError):
        raise BundleError(damaged) from None
    if not isinstance(config, dict) or "schema" not in config:
        raise BundleError(damaged)
    if config["schema"] != SCHEMA:
        raise BundleError(
            f"Model '{folder}' has version {config['schema']}, this headstart reads up to "
            f"{SCHEMA}. Upgrade headstart."
        )
    if config.get("sha256") != _digest({k: v for k, v in config.items() if k != "sha256"}):
        raise BundleError(damaged)
    return config


def _digest(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def model_card(config: Mapping[str, Any]) -> str:
    """Write the model card: what it tells apart, how well, and what it was made of."""
    test = config["metrics"].get("test") or {}
    lines = [
        f"# A classifier of {len(config['classes'])} classes",
        "",
        (
            "Made with Headstart. Load it with `headstart.load(folder)` or use it with "
            "`headstart predict folder image.jpg`."
        ),
        "",
        f"- Classes: {', '.join(config['classes'])}",
        f"- Backbone: {config['backbone']['name']}, weights: {config['backbone']['origin']}",
        f"- Head: {config['head']['kind']} on {config['features']} features",
        f"- Created: {config['created']} with headstart {config['headstart']}",
    ]
    if test:
        low, high = test["accuracy_ci95"]
        right = f"On {test['images']} test images that it never saw it was right "
        right += f"{test['accuracy']:.1%} of the time (95 % interval {low:.1%} to {high:.1%})."
        lines += ["", right]
    if "kernel" in {config["head"]["kind"], *config["head"]["numbers"].values()}:
        lines += ["", "The head keeps the features of training images, not the images themselves."]
    return "\n".join(lines) + "\n"
