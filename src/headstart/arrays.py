"""The array types and the meaning of their axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Images, (height, width, 3) or (images, height, width, 3), values 0 to 255."""

Features = NDArray[np.float32]
"""The output of a frozen network, (images, width)."""

Scores = NDArray[np.float32]
"""The output of a head before it is converted to probabilities, (images, classes)."""

Probabilities = NDArray[np.float64]
"""Calibrated probabilities, (images, classes)."""

Floats = NDArray[np.float32]
"""Weights and other numbers of a head, of any shape."""

Numbers = NDArray[np.float64]
"""Measurements in double precision, of any shape."""

Targets = NDArray[np.int64]
"""Encoded labels, one row per image. For one label per image: the class number of each, (images,).
For several: 1 present, 0 absent, -1 unknown, (images, classes)."""

Temperature = float | tuple[float, ...]
"""Divisor of scores that calibrates probabilities: one for all classes, or one for each."""

Rows = NDArray[np.int64]
"""Row numbers of images within a set, (rows,)."""

Pairs = NDArray[np.int64]
"""Row numbers of pairs of images that belong together, (pairs, 2)."""

Flags = NDArray[np.bool_]
"""One boolean per image, (images,)."""

Corners = NDArray[np.float32]
"""The boxes in an image: x1, y1, x2, y2 in pixels of the image as it is seen, (boxes, 4)."""

Thumbnail = NDArray[np.uint8]
"""Grey thumbnail of one image, (16, 17), or of several, (images, 16, 17), values 0 to 255."""

SixteenBit = NDArray[np.uint16]
"""Grey values of an image in 16 bits, (height, width)."""

Landmarks = NDArray[np.float16] | NDArray[np.float32]
"""Features of training images as they are stored, (landmarks, width)."""

Stored = NDArray[Any]
"""Values of a medical image as its file stores them: integers or floats, of any shape."""

Anything = NDArray[np.generic]
"""An array of any type and shape."""

Tensors = Mapping[str, Anything]
"""Arrays of any type and shape, by name."""

Names = NDArray[np.object_]
"""Names of columns, (width,)."""

Folds = Sequence[tuple[Rows, Rows]]
"""Pairs of rows: the training rows and the held-out rows of each fold."""
