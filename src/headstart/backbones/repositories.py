"""Networks on the hub in timm's form: `config.json` names the architecture and its images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import timm

from headstart.backbones import hub
from headstart.backbones.arguments import ARGUMENTS, with_arguments
from headstart.errors import WeightsError

PREFIX = "hf-hub:"

_CONFIG = "config.json"
_IMAGES = ("mean", "std", "interpolation", "input_size")


@dataclass(frozen=True)
class TimmRepository:
    """What a repository says of its network.

    Attributes:
        architecture: timm's name, with arguments that differ from the architecture's own.
        images: How timm preprocesses images for it: mean, std, interpolation, input_size; what
            is missing is the architecture's own.
    """

    architecture: str
    images: Mapping[str, Any]

    @classmethod
    def read(cls, name: str) -> Self:
        """Read the configuration of a repository, downloaded unless it is in the cache.

        Args:
            name: "hf-hub:OWNER/NAME".

        Raises:
            WeightsError: It cannot be downloaded, or is not in timm's form.
        """
        config = _read_config(name)
        if not _is_timm(config):
            raise WeightsError(
                f"'{name}' is not a network in timm's form: its {_CONFIG} names no architecture "
                "of timm."
            )
        arguments = _table(config, "model_args", name)
        unknown = sorted(set(arguments) - set(ARGUMENTS))
        if unknown:
            raise WeightsError(
                f"'{name}' cannot be built: its {_CONFIG} has the argument '{unknown[0]}', which "
                "is not supported."
            )
        images = _table(config, "pretrained_cfg", name)
        return cls(
            with_arguments(config["architecture"], arguments),
            {key: images[key] for key in _IMAGES if key in images},
        )


def is_repository(name: str) -> bool:
    """Return whether a name is that of a repository on the hub."""
    return name.startswith(PREFIX)


def has_timm_network(name: str) -> bool:
    """Return whether a repository on the hub can be read and has a network in timm's form."""
    try:
        return _is_timm(_read_config(name))
    except WeightsError:
        return False


def weights_of(name: str, weights: str) -> str:
    """Return the weights to load; those of a repository come with its network."""
    return name if is_repository(name) and weights == "imagenet" else weights


def _is_timm(config: Mapping[str, Any]) -> bool:
    architecture = config.get("architecture")
    return isinstance(architecture, str) and bool(timm.is_model(architecture.split(".")[0]))


def _table(config: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    values = config.get(key) or {}
    if not isinstance(values, dict):
        raise WeightsError(f"'{key}' of '{name}' must be a table of values. Got {values!r}.")
    return values


def _read_config(name: str) -> dict[str, Any]:
    path = hub.download(name.removeprefix(PREFIX), _CONFIG)
    try:
        config = json.loads(path.read_bytes())
    except ValueError:
        raise WeightsError(f"'{_CONFIG}' of '{name}' is not valid JSON.") from None
    return config if isinstance(config, dict) else {}
