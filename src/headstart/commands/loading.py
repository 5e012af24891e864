"""Load: a trained model, for use from Python."""

import os
from typing import Any

from headstart.options import ComputeOptions
from headstart.predictor.predictor import Predictor
from headstart.tasks.loading import load_predictor


def load(model: str | os.PathLike[str], **options: Any) -> Predictor:  # noqa: ANN401
    """Load a trained model. No network access is needed.

    Args:
        model: A run folder or a bundle.
        options: See `ComputeOptions`: device, precision, cache.

    Raises:
        BundleError: The model is missing, was changed, or has an unknown version.
        OptionError: An option is invalid.
    """
    return load_predictor(model, ComputeOptions.of(**options))
