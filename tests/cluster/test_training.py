"""Fine-tuning on a cluster gives what it gives in one process."""

import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

import headstart as hs
from headstart.cluster.cluster import Cluster
from headstart.cluster.joining import joined
from headstart.cluster.mapping import WorkerSize
from headstart.data.images import ImageSet
from headstart.options import TuneOptions
from headstart.record import Tuning
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.loop import Train, train_here
from headstart.watching import Progress, no_progress
from tests.cluster.test_extraction import Recorded
from tests.conftest import COLOURS, TINY, picture

pytestmark = pytest.mark.filterwarnings("ignore")
OPTIONS = TuneOptions(epochs=3, batch_size=8, augment="flip", views=2, mixup=0.2)
STEPS = 24


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Write images of three classes, and open them."""
    folder = tmp_path_factory.mktemp("tuned")
    for number, (label, colour) in enumerate(COLOURS.items()):
        (folder / "photos" / label).mkdir(parents=True)
        for index in range(30):
            image = picture(number * 1000 + index, colour, side=32)
            image.save(folder / "photos" / label / f"{index:03d}.png")
    return hs.open_images(folder / "photos", cache=folder / "cache").train


class Tuned:
    """A model that was fine-tuned, and what was measured."""

    def __init__(
        self, images: ImageSet, folder: Path, trainer: Train, progress: Progress = no_progress
    ) -> None:
        backbone = hs.load_backbone(TINY, weights="random", image_size=64)
        self.watcher = Recorded()
        self.model = hs.Classifier(
            *(backbone, hs.LinearHead()),
            classes=images.classes,
            precision="float32",
            cache=folder / "cache",
        ).fit(images)
        record = self.model.tune(
            *(images, OPTIONS),
            val=None,
            part="stages:1",
            keep="always",
            checkpoints=folder / "checkpoints",
            progress=progress,
            watcher=self.watcher,
            trainer=trainer,
        )
        assert isinstance(record, Tuning)
        self.record = record

    @property
    def losses(self) -> list[float]:
        return [
            number for epoch in self.record.epochs for number in (epoch.train_loss, epoch.val_loss)
        ]

    @property
    def weights(self) -> dict[str, Tensor]:
        return self.model.backbone.network.state_dict()


@pytest.fixture(scope="module", autouse=True)
def _one_training() -> object:
    """Train one round and the final model, always in the same setting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 0)
        setting = Setting(threads=torch.get_num_threads())
        patch.setattr("headstart.tuning.workbench.candidate_settings", lambda **_: [setting])
        yield


@pytest.fixture(scope="module")
def alone(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Train in this process."""
    return Tuned(images, tmp_path_factory.mktemp("alone"), train_here)


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor], **tolerance: float) -> None:
    """Compare weights."""
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], **tolerance, msg=name)


def test_one_worker(
    images: ImageSet, alone: Tuned, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are those of one process, to the bit."""
    monkeypatch.setattr("headstart.cluster.cluster._training_size", lambda _: WorkerSize(1, 0, 1))
    with joined(address, Recorded()) as cluster:
        tuned = Tuned(images, tmp_path, cluster.train)
    assert tuned.losses == alone.losses
    assert_equal(tuned.weights, alone.weights, rtol=0, atol=0)


def test_two_workers(images: ImageSet, alone: Tuned, address: str, tmp_path: Path) -> None:
    """The losses of all epochs are equal up to rounding."""
    with joined(address, Recorded()) as cluster:
        tuned = Tuned(images, tmp_path, cluster.train)
    np.testing.assert_allclose(tuned.losses, alone.losses, rtol=1e-4)
    assert_equal(tuned.weights, alone.weights, rtol=1e-3, atol=1e-4)
