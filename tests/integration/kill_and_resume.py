"""Kill real trainings at random moments; the next one must end as if nothing had happened.

python -m tests.integration.kill_and_resume [KILLS]
"""

import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import headstart as hs
from headstart.classifier import Prediction
from tests.conftest import COLOURS, TINY, picture

_QUICK = {"backbone": TINY, "weights": "random", "image_size": 64}
# Not auto, which is timed: each of them has a cache of its own.
_QUICK |= {"head": "nearest", "features": "last", "precision": "float32"}


@dataclass(frozen=True)
class Kill:
    """What came of one kill.

    Attributes:
        after: Seconds from the end of the checks to the kill.
        running: Whether the training was still at work.
        whole: Whether the output folder was there, complete, after the kill.
        leftovers: Names beside the output folder after the next training.
        same: Whether the next training gave the predictions of an undisturbed one.
    """

    after: float
    running: bool
    whole: bool
    leftovers: list[str]
    same: bool


def make_photos(folder: Path, count: int) -> Path:
    """Write pictures of two colours."""
    for number, label in enumerate(("blue", "red")):
        (folder / label).mkdir(parents=True)
        for index in range(count // 2):
            image = picture(number * 10_000 + index, COLOURS[label])
            image.save(folder / label / f"{index:04d}.png")
    return folder


def start(photos: Path, out: Path, cache: Path) -> subprocess.Popen[str]:
    """Start `headstart train` in a process of its own."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in _QUICK.items()]
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from headstart.cli import main
main()
"""
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", photos, f"--out={out}", f"--cache={cache}", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read a training's stderr up to a text."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return
    raise AssertionError(f"The training never said '{text}': {seen}")


def predictions(run: Path, photos: Path, cache: Path) -> list[Prediction]:
    """Tell every picture with a run's model."""
    told = hs.predict(run, [photos], cache=cache)
    return [one for one in told if isinstance(one, Prediction)]


def kill_and_resume(kills: int, root: Path, *, images: int = 300, seed: int = 0) -> list[Kill]:
    """Kill trainings with SIGKILL, each at a random moment after the images were checked.

    Args:
        kills: How many.
        root: An empty folder to work in.
        images: How many pictures to make.
        seed: Of the moments.
    """
    photos = make_photos(root / "photos", images)
    calm = hs.train(photos, out=root / "calm", cache=root / "cache", **_QUICK)
    expected = predictions(calm.run, photos, root / "cache")
    longest = calm.record.seconds["extract"]
    draw = random.Random(seed)
    return [
        _kill(photos, root / f"kill-{number}", draw.uniform(0, 1.2 * longest), expected)
        for number in range(kills)
    ]


def _kill(photos: Path, folder: Path, after: float, expected: list[Prediction]) -> Kill:
    out, cache = folder / "runs/run", folder / "cache"
    with start(photos, out, cache) as process:
        wait_for(process, "Checking images")
        time.sleep(after)
        running = process.poll() is None
        process.kill()
    whole = out.exists()
    assert not whole or (out / "metrics.json").is_file(), "half a run was left behind"
    resumed = hs.train(photos, out=out, cache=cache, overwrite=True, **_QUICK)
    told = predictions(resumed.run, photos, cache)
    same = len(told) == len(expected) and all(
        one.label == other.label and np.isclose(one.probability, other.probability, atol=1e-6)
        for one, other in zip(told, expected, strict=True)
    )
    leftovers = sorted(path.name for path in out.parent.iterdir() if path != out)
    return Kill(after, running, whole, leftovers, same)


def main() -> None:
    """Kill as often as asked, 20 times by default."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        done = kill_and_resume(kills, Path(folder))
    for kill in done:
        print(kill)  # noqa: T201
    print(f"{sum(kill.same for kill in done)} of {kills} trainings ended as if undisturbed.")  # noqa: T201


if __name__ == "__main__":
    main()
