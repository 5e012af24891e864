"""How images become square is chosen on folds, unless they are square or the user decided."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.data.preprocessing import RESIZE, Preprocess
from headstart.errors import OptionError
from tests.conftest import TINY


def photos(folder: Path, size: tuple[int, int]) -> Path:
    """Write photos with a bright spot at the left or in the middle, which a crop cuts away."""
    rng = np.random.default_rng(0)
    for number in range(40):
        label = ("left", "middle")[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 80, (size[1], size[0]), dtype=np.uint8)
        start = size[0] // 2 - 8 if number % 2 else 2
        pixels[:, start : start + 12] = rng.integers(150, 250)
        Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.mark.parametrize("size", [(180, 60), (60, 60)])
def test_auto_takes_the_fit_of_the_lowest_log_loss(tmp_path: Path, size: tuple[int, int]) -> None:
    """A crop that cuts away what matters is not taken; square images are not tried."""
    data = hs.open_images(photos(tmp_path / "data", size), progress=False)
    backbone = hs.load_backbone(TINY, weights="random", image_size=64, fit="auto")
    model = hs.Classifier(backbone, classes=data.classes, cache=tmp_path / "cache")
    notes: list[str] = []
    model.choose_preprocessing(data.train, note=notes.append)
    (note,) = notes
    if size == (60, 60):
        assert "are square" in note
        assert model.backbone.preprocess.resize == "squash"
        return
    losses = dict(part.split() for part in note.removesuffix(".").split(": ")[1].split(", "))
    best = min(losses, key=lambda fit: float(losses[fit]))
    assert list(losses) == ["squash", "pad", "crop"]
    assert float(losses["crop"]) > float(losses[best])
    assert model.backbone.preprocess.resize == RESIZE[best]
    assert not model.backbone.fit_is_open


def test_a_fit_of_the_user_is_kept() -> None:
    """It is part of the preprocessing, which is saved with the model."""
    backbone = hs.load_backbone(TINY, weights="random", fit="pad")
    assert Preprocess.from_dict(backbone.preprocess.to_dict()).resize == "pad"
    with pytest.raises(OptionError, match="fit must be auto, squash, pad or crop"):
        hs.load_backbone(TINY, weights="random", fit="stretch")
