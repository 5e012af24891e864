"""Transparency: what is composited on what, and which images it hides."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from headstart.data import colour
from headstart.data.backgrounds import background_warnings, best_background
from headstart.data.colour import blank_on, to_rgb_or_grey
from headstart.data.contract import FIRST, PixelContract
from headstart.data.decoding import decode
from headstart.errors import UnreadableImage
from tests.data.files import encoded


def drawing(colour: tuple[int, int, int], alpha: int = 255) -> Image.Image:
    """Return a disc of a colour on transparent pixels."""
    image = Image.new("RGBA", (64, 64), (9, 9, 9, 0))
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=(*colour, alpha))
    return image


WHITE, BLACK, GREY, RED = (255,) * 3, (0,) * 3, (128,) * 3, (255, 0, 0)


@pytest.mark.parametrize(
    ("image", "blank"),
    [
        (drawing(WHITE), ("white",)),
        (drawing((250, 252, 255)), ("white",)),
        (drawing((246, 255, 255)), ()),
        (drawing(BLACK), ("black",)),
        (drawing(GREY), ("grey",)),
        (drawing(RED), ()),
        (drawing(WHITE, alpha=4), ()),
        (drawing(BLACK, alpha=0), ()),
        (Image.new("RGBA", (8, 8), (*WHITE, 255)), ()),
        (Image.new("RGBA", (8, 8), (*WHITE, 100)), ()),
        (Image.new("RGB", (8, 8), WHITE), ()),
        (drawing(WHITE).convert("LA"), ("white",)),
    ],
)
def test_backgrounds_on_which_an_image_is_one_colour(image: Image.Image, blank) -> None:
    """Opaque images, and those that no background would change, have none."""
    assert blank_on(image) == blank


@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0), ("grey", 128)])
def test_transparent_pixels_become_the_background(background: str, level: int) -> None:
    """Half-transparent red lies between red and the background."""
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 128))
    image.putpixel((0, 0), (1, 2, 3, 0))
    pixels = decode(encoded(image, "PNG"), contract=PixelContract(background=background))
    mixed = [round(128 / 255 * red + 127 / 255 * level) for red in RED]
    assert pixels[0, 0].tolist() == [level] * 3
    assert np.abs(pixels[0, 1].astype(int) - mixed).max() <= 1


@pytest.mark.parametrize("size", [(64, 50), (200, 3), (3, 200)])
def test_large_transparent_images_are_composited_in_strips(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the pixels of the whole."""
    values = np.random.default_rng(0).integers(0, 256, (*size[::-1], 4), dtype=np.uint8)
    image, contract = Image.fromarray(values), PixelContract(background="grey")
    whole = np.asarray(to_rgb_or_grey(image, contract))
    monkeypatch.setattr(colour, "_STRIP", 128)
    assert np.array_equal(to_rgb_or_grey(image, contract), whole)


def test_an_image_without_a_visible_pixel_is_refused() -> None:
    """It is blank on every background."""
    with pytest.raises(UnreadableImage) as caught:
        decode(encoded(drawing(RED, alpha=0), "PNG"), path="a.png")
    assert str(caught.value) == "Cannot read image 'a.png': it is fully transparent."


def test_the_first_contract_takes_an_image_without_a_visible_pixel() -> None:
    """Models that were trained before still predict for it."""
    assert (decode(encoded(drawing(RED, alpha=0), "PNG"), contract=FIRST) == 255).all()


def test_grey_images_stay_grey() -> None:
    """An image without transparency is not converted."""
    assert to_rgb_or_grey(Image.new("L", (4, 4), 7)).mode == "L"


@pytest.mark.parametrize(
    ("blank", "background"),
    [
        ([], "white"),
        ([None, None], "white"),
        ([None, "black"], "white"),
        (["white", None], "black"),
        (["white", "black"], "grey"),
        (["white", "black", "grey"], "white"),
        (["white", "white", "black", "grey"], "black"),
    ],
)
def test_the_background_that_hides_the_fewest_images_is_best(blank: list, background: str) -> None:
    """White, unless another hides fewer."""
    assert best_background(blank) == background


def test_another_background_is_said() -> None:
    """The sentence names the images that white would hide."""
    (sentence,) = background_warnings(["a.png", "b.png", "c.png"], ["white", None, "white"])
    assert sentence == (
        "Transparent pixels become black instead of white, on which 2 training images are one "
        "colour: 'a.png', 'c.png'."
    )
    assert list(background_warnings(["a.png", "b.png"], [None, "black"])) == []


def test_images_that_stay_hidden_are_said() -> None:
    """If no background shows all images, those that it hides are named."""
    (sentence,) = background_warnings(["a", "b", "c"], ["white", "black", "grey"])
    assert sentence == (
        "Transparent pixels become white, on which 1 training image is one colour: 'a'. No other "
        "background shows more images. Draw this one on an opaque background."
    )
