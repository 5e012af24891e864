"""What the commands say to those who use a detector."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

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
    """Its size is said, and the option that reads it, which other files do not need."""
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


@pytest.mark.parametrize(
    "option",
    [("--top", 3), ("--coverage", 0.9), ("--max-error", 0.1), ("--explain", "maps")],
)
def test_options_for_classifiers(
    predict: Callable[..., Completed], image: Path, option: tuple[str, object]
) -> None:
    """The error comes before any image is read."""
    message = f"Error: {option[0]} is for classifiers, and this model is a detector. Remove it."
    assert predict(*option, image).error == message
    done = predict(*option, image, "--out", image.parent / "boxes.csv")
    assert "Predicting" not in done.err
    assert done.error == message


def size_of(path: Path) -> tuple[int, int]:
    """Return the width and height of an image file."""
    with Image.open(path) as image:
        return image.size


def test_pictures(
    predict: Callable[..., Completed], image: Path, tmp_path: Path, detecting: Detecting
) -> None:
    """Each image is drawn with its boxes, is named in the results, and is not replaced unasked."""
    photos, drawn = tmp_path / "photos", tmp_path / "drawn"
    photos.mkdir()
    for number in range(3):
        scene(number, size=(3000, 1800)).image.save(photos / f"{number}.jpg")
    done = predict(photos, image, "--pictures", drawn)
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"  pictures  {drawn}"
    sizes = {path.name: size_of(path) for path in sorted(drawn.iterdir())}
    large = dict.fromkeys(("0.jpg", "1.jpg", "2.jpg"), (1600, 960))
    assert sizes == large | {"scene.jpg": (800, 480)}
    assert "already exists" in predict(image, "--pictures", drawn).error
    out = tmp_path / "boxes.json"
    again = predict(photos, "--pictures", drawn, "--out", out, "--overwrite")
    assert again.out.splitlines()[-1] == f"  pictures  {drawn}"
    assert [one["picture"] for one in json.loads(out.read_text())] == [
        str(drawn / f"{number}.jpg") for number in range(3)
    ]


def test_tiles_are_mentioned(
    predict: Callable[..., Completed],
    headstart: Callable[..., Completed],
    tmp_path: Path,
    image: Path,
) -> None:
    """A detector that was trained with tiles cuts images; for others they may be the way out."""
    scene(0, size=(300, 200)).image.save(large := tmp_path / "large.png")
    tiled = Detecting.at(tmp_path, tiles=100)
    run = ("predict", tiled.model, "--cache", tiled.cache)
    sentence = (
        "Images of more than 100 pixels on a side are cut into tiles of 100 x 100, as in the "
        "training of this detector."
    )
    assert sentence in said(headstart(*run, large))
    assert "as in the training" not in said(headstart(*run, large, "--tiles", 120))
    silent = Detecting.at(tmp_path, "silent", threshold=1.0)
    run = ("predict", silent.model, "--cache", silent.cache)
    sentence = (
        "1 image is much larger than the 64 x 64 pixels that the detector sees, and no box is "
        "found in it. If the objects are small, add --tiles, such as --tiles 640."
    )
    assert sentence in said(headstart(*run, large, image))
    assert sentence in said(headstart(*run, large, "--out", tmp_path / "boxes.csv"))
    assert "--tiles" not in said(headstart(*run, image))
    assert "--tiles" not in said(headstart(*run, large, "--tiles", 100))
    assert "--tiles" not in said(predict(large))


def said(done: Completed) -> str:
    """Return what is printed to stderr as one line."""
    return " ".join(done.err.split())
