"""Fixtures for most tests: small generated images, tiny networks, and no network access."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from headstart.tasks.single import Single

# Read once, when huggingface_hub is imported, so that no test connects to the hub.
os.environ["HF_HUB_OFFLINE"] = "1"

# On a busy machine, a slow example is not a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TINY = "test_efficientnet"
TASK = Single()


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache and the hub out of every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _single_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one held-out round in fine-tuning instead of five, to save time."""
    monkeypatch.setattr("headstart.tuning.held_out.ALL_FOLDS", 0)


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time engines very briefly, as the result does not matter here."""
    monkeypatch.setattr("headstart.choosing.trials._SECONDS", 0.02)


def picture(
    seed: int, colour: tuple[int, int, int] = (128, 128, 128), side: int = 64
) -> Image.Image:
    """Create a noisy picture around a colour, a different one for each seed."""
    noise = np.random.default_rng(seed).normal(0, 40, (side // 8, side // 8, 3))
    small = np.clip(noise + colour, 0, 255).astype(np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a folder of class folders."""

    def make(
        count: int = 12, classes: tuple[str, ...] = ("blue", "red"), name: str = "photos"
    ) -> Path:
        for number, label in enumerate(classes):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            for index in range(count):
                picture(number * 1000 + index, COLOURS[label]).save(folder / f"{index:03d}.png")
        return tmp_path / name

    return make
