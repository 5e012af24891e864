"""A trained model on disk: a folder with safetensors and JSON, no pickle, every byte checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from headstart.arrays import Tensors
from headstart.errors import BundleError, OutputError
from headstart.files import atomic_replace, digest, file_sha256, write_json
from headstart.predictor.config import Config, require_version

CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"


@dataclass(frozen=True)
class Bundle:
    """What a trained model consists of.

    Attributes:
        config: Everything but weights.
        tensors: Weights by name.
        card: The model card, in Markdown.
    """

    config: Config
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
    try:
        with atomic_replace(folder) as partial:
            write_files(bundle, partial)
    except OSError as error:
        raise OutputError(f"Model '{folder}' cannot be written: {error.strerror}.") from None


def write_files(bundle: Bundle, folder: Path) -> None:
    """Write a bundle's files into a new folder; an OSError is left to the caller."""
    folder.mkdir(parents=True)
    tensors = {name: np.asarray(value, order="C") for name, value in bundle.tensors.items()}
    (folder / TENSORS).write_bytes(save(tensors))
    (folder / CARD).write_bytes(bundle.card.encode())
    files = {name: file_sha256(folder / name) for name in (TENSORS, CARD)}
    config = bundle.config.to_json() | {"files": files}
    write_json(folder / CONFIG, config | {"sha256": digest(config)})


def read_bundle(model: Path) -> Bundle:
    """Read a bundle, or the bundle of a run, and check every byte of it.

    Raises:
        BundleError: It is missing, incomplete, changed, or of a newer version.
    """
    folder = _bundle_folder(model)
    values = _checked_config(folder)
    _check_files(folder, values)
    try:
        tensors = load_file(folder / TENSORS)
    except SafetensorError as error:
        raise BundleError(f"Model '{folder}' cannot be read: {error}.") from None
    config = Config.of(values, str(folder))
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


def _checked_config(folder: Path) -> dict[str, JsonValue]:
    """Read the JSON values of a bundle, of any version up to this one, if nothing changed them."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError):
        raise _damaged(folder, CONFIG) from None
    if not isinstance(values, dict) or "schema" not in values:
        raise _damaged(folder, CONFIG)
    require_version(values["schema"], str(folder))
    if values.get("sha256") != digest({k: v for k, v in values.items() if k != "sha256"}):
        raise _damaged(folder, CONFIG)
    return values


def _check_files(folder: Path, values: Mapping[str, JsonValue]) -> None:
    files = values["files"]
    assert isinstance(files, dict)  # The digest of the values was right.
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"Model '{folder}' is incomplete: '{name}' is missing.")
        if file_sha256(path) != expected:
            raise _damaged(folder, name)


def _damaged(folder: Path, name: str) -> BundleError:
    return BundleError(
        f"Model '{folder}' was changed or damaged: '{name}' is not what was saved. "
        "Copy it again, or train again."
    )
