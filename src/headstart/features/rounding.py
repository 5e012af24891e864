"""Round features to the precision of the feature store."""

import numpy as np

from headstart.arrays import Features

HALF_MAX = float(np.finfo(np.float16).max)
"""The largest number of half precision."""


def as_stored(features: Features, kind: str) -> Features:
    """Round features as the store does, so that new images are treated like stored ones."""
    if kind == "float16":
        features = np.clip(features, -HALF_MAX, HALF_MAX)
    return features.astype(kind).astype(np.float32)
