"""Check the options of a training before any work is done."""

import os

from headstart.backbones.weights import check_reachable
from headstart.choosing.candidates import candidates_of
from headstart.commands.combinations import (
    SEARCH,
    reject_ineffective_options,
    reject_ineffective_training_options,
)
from headstart.engines.devices import choose_device
from headstart.errors import OptionError
from headstart.options import TrainOptions
from headstart.tuning.events.listeners import check_listeners
from headstart.tuning.fine_tuning import check_scales
from headstart.tuning.metric import require_metric_learning


def check_training(options: TrainOptions, data: str | os.PathLike[str]) -> None:
    """Reject options without an effect and unknown names.

    Args:
        options: What to do.
        data: See `train`.

    Raises:
        OptionError: An option has no effect, is unknown, or cannot be combined with another one.
    """
    reject_ineffective_training_options(options, data)
    reject_ineffective_options(options, SEARCH)
    check_listeners(options.listeners)
    if options.tune != "none" or options.objective == "metric":
        check_scales(options.scales)
    if options.objective == "metric":
        require_metric_learning()
    _check_deterministic(options)
    choose_device(options.device)
    if options.backbone == "auto":
        candidates_of(options.backbones)
    else:
        check_reachable(options.backbone, options.weights)


def _check_deterministic(options: TrainOptions) -> None:
    """Reject options that depend on timing if the result must be deterministic."""
    options.check_deterministic(options.tune)
    if options.deterministic and options.device == "cuda":
        raise OptionError(
            "--deterministic works on the CPU only. Remove --device, or use --device cpu."
        )
    if options.deterministic and options.backbone == "auto":
        raise OptionError(
            "--backbone auto times backbones, which is not deterministic. Name a backbone."
        )
