"""Kill trainings at random moments, and check that the next training is unaffected.

python -m tests.integration.kill_and_resume [KILLS]
"""

import random
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

import headstart as hs
from headstart.answers import Prediction
from tests.conftest import COLOURS, TINY, picture
from tests.processes import start_command, wait_for

_QUICK = {"backbone": TINY, "weights": "random", "image_size": 64}
# Not precision=auto, which is timed: each training has its own cache.
_QUICK |= {"head": "nearest", "features": "last", "precision": "float32"}


@dataclass(frozen=True)
class Kill:
    """The outcome of one kill.

    Attributes:
        after: Seconds from the end of the checks to the kill.
        running: Whether the training was still running.
        complete: Whether the complete run existed after the kill.
        leftovers: Files next to the run after the next training.
        same: Whether the next training gave the predictions of an uninterrupted training.
    """

    after: float
    running: bool
    complete: bool
    leftovers: list[str]
    same: bool


def make_photos(folder: Path, count: int) -> Path:
    """Write images of two colours."""
    for number, label in enumerate(("blue", "red")):
        (folder / label).mkdir(parents=True)
        for index in range(count // 2):
            image = picture(number * 10_000 + index, COLOURS[label])
            image.save(folder / label / f"{index:04d}.png")
    return folder


def start(photos: Path, out: Path, cache: Path, log: Path) -> BaseProcess:
    """Start `headstart train` in a separate process."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in _QUICK.items()]
    return start_command("train", photos, f"--out={out}", f"--cache={cache}", *options, log=log)


def predictions(run: Path, photos: Path, cache: Path) -> list[Prediction]:
    """Predict all images with the model of a run."""
    results = hs.predict(run, [photos], cache=cache)
    return [result for result in results if isinstance(result, Prediction)]


def kill_and_resume(kills: int, root: Path, *, images: int = 300, seed: int = 0) -> list[Kill]:
    """Kill trainings with SIGKILL, each at a random moment after the images were checked.

    Args:
        kills: The number of kills.
        root: An empty folder to work in.
        images: The number of images.
        seed: The seed of the random moments.
    """
    photos = make_photos(root / "photos", images)
    uninterrupted = hs.train(photos, out=root / "uninterrupted", cache=root / "cache", **_QUICK)
    expected = predictions(uninterrupted.run, photos, root / "cache")
    longest = uninterrupted.record.seconds["extract"]
    draw = random.Random(seed)
    return [
        _kill(photos, root / f"kill-{number}", draw.uniform(0, 1.2 * longest), expected)
        for number in range(kills)
    ]


def _kill(photos: Path, folder: Path, after: float, expected: list[Prediction]) -> Kill:
    out, cache = folder / "runs/run", folder / "cache"
    log = folder.with_suffix(".log")
    process = start(photos, out, cache, log)
    wait_for(process, log, "Checking images")
    time.sleep(after)
    running = process.is_alive()
    process.kill()
    process.join()
    complete = out.exists()
    assert not complete or (out / "metrics.json").is_file(), "a partial run was left"
    resumed = hs.train(photos, out=out, cache=cache, overwrite=True, **_QUICK)
    found = predictions(resumed.run, photos, cache)
    same = len(found) == len(expected) and all(
        new.label == old.label and np.isclose(new.probability, old.probability, atol=1e-6)
        for new, old in zip(found, expected, strict=True)
    )
    leftovers = sorted(path.name for path in out.parent.iterdir() if path != out)
    return Kill(after, running, complete, leftovers, same)


def main() -> None:
    """Kill the given number of trainings, 20 by default."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        outcomes = kill_and_resume(kills, Path(folder))
    for kill in outcomes:
        print(kill)  # noqa: T201
    same = sum(kill.same for kill in outcomes)
    print(f"{same} of {kills} trainings gave the uninterrupted result.")  # noqa: T201


if __name__ == "__main__":
    main()
