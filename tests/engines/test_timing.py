"""Timing an engine."""

import time

import numpy as np

from headstart.engines.timing import images_per_second, interleaved_rates


class Slow:
    """An engine that takes ten milliseconds for a batch of four, and logs its runs."""

    name, precision, batch_size = "slow", "float32", 4

    def __init__(self, seconds=0.01, log=None):
        self.seconds, self.log = seconds, [] if log is None else log

    def run(self, batches):
        """See `Engine.run`."""
        self.log.append(self.seconds)
        for batch in batches:
            time.sleep(self.seconds)
            yield np.zeros((len(batch), 2), dtype=np.float32)


def test_the_rate_matches_the_engine_s_speed():
    """Four images in ten milliseconds are at most 400 images per second."""
    assert 50 < images_per_second(Slow(), 8, seconds=0.2) <= 400


def test_engines_are_timed_in_alternation():
    """Each engine runs once per round, after a warm-up round."""
    log = []
    engines = [(Slow(0.001, log), 8), (Slow(0.01, log), 8)]
    fast, slow = interleaved_rates(engines, rounds=3, seconds=0.03, limit=5)
    assert log == [0.001, 0.01] * 4
    assert fast > 2 * slow


def test_the_warm_up_of_slow_engines_counts():
    """If the warm-up alone reaches the time limit, it is the only measurement."""
    log = []
    (rate,) = interleaved_rates([(Slow(0.05, log), 8)], rounds=3, seconds=0.01, limit=0.05)
    assert log == [0.05]
    assert 0 < rate <= 80
