"""Load: a trained model, for those who take the steps one by one."""

import os
from typing import Any

from headstart.options import ComputeOptions
from headstart.predictor.predictor import Predictor
from headstart.tasks.loading import load_predictor


def load(model: str | os.PathLike[str], **options: Any) -> Predictor:  # noqa: ANN401
    """Load a trained model: a run or a bundle. No network is needed.

    Args:
        model: The folder.
        options: See `ComputeOptions`: device, precision, cache.

    Raises:
        BundleError: It is missing, changed, or of an unknown version.
        OptionError: An option is wrong.
    """
    return load_predictor(model, ComputeOptions.of(**options))
