"""Timing an engine."""

import time

import numpy as np

from headstart.engines.timing import images_per_second, rates_in_turns


class Slow:
    """An engine that takes ten milliseconds for a batch of four, and notes when it is run."""

    name, precision, batch_size = "slow", "float32", 4

    def __init__(self, seconds=0.01, notes=None):
        self.seconds, self.notes = seconds, [] if notes is None else notes

    def run(self, batches):
        """See `Engine.run`."""
        self.notes.append(self.seconds)
        for batch in batches:
            time.sleep(self.seconds)
            yield np.zeros((len(batch), 2), dtype=np.float32)


def test_the_rate_is_about_what_the_engine_does():
    """Four images in ten milliseconds are at most 400 a second."""
    assert 50 < images_per_second(Slow(), 8, seconds=0.2) <= 400


def test_engines_have_turns():
    """Each is run in every round, one after the other, once more to warm up."""
    notes = []
    engines = [(Slow(0.001, notes), 8), (Slow(0.01, notes), 8)]
    fast, slow = rates_in_turns(engines, rounds=3, seconds=0.03, limit=5)
    assert notes == [0.001, 0.01] * 4
    assert fast > 2 * slow


def test_slow_engines_have_one_turn():
    """Where warming up alone takes as long as all may, it is what counts."""
    notes = []
    (rate,) = rates_in_turns([(Slow(0.05, notes), 8)], rounds=3, seconds=0.01, limit=0.05)
    assert notes == [0.05]
    assert 0 < rate <= 80
