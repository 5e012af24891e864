"""A trained model on disk: a folder of safetensors, JSON and Markdown files with checksums.

No file uses pickle.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from headstart.arrays import Tensors
from headstart.backbones.saved import SavedBackbone
from headstart.errors import BundleError, OutputError
from headstart.files import atomic_replace, digest, file_sha256, write_json
from headstart.predictor.config import Config, check_version

CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"


@dataclass(frozen=True)
class Bundle:
    """The contents of a trained model.

    Attributes:
        config: Everything except the weights.
        tensors: Weights by name.
        card: The model card, in Markdown; "" if it is missing, since predictions do not need it.
        sha256: Identifies all of the above, if it was read from disk; "" otherwise.
    """

    config: Config
    tensors: Tensors
    card: str
    sha256: str = ""

    @property
    def version(self) -> str:
        """A short form of `sha256`, by which people and logs tell versions apart."""
        return self.sha256[:12]

    def tensors_of(self, part: str) -> Tensors:
        """Return the weights of a part, "backbone" or "head", by their name within it."""
        return part_of(self.tensors, part)

    def backbone(self) -> SavedBackbone:
        """Return the backbone, whose network is built only if it is needed."""
        config = self.config
        return config.backbone.saved(config.preprocess, self.tensors_of("backbone"))


def part_of(tensors: Tensors, part: str) -> Tensors:
    """Return the tensors whose names begin with a part and a dot, by the rest of their names."""
    return {
        name.removeprefix(f"{part}."): value
        for name, value in tensors.items()
        if name.startswith(f"{part}.")
    }


def write_bundle(bundle: Bundle, folder: Path, *, overwrite: bool = False) -> None:
    """Write a bundle completely or not at all.

    Raises:
        OutputError: The folder exists and `overwrite` is false, or it cannot be written.
    """
    if folder.exists() and not overwrite:
        raise OutputError(f"Output '{folder}' already exists. Pass overwrite=True to replace it.")
    if folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise OutputError(
            f"Output '{folder}' is not a model, so it was not replaced. Choose another folder."
        )
    try:
        with atomic_replace(folder) as partial:
            write_files(bundle, partial)
    except OSError as error:
        raise OutputError(f"Model '{folder}' cannot be written: {error.strerror}.") from None


def write_files(bundle: Bundle, folder: Path) -> None:
    """Write the files of a bundle into a new folder.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True)
    tensors = {name: np.asarray(value, order="C") for name, value in bundle.tensors.items()}
    (folder / TENSORS).write_bytes(save(tensors))
    (folder / CARD).write_bytes(bundle.card.encode())
    files = {name: file_sha256(folder / name) for name in (TENSORS, CARD)}
    config = bundle.config.to_json() | {"files": files}
    write_json(folder / CONFIG, config | {"sha256": digest(config)})


def read_bundle(model: Path) -> Bundle:
    """Read a bundle, or the bundle of a run, and verify its checksums.

    Raises:
        BundleError: The bundle is missing, incomplete, changed, or of a later version.
    """
    folder = bundle_folder(model)
    values = _checked_config(folder)
    _check_files(folder, values)
    try:
        tensors = load_file(folder / TENSORS)
    except SafetensorError as error:
        raise BundleError(f"Model '{folder}' cannot be read: {error}.") from None
    config, card = Config.of(values, str(folder)), folder / CARD
    text = card.read_bytes().decode() if card.is_file() else ""
    return Bundle(config, tensors, text, str(values["sha256"]))


def bundle_folder(model: Path) -> Path:
    """Return the folder of a bundle, or of the bundle of a run.

    Raises:
        BundleError: There is none.
    """
    for folder in (model / "bundle", model):
        if (folder / CONFIG).is_file():
            return folder
    if not model.exists():
        raise BundleError(f"Model '{model}' does not exist.")
    if (model / "bundle").is_dir():
        raise BundleError(f"Model '{model / 'bundle'}' is incomplete: '{CONFIG}' is missing.")
    raise BundleError(
        f"'{model}' is not a model: it contains no '{CONFIG}'. "
        "Pass a run folder or its 'bundle' folder."
    )


def _checked_config(folder: Path) -> dict[str, JsonValue]:
    """Read the JSON values of a bundle of any version up to this one, and verify their digest."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError):
        raise _damaged(folder, CONFIG) from None
    if not isinstance(values, dict) or "schema" not in values:
        raise _damaged(folder, CONFIG)
    check_version(values["schema"], str(folder))
    if values.get("sha256") != digest(
        {name: value for name, value in values.items() if name != "sha256"}
    ):
        raise _damaged(folder, CONFIG)
    return values


def _check_files(folder: Path, values: Mapping[str, JsonValue]) -> None:
    files = values["files"]
    assert isinstance(files, dict)  # The digest of the values has been verified.
    for name, expected in files.items():
        path = folder / name
        if name == CARD and not path.exists():
            continue
        if not path.is_file():
            raise BundleError(f"Model '{folder}' is incomplete: '{name}' is missing.")
        if file_sha256(path) != expected:
            raise _damaged(folder, name)


def _damaged(folder: Path, name: str) -> BundleError:
    return BundleError(
        f"Model '{folder}' was changed or damaged: '{name}' differs from what was saved. "
        "Copy the model again, or retrain it."
    )
