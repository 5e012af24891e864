"""Combinations of options in which one has no effect: an error before any work is done."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from headstart.errors import OptionError
from headstart.options import (
    BackbonesOptions,
    CheckOptions,
    CompareOptions,
    EvaluateOptions,
    Options,
    PredictOptions,
    RunOptions,
    TileOptions,
    TrainOptions,
    TryOptions,
)

_OptionsT = TypeVar("_OptionsT", bound=Options)


@dataclass(frozen=True)
class Rule(Generic[_OptionsT]):
    """A case in which some options have no effect.

    Attributes:
        names: The options.
        applies: Whether the options are such a case.
        why: The end of the message "--epochs 3 has no effect …", with advice.
    """

    names: tuple[str, ...]
    applies: Callable[[_OptionsT], bool]
    why: str


# The augmentation that is equivalent to each kind of orientations.
_EQUIVALENT_AUGMENTATION = {"mirror": "flip", "dihedral": "dihedral"}

RUN: tuple[Rule[RunOptions], ...] = (
    Rule(
        ("overwrite",),
        lambda options: options.out is None,
        "without --out, because each run gets a new folder. Add --out with the run to replace.",
    ),
)

SEARCH: tuple[Rule[TryOptions], ...] = (
    Rule(
        ("search",),
        lambda options: options.cluster is None,
        "without --cluster. Add --cluster local for processes of this machine.",
    ),
)

FROZEN: tuple[Rule[TrainOptions], ...] = (
    Rule(
        (
            *("minutes", "epochs", "learning_rate", "augment", "views", "batch_size", "mixup"),
            *("store_gb", "log", "resume"),
        ),
        lambda options: (
            options.tune == "none"
            and options.recipe == "headstart"
            and options.objective == "classes"
        ),
        "without fine-tuning. Add --tune, such as --tune auto.",
    ),
)
"""Of options that also steer the training of a detector, which needs no fine-tuning."""

LABELS: tuple[Rule[TileOptions], ...] = (
    Rule(
        ("tiles", "pictures"),
        lambda _: True,
        "on labels of whole images: it is for detectors. Remove it.",
    ),
)
"""Of options that are for boxes."""

_NO_MEMORY = (
    "if the features of the training images do not fit in memory. Remove it, or raise "
    "--head-memory."
)

STREAMED: tuple[Rule[TrainOptions], ...] = (
    Rule(("leakage", "learning_curve"), lambda _: True, _NO_MEMORY),
    Rule(("tune",), lambda options: options.tune != "none", _NO_MEMORY),
)
"""Of options that need all features in memory."""

TRAINING: tuple[Rule[TrainOptions], ...] = (
    Rule(
        ("recipe", "mixup"),
        lambda options: options.objective == "metric",
        "with --objective metric. Remove it.",
    ),
    Rule(
        ("backbones", "sample", "search", "budget_ms"),
        lambda options: options.backbone != "auto",
        "unless backbones are compared. Add --backbone auto.",
    ),
    Rule(
        ("no_hint",),
        lambda options: options.tune != "none",
        "with --tune, which finds out. Remove it.",
    ),
    Rule(
        ("weights",),
        lambda options: options.backbone == "auto",
        "with --backbone auto. Specify weights per backbone: --backbones NAME=WEIGHTS,…",
    ),
    Rule(
        ("scales",),
        lambda options: options.scales != "one" and options.features != "auto",
        "with --features, because those have one scale. Remove one of the two.",
    ),
    Rule(
        ("balanced",),
        lambda options: options.head == "nearest",
        "with --head nearest, which averages each class separately. Remove it.",
    ),
    Rule(
        ("augment",),
        lambda options: (
            _EQUIVALENT_AUGMENTATION.get(options.orientations, options.augment) != options.augment
        ),
        "with --orientations, because fine-tuning uses those orientations. Remove it.",
    ),
    Rule(
        ("views",),
        lambda options: options.orientations != "one",
        "with --orientations, because fine-tuning uses those orientations. Remove it.",
    ),
    Rule(
        ("views",),
        lambda options: options.augment == "none",
        "with --augment none, which leaves one view per image. Remove it.",
    ),
)

DETECTION: tuple[Rule[TrainOptions], ...] = (
    Rule(
        (
            *(
                "head",
                "features",
                "balanced",
                "head_memory",
                "orientations",
                "scales",
                "fit",
                "recipe",
            ),
            *("augment", "mixup", "no_hint", "log", "keep_examples", "compare", "learning_curve"),
            *("leakage", "prevalence", "slices", "backbones", "sample", "search"),
            *("budget_ms",),
            *("patient_key", "labels", "label_separator", "uncertain"),
        ),
        lambda _: True,
        "on a detector of boxes. Remove it.",
    ),
)
"""Of options that are for labels of whole images."""

PREDICTION: tuple[Rule[PredictOptions], ...] = (
    Rule(
        ("overwrite",),
        lambda options: not (options.out or options.explain or options.pictures),
        "without --out. Add --out with the file to replace.",
    ),
    Rule(
        ("format",),
        lambda options: options.out is None,
        "without --out. Add --out, such as --out results.json.",
    ),
    Rule(
        ("max_pixels",),
        lambda options: options.explain is not None,
        "with --explain, which reads images of at most 100 million pixels. Remove one of the two.",
    ),
    Rule(
        ("set_method",),
        lambda options: options.coverage is None,
        "without --coverage. Add --coverage, such as --coverage 0.9.",
    ),
)

EVALUATION: tuple[Rule[EvaluateOptions], ...] = (
    Rule(
        ("overwrite",),
        lambda options: options.out is None,
        "without --out. Add --out with the folder to replace.",
    ),
)

EVALUATION_OF_BOXES: tuple[Rule[EvaluateOptions], ...] = (
    Rule(
        ("prevalence", "slices", "labels", "label_separator", "uncertain"),
        lambda _: True,
        "on a detector of boxes. Remove it.",
    ),
)

OWN_DATA: tuple[Rule[EvaluateOptions], ...] = (
    Rule(
        ("labels", "label_separator", "uncertain"),
        lambda _: True,
        "without DATA, because the labels are those of the training. Remove it.",
    ),
)

BACKBONES: tuple[Rule[BackbonesOptions], ...] = (
    Rule(
        ("device", "precision", "cache"),
        lambda options: not options.measure,
        "unless backbones are run. Add --measure.",
    ),
)


CHECK: tuple[Rule[CheckOptions], ...] = (
    Rule(
        ("out",),
        lambda options: options.apply is None,
        "without --apply. For a page with pictures, pass --report; for a plan, --plan.",
    ),
    Rule(
        ("apply",),
        lambda options: options.out is None,
        "without --out. Add --out with a new folder for the copy.",
    ),
    Rule(
        ("report", "plan", "overwrite", "no_label_errors", "backbone", "weights"),
        lambda options: options.apply is not None,
        "with --apply, which only copies. Remove one of the two.",
    ),
    Rule(
        ("overwrite",),
        lambda options: options.report is None and options.plan is None,
        "without --report or --plan.",
    ),
    Rule(
        ("backbone", "weights", "device", "precision"),
        lambda options: options.no_label_errors,
        "with --no-label-errors. Remove one of the two.",
    ),
    Rule(
        ("test",),
        lambda options: True,
        "here, because all images are checked. Remove it.",
    ),
)


COMPARISON: tuple[Rule[CompareOptions], ...] = (
    Rule(
        ("overwrite",),
        lambda options: options.report is None,
        "without --report. Add --report with the file to replace.",
    ),
)


def reject_ineffective_options(options: _OptionsT, rules: Sequence[Rule[_OptionsT]]) -> None:
    """Reject options that the user passed but that have no effect.

    Raises:
        OptionError: An option has no effect. The message says why and what to do.
    """
    given = options.given()
    for rule in rules:
        for name in rule.names:
            if name in given and rule.applies(options):
                raise OptionError(f"{_flag(name, given[name])} has no effect {rule.why}")


def reject_ineffective_training_options(
    options: TrainOptions, data: str | os.PathLike[str] | None
) -> None:
    """Reject options that have no effect in a training.

    Args:
        options: What to do.
        data: See `train`; None for the demo's. If it may have boxes, some options need no
            fine-tuning.

    Raises:
        OptionError: See `reject_ineffective_options`.
    """
    reject_ineffective_options(options, RUN)
    reject_ineffective_options(options, TRAINING)
    if _gives_any(options, FROZEN):
        from headstart.tasks.opening import may_have_boxes  # Arrow is slow to import.

        if data is None or not may_have_boxes(data, options.task):
            reject_ineffective_options(options, FROZEN)


def _gives_any(options: Options, rules: Sequence[Rule[_OptionsT]]) -> bool:
    """Return whether the user passed an option that some rules are about."""
    given = options.given()
    return any(name in given for rule in rules for name in rule.names)


def _flag(name: str, value: object) -> str:
    """Return an option as it is written on the command line."""
    flag = f"--{name.replace('_', '-')}"
    return flag if value is True else f"{flag} {value}"
