"""Timing an engine."""

import time

import numpy as np

from headstart.engines.timing import images_per_second


class Slow:
    """An engine that takes ten milliseconds for a batch of four."""

    name, precision, batch_size = "slow", "float32", 4

    def run(self, batches):
        """See `Engine.run`."""
        for batch in batches:
            time.sleep(0.01)
            yield np.zeros((len(batch), 2), dtype=np.float32)


def test_the_rate_is_about_what_the_engine_does():
    """Four images in ten milliseconds are at most 400 a second."""
    assert 50 < images_per_second(Slow(), 8, seconds=0.2) <= 400
