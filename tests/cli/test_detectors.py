"""What the commands say to those who use a detector."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Completed
from tests.detection.scenes import scene
from tests.server.detecting import Detecting


@pytest.fixture(scope="module")
def detecting(tmp_path_factory: pytest.TempPathFactory) -> Detecting:
    """A tiny detector on disk."""
    return Detecting.at(tmp_path_factory.mktemp("detecting"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A scene of 150 x 90 pixels."""
    scene(0, size=(150, 90)).image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


@pytest.fixture
def predict(headstart: Callable[..., Completed], detecting: Detecting) -> Callable[..., Completed]:
    """Return a function that predicts on the command line."""

    def run(*arguments: object) -> Completed:
        return headstart("predict", detecting.model, "--cache", detecting.cache, *arguments)

    return run


def test_an_image_that_is_too_large(predict: Callable[..., Completed], image: Path) -> None:
    """Its size is said, and the option that reads it; a file that is no image has no such advice."""
    (broken := image.parent / "broken.png").write_bytes(b"no image")
    done = predict("--max-pixels", 13_000, image, broken)
    assert done.code == 1
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert lines[0] == "Images that were not read: 2"
    assert lines[-1] == "To read images with more pixels, raise the limit with --max-pixels."
    assert "it has 13,500 pixels (150 x 90), more than the limit of 13,000" in " ".join(
        " ".join(lines).split()
    )
    assert "--max-pixels" not in predict(broken).out
