"""What most tests need: small images made on the spot, tiny networks, and no network access."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from headstart.tasks.single import Single

# Read once, when huggingface_hub is imported: no test may look for a hub on the network.
os.environ["HF_HUB_OFFLINE"] = "1"

# A busy machine makes an example slow, which is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TINY = "test_efficientnet"
TASK = Single()


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache and the hub out of every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold out once in fine-tuning, which is quicker than five times for so few images."""
    monkeypatch.setattr("headstart.tuning.held_out.CROSS_VALIDATE_UP_TO", 0)


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time engines for moments only; which one is faster does not matter here."""
    monkeypatch.setattr("headstart.choosing.trials._SECONDS", 0.02)


def picture(
    seed: int, colour: tuple[int, int, int] = (128, 128, 128), side: int = 64
) -> Image.Image:
    """Make a noisy picture around a colour; each seed gives another one."""
    noise = np.random.default_rng(seed).normal(0, 40, (side // 8, side // 8, 3))
    small = np.clip(noise + colour, 0, 255).astype(np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a folder of class folders."""

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
