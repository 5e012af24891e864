"""The studio: what is left after kills, and how soon a model has learnt from a label.

    python -m benchmarks.studio kills [KILLS]
    python -m benchmarks.studio probe [IMAGES] [CLASSES]

kills: the server is killed with `kill -9` at random moments while a script labels images. After the
    next start, everything that was answered must be there.
probe: seconds of a refit after one label has changed, with made-up features of EfficientNet-Lite0's
    width, and of what is suggested then.
"""

import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.backbones.backbone import load_backbone
from headstart.data.manifest import FileInfo
from headstart.features.extractor import FeatureExtractor
from headstart.studio.labels import Item, State
from headstart.studio.probing import fit_probe, suggest
from headstart.studio.workbench import Workbench, _Known

HEADSTART = str(Path(sys.executable).with_name("headstart"))


class Studio:
    """The studio in a process of its own, and a browser's cookie."""

    def __init__(self, folder: Path, cache: Path) -> None:
        command = [HEADSTART, "studio", str(folder), "--no-browser", "--cache", str(cache)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        found = None
        while not found:
            line = self.process.stderr.readline()
            assert line, "The studio did not start."
            found = re.search(r"localhost:(\d+)/\?token=(\S+)", line)
        self._port, token = found.groups()
        self.address = f"http://localhost:{self._port}/?token={token}"
        self._cookie = f"headstart-studio-{self._port}={token}"

    def ask(self, path: str, row: object = None) -> Any:
        """Send a request, and return the answer."""
        body = None if row is None else json.dumps(row).encode()
        headers = {"Cookie": self._cookie, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://localhost:{self._port}/{path}", body, headers)
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except OSError:  # It does not answer yet, or was killed.
                if self.process.poll() is not None:
                    raise
                time.sleep(0.05)


def kills(count: int) -> None:
    """Kill the server while images are labelled, and compare."""
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_fashion(root / "photos", train=300, test=0)
        (root / "photos" / "fashion.csv").unlink()
        known: dict[str, list[str]] = {}
        lost = answered = 0
        for number in range(count):
            studio = Studio(root / "photos", root / "cache")
            items = studio.ask("studio/state")["items"]
            lost += sum(items[image]["labels"] != labels for image, labels in known.items())
            images = sorted(items)
            end = time.monotonic() + generator.uniform(0.05, 2.0)
            killer = subprocess.Popen(
                ["sh", "-c", f"sleep {end - time.monotonic():.3f}; kill -9 {studio.process.pid}"]
            )
            with suppress(OSError, HTTPException):
                while True:
                    chosen = generator.sample(images, 3)
                    labels = [f"class {generator.randrange(5)}"]
                    for image in chosen:
                        known.pop(image, None)  # Nobody knows, until it is answered.
                    row = {"act": "label", "labels": dict.fromkeys(chosen, labels)}
                    studio.ask("studio/acts", row)
                    known |= dict.fromkeys(chosen, labels)
                    answered += 1
            killer.wait()
            studio.process.wait()
            assert studio.process.returncode == -signal.SIGKILL
            print(f"  kill {number + 1}: {answered} answered, {lost} lost", flush=True)
        studio = Studio(root / "photos", root / "cache")
        items = studio.ask("studio/state")["items"]
        lost += sum(items[image]["labels"] != labels for image, labels in known.items())
        studio.process.kill()
        print(f"- {count} kills: {answered} acts were answered, {lost} labels of them were lost")


def probe(images: int, classes: int) -> None:
    """Print how long a refit and the suggestions take."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        workbench = Workbench(
            Path(name), FeatureExtractor(load_backbone(), cache=Path(name) / "cache")
        )
        labels = generator.integers(0, classes, 2 * images)
        centres = generator.normal(scale=0.15, size=(classes, workbench.extractor.layout.width))
        names = [f"{number}.png" for number in range(2 * images)]
        features = (centres[labels] + generator.normal(size=(len(names), centres.shape[1]))).astype(
            np.float32
        )
        infos = [
            FileInfo(f"{number:064x}", "0" * 64, 64, 64, "RGB", False)
            for number in range(len(names))
        ]
        thumbnails = generator.integers(0, 256, (len(names), 16, 17), dtype=np.uint8)
        # As if files that are not there had been looked at.
        checked = zip(infos, thumbnails, strict=True)
        workbench._known = {
            str(Path(name) / image): _Known((-1, -1), known)
            for image, known in zip(names, checked, strict=True)
        }
        workbench._features = {
            str(info.sha256): row for info, row in zip(infos, features, strict=True)
        }
        items = {
            name: Item((f"class {label:02}",) if number < images else None)
            for number, (name, label) in enumerate(zip(names, labels.tolist(), strict=True))
        }
        found = None
        for number in range(4):
            items[names[number]] = Item((f"class {generator.integers(classes):02}",))
            state = State("single", (), items, number)
            begin = time.perf_counter()
            found = fit_probe(workbench, state, found)
            fitted = time.perf_counter()
            suggest(workbench, state, found)
            done = time.perf_counter()
            print(
                f"- {images:,} images of {classes} classes: refit {fitted - begin:.2f} s, "
                f"suggestions among as many others {done - fitted:.2f} s",
                flush=True,
            )


_MODES: dict[str, tuple[Callable[..., None], tuple[int, ...]]] = {
    "kills": (kills, (50,)),
    "probe": (probe, (1000, 10)),
}

if __name__ == "__main__":
    print(describe())
    mode, defaults = _MODES[sys.argv[1]]
    given = tuple(map(int, sys.argv[2:]))
    mode(*given, *defaults[len(given) :])
