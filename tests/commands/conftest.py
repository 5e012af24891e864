"""A tiny trained model, shared by the tests of a package."""

import pytest

from headstart import train as train_model
from headstart.commands.train import TrainResult
from tests.conftest import COLOURS, TINY, picture

QUICK = {
    "backbone": TINY,
    "weights": "random",
    "image_size": 64,
    "head": "linear",
    "features": "last",
}


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train on blue and red images; next to the run are `photos` (train and test) and `cache`."""
    root = tmp_path_factory.mktemp("trained")
    for number, (split, count) in enumerate((("train", 12), ("test", 6))):
        for label in ("blue", "red"):
            (root / "photos" / split / label).mkdir(parents=True)
            for index in range(count):
                # The first test images have the wrong colour, so that there are mistakes.
                wrong = split == "test" and index == 0
                colour = COLOURS["blue" if (label == "blue") != wrong else "red"]
                seed = number * 1000 + index + 100 * (label == "red")
                picture(seed, colour).save(root / "photos" / split / label / f"{index:03d}.png")
    return train_model(root / "photos", out=root / "run", cache=root / "cache", **QUICK)
