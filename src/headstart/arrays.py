"""The array types, each once, with what their axes mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Images, (height, width, 3) or (images, height, width, 3), values 0 to 255."""

Features = NDArray[np.float32]
"""What a frozen network gives for images, (images, width)."""

Scores = NDArray[np.float32]
"""What a head gives for images before the link to probabilities, (images, classes)."""

Probabilities = NDArray[np.float64]
"""Calibrated probabilities, (images, classes)."""

Floats = NDArray[np.float32]
"""Weights and other numbers of a head, of any shape."""

Numbers = NDArray[np.float64]
"""Measurements in double precision, of any shape."""

Targets = NDArray[np.int64]
"""What is to be predicted, as numbers. For one label per image: the class of each, (images,)."""

Rows = NDArray[np.int64]
"""Positions of images within a set, (some,)."""

Flags = NDArray[np.bool_]
"""One answer per image, (images,)."""

Folds = Sequence[tuple[Rows, Rows]]
"""Pairs of rows: those to learn from, and those that are held out."""
