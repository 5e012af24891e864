"""A detector whose training is killed has the weights of an undisturbed one when it is resumed."""

import random
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

import headstart as hs
from headstart.predictor.bundle import read_bundle
from headstart.record import Record
from tests.conftest import TINY
from tests.detection.scenes import scenes, write_yolo
from tests.processes import PROCESSES

KILLS = 3
OPTIONS = {"backbone": TINY, "weights": "random", "image_size": 64, "epochs": 8, "views": 3}
# Timing would choose the precision and the layout.
OPTIONS |= {"precision": "float32", "deterministic": True}


def train(data: Path, options: dict[str, Any], to: Connection) -> None:
    """Train, and send the progress of the training."""

    def progress(done: int, total: int) -> None:
        to.send((done, total))

    hs.train(data, progress=progress, **OPTIONS, **options)


def start(data: Path, **options: Any) -> tuple[BaseProcess, Connection]:
    """Start a training in a process, and return its progress too."""
    progress, to = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=train, args=(data, options, to))
    process.start()
    to.close()
    return process, progress


def finish(data: Path, **options: Any) -> Record:
    """Train to the end, and return the record."""
    process, progress = start(data, **options)
    read_to(progress, lambda done, total: False)
    process.join()
    assert process.exitcode == 0
    return Record.read(options["out"])


def read_to(progress: Connection, wanted: Any) -> None:
    """Read progress up to some of it, or to the end of the process."""
    try:
        while not wanted(*progress.recv()):
            pass
    except EOFError:
        return


def test_killed_trainings_end_with_the_same_weights(tmp_path: Path) -> None:
    """After each of several kill -9 at random moments, training goes on where it was."""
    data, cache, run = write_yolo(tmp_path / "scenes", scenes(30)), tmp_path / "cache", "run"
    expected = finish(data, out=tmp_path / "undisturbed", cache=cache)
    course = expected.detection
    assert course is not None
    shown = (expected.data.images.train - course.held_out) * len(course.history)
    draw = random.Random(0)
    # Later each time, as a kill before the first checkpoint of a process would be no progress.
    for number, after in enumerate(sorted(draw.sample(range(shown // 8, 3 * shown // 4), KILLS))):
        process, progress = start(data, out=tmp_path / run, cache=cache, resume=number > 0)
        read_to(progress, lambda done, total, after=after: total == shown and done > after)
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        process.join()
        assert not (tmp_path / run / "metrics.json").exists()
    resumed = finish(data, out=tmp_path / run, cache=cache, resume=True)
    weights = [read_bundle(folder).tensors for folder in (tmp_path / "undisturbed", tmp_path / run)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert np.array_equal(tensor, weights[1][name]), name
    assert resumed.test == expected.test
    assert resumed.detection is not None
    assert resumed.detection.best_epoch == course.best_epoch
    assert [epoch.train_loss for epoch in resumed.detection.history] == [
        epoch.train_loss for epoch in course.history
    ]
    assert not list((cache / "tuning").rglob("*.safetensors"))
