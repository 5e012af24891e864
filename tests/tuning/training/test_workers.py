"""How workers share a batch."""

import numpy as np
import pytest

from headstart.tuning.training.workers import Workers


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 5, 8, 9])
def test_each_image_is_computed_once_and_beside_its_partner(count, size):
    """Mixup mixes the same pairs, the first image with the last and so on, for any number."""
    batch = 10 + np.arange(count)
    shares = [Workers(rank, size).share(batch) for rank in range(size)]
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), batch)
    for share in shares:
        np.testing.assert_array_equal(share + share[::-1], 2 * 10 + count - 1)
    np.testing.assert_array_equal(Workers().share(batch), batch)
