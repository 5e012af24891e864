"""The pixel contract of a training: chosen from its images, kept in its bundle."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.data.contract import FIRST, PixelContract
from headstart.predictor.bundle import read_bundle
from headstart.predictor.config import Config
from tests.conftest import TINY, picture
from tests.data.files import encoded


def drawing(seed: int, shape: str, colour: str) -> Image.Image:
    """Return a shape of a colour at a random place, on transparent pixels."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    left, top, size = np.random.default_rng(seed).integers(8, 28, 3)
    box = (left, top, left + size, top + size)
    draw = ImageDraw.Draw(image)
    draw.ellipse(box, fill=colour) if shape == "disc" else draw.rectangle(box, fill=colour)
    return image


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write white discs and squares on transparent pixels."""
    folder = tmp_path_factory.mktemp("drawings") / "shapes"
    for number, shape in enumerate(("disc", "square")):
        (folder / shape).mkdir(parents=True)
        for index in range(12):
            image = drawing(100 * number + index, shape, "white")
            image.save(folder / shape / f"{index:02d}.png")
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(folder / "disc" / "empty.png")
    return folder


@pytest.fixture(scope="module")
def trained(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Train on them."""
    folder = tmp_path_factory.mktemp("trained")
    options = {"backbone": TINY, "weights": "random", "precision": "float32", "head": "linear"}
    return hs.train(drawings, out=folder / "run", cache=folder, **options)


def test_white_drawings_are_seen_on_black(drawings: Path, trained: TrainResult) -> None:
    """Training and a loaded bundle use black, and tell the drawings apart."""
    bundle = hs.load(trained.run, cache=trained.run.parent)
    assert trained.model.predictor.extractor.preprocess.contract == PixelContract(
        background="black"
    )
    assert bundle.extractor.preprocess.contract == PixelContract(background="black")
    drawn = [drawings / "disc" / "00.png", drawings / "square" / "00.png"]
    first, second = bundle.predict(drawn)
    assert first.top != second.top
    on_black = Image.new("RGB", (64, 64), "black")
    image = Image.open(drawn[0])
    on_black.paste(image, mask=image)
    assert dict(bundle.predict(on_black).top) == pytest.approx(dict(first.top), abs=1e-5)


def test_drawings_that_white_would_hide_are_no_duplicates(trained: TrainResult) -> None:
    """They are compared as they are seen."""
    assert not any("Duplicates" in sentence for sentence in trained.record.warnings)


def test_the_warnings_and_the_rejected_image_are_recorded(trained: TrainResult) -> None:
    """The record names the background, and the image without a visible pixel."""
    (sentence,) = [text for text in trained.record.warnings if "Transparent" in text]
    count = trained.record.data.images.train
    assert sentence.startswith(
        f"Transparent pixels become black instead of white, on which {count} training images are "
        "one colour: 'disc/00.png', "
    )
    (rejected,) = trained.record.rejected
    assert (rejected.image, rejected.reason) == ("disc/empty.png", "it is fully transparent")


def test_the_contract_is_in_the_bundle(trained: TrainResult) -> None:
    """It is stored with the preprocessing."""
    config = json.loads((trained.run / "bundle" / "config.json").read_text())
    assert config["schema"] == 4
    assert config["preprocess"]["contract"] == {
        "version": 2,
        "background": "black",
        "window": "first",
        "frames": "each",
        "crop": "none",
    }


def test_repaired_images_are_used_and_named(tmp_path: Path) -> None:
    """A JPEG without its end marker is a training image, and the warning counts it."""
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(4):
            data = encoded(picture(index + 10 * (label == "b")), "JPEG")
            cut = data[:-2] if label == "a" and index < 2 else data
            (tmp_path / "photos" / label / f"{index}.jpg").write_bytes(cut)
    images = hs.open_images(tmp_path / "photos", cache=tmp_path)
    assert len(images.all) == 8
    assert (
        "2 images were repaired, as the end of the file was missing: 'a/0.jpg', 'a/1.jpg'."
        in images.warnings
    )


def test_a_model_of_before_is_continued_with_its_own_contract(trained: TrainResult) -> None:
    """A bundle of schema 2 has the first contract."""
    values = read_bundle(trained.run).config.to_json()
    del values["preprocess"]["contract"]
    assert Config.of(values | {"schema": 2}, "m").preprocess.contract == FIRST
