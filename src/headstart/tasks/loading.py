"""Load models and look up their task."""

import os
from pathlib import Path

from headstart.errors import BundleError
from headstart.hub.names import on_hub
from headstart.options import ComputeOptions
from headstart.predictor.bundle import Bundle, read_bundle
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import Predictor
from headstart.task import Task
from headstart.tasks.boxes import LabelledBoxes
from headstart.tasks.multi import Multi
from headstart.tasks.single import Single

TASKS: dict[str, Task] = {task.name: task for task in (Single(), Multi(), LabelledBoxes())}
"""Every task by its name."""


AnyModel = Predictor | Detector
"""A trained model of any task."""


def load_model(model: str | os.PathLike[str], options: ComputeOptions) -> AnyModel:
    """Load a trained model of any task; see `load_predictor`."""
    return model_of(read_model(model), model, options)


def model_of(bundle: Bundle, model: str | os.PathLike[str], options: ComputeOptions) -> AnyModel:
    """Build the model of a bundle that was read from `model`; see `load_predictor`."""
    if bundle.config.task != LabelledBoxes.name:
        return predictor_of(bundle, model, options)
    return Detector.of_bundle(
        bundle,
        TASKS[LabelledBoxes.name],
        device=options.device,
        precision=options.precision,
        cache=options.cache,
    )


def load_predictor(model: str | os.PathLike[str], options: ComputeOptions) -> Predictor:
    """Load a trained model of labels from a run, a bundle or, as "hf-hub:OWNER/NAME", the hub.

    Network access is needed only for a model on the hub that is not in the cache.

    Raises:
        BundleError: The model is missing, was changed, or has an unknown version or task.
        HubError: The model cannot be downloaded.
        OptionError: The device or the precision is not available.
    """
    return predictor_of(read_model(model), model, options)


def predictor_of(
    bundle: Bundle, model: str | os.PathLike[str], options: ComputeOptions
) -> Predictor:
    """Build the predictor of a bundle that was read from a model; see `load_predictor`."""
    if bundle.config.task not in TASKS:
        raise BundleError(
            f"Model '{model}' has the unknown task '{bundle.config.task}'. Upgrade headstart."
        )
    if bundle.config.task == LabelledBoxes.name:
        raise BundleError(
            f"Model '{model}' is a detector of boxes, for which this is not available. Detectors "
            "can predict, evaluate, compare, measure shift, export and serve."
        )
    return Predictor.of_bundle(
        bundle,
        TASKS[bundle.config.task],
        device=options.device,
        precision=options.precision,
        cache=options.cache,
    )


def read_model(model: str | os.PathLike[str]) -> Bundle:
    """Read the bundle of a run, a bundle, or a model on the hub; see `load_predictor`."""
    name = on_hub(model)
    if name is None:
        return read_bundle(Path(model))
    from headstart.hub.loading import read_hub_bundle  # The client of the hub is slow to import.

    return read_hub_bundle(name)
