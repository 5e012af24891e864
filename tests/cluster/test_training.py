"""Fine-tuning on a cluster gives what it gives in one process."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import headstart as hs
from headstart.arrays import Rows
from headstart.cluster.joining import joined
from headstart.data.images import Images
from headstart.options import TuneOptions
from headstart.record import Tuning
from headstart.tuning.boundary.rows import RowSource
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training import checkpoint
from headstart.tuning.training.loop import Monitoring, Train, TrainingResult, train_here
from headstart.tuning.training.setup import Setup
from headstart.watching import SilentWatcher
from tests.cluster.test_extraction import Recorded
from tests.conftest import COLOURS, TINY, picture

pytestmark = pytest.mark.filterwarnings("ignore")
OPTIONS = TuneOptions(epochs=3, batch_size=8, augment="flip", views=2, mixup=0.2)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Write images of three classes, and open them."""
    folder = tmp_path_factory.mktemp("tuned")
    for number, (label, colour) in enumerate(COLOURS.items()):
        (folder / "photos" / label).mkdir(parents=True)
        for index in range(30):
            image = picture(number * 1000 + index, colour, side=32)
            image.save(folder / "photos" / label / f"{index:03d}.png")
    return hs.open_images(folder / "photos", cache=folder / "cache")


@pytest.fixture(scope="module", autouse=True)
def _same_setting() -> Iterator[None]:
    """Use a fixed setting, because timing may choose different ones in two runs."""
    setting = Setting(threads=torch.get_num_threads())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.tuning.workbench.candidate_settings", lambda **_: [setting])
        yield


class Tuned:
    """A fine-tuned model: its losses, its weights and its events."""

    def __init__(
        self, images: Images, folder: Path, trainer: Train, options: TuneOptions = OPTIONS
    ) -> None:
        backbone = hs.load_backbone(TINY, weights="random", image_size=64)
        settings = {"precision": "float32", "cache": folder / "cache", "classes": images.classes}
        model = hs.Classifier(backbone, hs.LinearHead(), **settings)
        record = model.fit(images.train, progress=False).tune(
            *(images.train, options),
            val=images.test,
            part="stages:1",
            keep="always",
            checkpoints=folder / "checkpoints",
            watcher=SilentWatcher(),
            trainer=trainer,
        )
        assert isinstance(record, Tuning) and len(record.epochs) == OPTIONS.epochs
        self.losses = [(epoch.train_loss, epoch.val_loss) for epoch in record.epochs]
        self.weights = model.backbone.network.state_dict()
        lines = next(folder.rglob("events.jsonl")).read_text().splitlines()
        self.events = [(event["event"], event["step"]) for event in map(json.loads, lines)]


@pytest.fixture(scope="module")
def alone(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Train in this process."""
    return Tuned(images, tmp_path_factory.mktemp("alone"), train_here)


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor], **tolerance: float) -> None:
    """Compare weights."""
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], **tolerance, msg=name)


class DyingRows:
    """Rows of a source, until the process that reads them is killed in the middle of an epoch."""

    background = False

    def __init__(self, source: RowSource, marker: Path) -> None:
        self._source, self._marker, self._reads = source, marker, 0
        self.file = source.file

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        checkpoint.SAVE_EVERY = 4  # In the worker.
        self._reads += 1
        if self._reads == 17 and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._source.rows(images, views)


def test_two_workers_of_which_one_dies(
    images: Images, alone: Tuned, address: str, tmp_path: Path
) -> None:
    """The losses are those of one process up to rounding, and each step is an event once.

    Here, workers run the frozen part too, as the boundary store would be too large.
    """
    watcher, marker = Recorded(), tmp_path / "killed"

    def trainer(setup: Setup, monitoring: Monitoring) -> TrainingResult:
        source = DyingRows(setup.examples.source, marker)
        examples = replace(setup.examples, source=source)
        return cluster.train(replace(setup, examples=examples), monitoring)

    with joined(address, watcher) as cluster:
        tuned = Tuned(images, tmp_path, trainer, OPTIONS.model_copy(update={"store_gb": 1e-9}))
    assert marker.exists()
    (warning,) = watcher.warnings
    assert warning.startswith("A worker ended, or a node joined the cluster. Fine-tuning went on")
    assert warning.endswith("from its newest checkpoint with 2 workers.")
    np.testing.assert_allclose(tuned.losses, alone.losses, rtol=1e-3)
    assert_equal(tuned.weights, alone.weights, rtol=1e-2, atol=1e-3)
    assert tuned.events == alone.events


def test_the_command(images: Images, address: str, tmp_path: Path) -> None:
    """The tutorial's recipe, which has one worker, writes the bundle of one process, to the bit."""
    options = {"backbone": TINY, "weights": "random", "image_size": 64, "recipe": "tutorial"}
    alone, shared = (
        hs.train(
            Path(images.train.paths[0]).parents[1],
            out=tmp_path / name,
            cache=tmp_path / f"cache-{name}",
            cluster=cluster,
            deterministic=True,
            progress=False,
            **options,
        )
        for name, cluster in (("alone", None), ("shared", address))
    )
    assert shared.record.tuned
    first, second = (one.run / "bundle" / "model.safetensors" for one in (alone, shared))
    assert first.read_bytes() == second.read_bytes()
