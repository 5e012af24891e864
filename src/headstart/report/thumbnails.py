"""Small pictures."""

import io

from PIL import Image

from headstart.data.contract import PixelContract
from headstart.data.decoding import decode_image, read_image
from headstart.data.quiet import quiet_libraries

SIDE = 224
"""The longer side of a thumbnail, in pixels."""

QUALITY = 80
"""The quality of its JPEG, up to 95."""


def thumbnail(
    path: str, contract: PixelContract, side: int = SIDE, *, quality: int = QUALITY
) -> bytes:
    """Return an image as a small JPEG.

    Raises:
        UnreadableImage: It cannot be decoded any more.
    """
    with quiet_libraries():
        image = decode_image(read_image(path), path=path, min_side=side, contract=contract)
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    return as_jpeg(small, quality=quality)


def as_jpeg(image: Image.Image, *, quality: int = QUALITY) -> bytes:
    """Return an image as the bytes of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
