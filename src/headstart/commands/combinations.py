"""Options that have no effect beside others: an error before any work is done, and not silence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from headstart.errors import OptionError
from headstart.options import BackbonesOptions, Options, RunOptions, TrainOptions

_Some = TypeVar("_Some", bound=Options)


@dataclass(frozen=True)
class Rule(Generic[_Some]):
    """A case in which some options have no effect.

    Attributes:
        names: The options.
        applies: Whether this is the case.
        why: The end of "--epochs 3 has no effect …", with what to do.
    """

    names: tuple[str, ...]
    applies: Callable[[_Some], bool]
    why: str


# The augmentation that each kind of orientations amounts to.
_SAME = {"mirror": "flip", "dihedral": "dihedral"}

RUN: tuple[Rule[RunOptions], ...] = (
    Rule(
        ("overwrite",),
        lambda options: options.out is None,
        "without --out, as each run gets a new folder. Add --out with the run to replace.",
    ),
)

TRAINING: tuple[Rule[TrainOptions], ...] = (
    Rule(
        (
            *("minutes", "epochs", "learning_rate", "augment", "views", "batch_size", "mixup"),
            *("store_gb", "log", "resume"),
        ),
        lambda options: options.tune == "none" and options.recipe == "headstart",
        "without fine-tuning. Add --tune, such as --tune auto.",
    ),
    Rule(
        ("backbones", "sample", "budget_ms"),
        lambda options: options.backbone != "auto",
        "unless backbones are compared. Add --backbone auto.",
    ),
    Rule(
        ("weights",),
        lambda options: options.backbone == "auto",
        "with --backbone auto. Name weights with the backbones: --backbones NAME=WEIGHTS,…",
    ),
    Rule(
        ("balanced",),
        lambda options: options.head == "nearest",
        "with --head nearest, which averages each class by itself. Leave it out.",
    ),
    Rule(
        ("augment",),
        lambda options: _SAME.get(options.orientations, options.augment) != options.augment,
        "with --orientations, because fine-tuning learns from those orientations. Leave it out.",
    ),
    Rule(
        ("views",),
        lambda options: options.orientations != "one",
        "with --orientations, because fine-tuning learns from those orientations. Leave it out.",
    ),
    Rule(
        ("views",),
        lambda options: options.augment == "none",
        "with --augment none, which leaves one view of each image. Leave it out.",
    ),
)

BACKBONES: tuple[Rule[BackbonesOptions], ...] = (
    Rule(
        ("device", "precision", "cache"),
        lambda options: not options.measure,
        "unless backbones are run. Add --measure.",
    ),
)


def require_effect(options: _Some, rules: Sequence[Rule[_Some]]) -> None:
    """Refuse options that the user gave and that have no effect.

    Raises:
        OptionError: There is one; the text says why, and what to do.
    """
    given = options.given()
    for rule in rules:
        for name in rule.names:
            if name in given and rule.applies(options):
                raise OptionError(f"{_flag(name, given[name])} has no effect {rule.why}")


def _flag(name: str, value: object) -> str:
    """Return an option as it stands in a command."""
    flag = f"--{name.replace('_', '-')}"
    return flag if value is True else f"{flag} {value}"
