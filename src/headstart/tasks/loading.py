"""Load models and look up their task."""

import os
from pathlib import Path

from headstart.errors import BundleError
from headstart.options import ComputeOptions
from headstart.predictor.bundle import read_bundle
from headstart.predictor.predictor import Predictor
from headstart.task import Task
from headstart.tasks.multi import Multi
from headstart.tasks.single import Single

TASKS: dict[str, Task] = {Single.name: Single(), Multi.name: Multi()}
"""Every task by its name."""


def load_predictor(model: str | os.PathLike[str], options: ComputeOptions) -> Predictor:
    """Load a trained model from a run or a bundle. No network access is needed.

    Raises:
        BundleError: The model is missing, was changed, or has an unknown version or task.
        OptionError: The device or the precision is not available.
    """
    bundle = read_bundle(Path(model))
    if bundle.config.task not in TASKS:
        raise BundleError(
            f"Model '{model}' has the unknown task '{bundle.config.task}'. Upgrade headstart."
        )
    return Predictor.of_bundle(
        bundle,
        TASKS[bundle.config.task],
        device=options.device,
        precision=options.precision,
        cache=options.cache,
    )
