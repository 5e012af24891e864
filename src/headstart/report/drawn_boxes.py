"""Pictures of images with the boxes that were predicted in them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from headstart.answers import PredictedBox

SIDE = 1600
"""The longer side of a picture, in pixels, at most."""

# Smaller images are enlarged, as labels would cover them.
_SMALLEST = 800
# One for each class in turn, all light enough for black letters (after Okabe and Ito, 2008).
_COLOURS = ("#e69f00", "#56b4e9", "#00c48c", "#f0e442", "#ff8a4c", "#e79ac6")
_INK = "black"
# The height of letters and the width of lines, as a share of the longer side.
_LETTERS, _LINE = 1 / 50, 1 / 400

_Place = tuple[float, float, float, float]


def draw_boxes(
    image: Image.Image,
    boxes: Sequence[PredictedBox],
    size: tuple[int, int],
    classes: Sequence[str],
) -> Image.Image:
    """Return a picture of an image with its boxes, their labels and their probabilities.

    Args:
        image: The image, at any scale.
        boxes: The boxes, the most probable first, in pixels of the image as it is seen.
        size: Width and height of the image as it is seen.
        classes: The classes of the model, each of which has a colour.
    """
    picture = _scaled(image)
    across, down = picture.width / size[0], picture.height / size[1]
    drawn = [
        (
            f"{box.label} {box.probability:.0%}",
            (box.box[0] * across, box.box[1] * down, box.box[2] * across, box.box[3] * down),
            _COLOURS[classes.index(box.label) % len(_COLOURS)],
        )
        for box in boxes
    ]
    line = max(2, round(max(picture.size) * _LINE))
    pen = ImageDraw.Draw(picture)
    for _, corners, colour in reversed(drawn):
        pen.rectangle(corners, outline=colour, width=line)
    font = ImageFont.load_default(max(picture.size) * _LETTERS)
    taken: list[_Place] = []
    for text, corners, colour in drawn:
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        room = right - left + 2 * line, bottom - top + 2 * line
        place = _place(corners, room, picture.size, taken)
        taken.append(place)
        pen.rectangle(place, fill=colour)
        pen.text((place[0] + line - left, place[1] + line - top), text, fill=_INK, font=font)
    return picture


def _scaled(image: Image.Image) -> Image.Image:
    """Return an image at a scale at which labels can be read."""
    longest = max(image.size)
    scale = min(max(longest, _SMALLEST), SIDE) / longest
    sides = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.convert("RGB").resize(sides, Image.Resampling.BICUBIC)


def _place(
    corners: _Place, room: tuple[float, float], size: tuple[int, int], taken: Sequence[_Place]
) -> _Place:
    """Return the place of a label: above, below or inside its box, where there is none yet.

    If there is one everywhere, it is the first of these places that is inside the picture.
    """
    (x1, y1, _, y2), (wide, high) = corners, room
    x = max(0.0, min(x1, size[0] - wide))
    places = [(x, y, x + wide, y + high) for y in (y1 - high, y2, max(y1, 0.0))]
    inside = [one for one in places if one[1] >= 0 and one[3] <= size[1]] or places[-1:]
    return next((one for one in inside if not _meets(one, taken)), inside[0])


def _meets(place: _Place, others: Sequence[_Place]) -> bool:
    """Return whether a place overlaps with others."""
    x1, y1, x2, y2 = place
    return any(
        max(x1, left) < min(x2, right) and max(y1, top) < min(y2, bottom)
        for left, top, right, bottom in others
    )
