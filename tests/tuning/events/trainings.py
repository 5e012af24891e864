"""Events of a synthetic training, and helpers to read event files."""

import json

from headstart.record import Epoch
from headstart.tuning.events.events import StepEvent


def step(number, loss=0.5):
    """Return a step; an epoch has ten steps."""
    return StepEvent(number, (number - 1) // 10 + 1, loss, 2e-4)


def epoch(number, val_loss=0.4):
    """Return an epoch of ten steps."""
    return Epoch(10 * number, number, 0.6, val_loss, 0.9, 1e-4, 3.5)


def train(listener, first, last):
    """Send the steps of a training, and the epochs between them."""
    for number in range(first, last + 1):
        listener.step(step(number))
        if number % 10 == 0:
            listener.epoch(epoch(number // 10))


def lines(path):
    """Return the lines of an event file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(path, kind="step"):
    """Return the step numbers in an event file."""
    return [line["step"] for line in lines(path) if line["event"] == kind]
