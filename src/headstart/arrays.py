"""The array types, each once, with what their axes mean."""

from collections.abc import Mapping, Sequence

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

Pairs = NDArray[np.int64]
"""Positions of two images that belong together, (pairs, 2)."""

Flags = NDArray[np.bool_]
"""One answer per image, (images,)."""

Miniature = NDArray[np.uint8]
"""A grey miniature of an image, (16, 17), or of several, (images, 16, 17), values 0 to 255."""

SixteenBit = NDArray[np.uint16]
"""Grey values of an image in 16 bits, (height, width)."""

Landmarks = NDArray[np.float16] | NDArray[np.float32]
"""Features of training images as they are stored, (landmarks, width)."""

Anything = NDArray[np.generic]
"""An array of any type and shape."""

Tensors = Mapping[str, Anything]
"""Arrays of any type and shape, by name."""

Names = NDArray[np.object_]
"""Names of columns, (width,)."""

Folds = Sequence[tuple[Rows, Rows]]
"""Pairs of rows: those to learn from, and those that are held out."""
