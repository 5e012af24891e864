"""Groups of images, numbered."""

from collections.abc import Sequence

import numpy as np

from headstart.arrays import Rows


def group_numbers(groups: Sequence[str]) -> Rows | None:
    """Return the number of each image's group, (images,); None if images are independent.

    Args:
        groups: The name of each image's group, or nothing.
    """
    return np.unique(np.array(groups), return_inverse=True)[1] if len(groups) else None
