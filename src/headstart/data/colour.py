"""Convert loaded images to red, green and blue, or to grey: depth, palettes and transparency."""

import numpy as np
from PIL import Image

from headstart.arrays import Numbers
from headstart.data.contract import CURRENT, LEVELS, Background, PixelContract
from headstart.data.sixteen_bits import grey_of
from headstart.errors import UnreadableImage

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_GREY_MODES = ("L", "1")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")

# Differences up to this are not visible, and hardly change a feature.
_BLANK = 8
_PIXELS = 512 * 512
_STRIP = 2**22  # pixels


def to_rgb_or_grey(image: Image.Image, contract: PixelContract = CURRENT) -> Image.Image:
    """Convert a loaded image to mode "RGB", or to "L" if red, green and blue are all equal.

    Raises:
        UnreadableImage: It is fully transparent.
        ValueError: It has values that are not finite.
    """
    if image.mode in _SIXTEEN_BIT_MODES:
        return Image.fromarray(grey_of(np.asarray(image, dtype=np.uint16)))
    if image.mode in ("I", "F"):
        return _wide_range_to_grey(np.asarray(image, dtype=np.float64))
    if has_alpha(image):
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        if contract.version > 1 and _is_transparent(layer):
            raise UnreadableImage("image", "it is fully transparent")
        return _on(layer, contract.background)
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode in _GREY_MODES else "RGB")


def has_alpha(image: Image.Image) -> bool:
    """Return whether pixels of an image may be transparent."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def blank_on(image: Image.Image) -> tuple[Background, ...]:
    """Return the backgrounds on which a loaded image with transparent pixels is one colour.

    Returns:
        Nothing if it is opaque or fully transparent, or is one colour on every background.
    """
    if not has_alpha(image):
        return ()
    layer = image.convert("RGBA")
    if _is_transparent(layer) or _lowest_alpha(layer) == 255:
        return ()
    # Smaller than this, a detail is not seen by a network either.
    if (factor := int((layer.width * layer.height / _PIXELS) ** 0.5)) > 1:
        layer = layer.convert("RGBa").reduce(factor).convert("RGBA")
    blank = tuple(background for background in LEVELS if _is_blank(_on(layer, background)))
    return blank if len(blank) < len(LEVELS) else ()


def _is_transparent(layer: Image.Image) -> bool:
    return layer.getchannel("A").getbbox() is None


def _lowest_alpha(layer: Image.Image) -> int:
    return int(np.asarray(layer.getchannel("A")).min())


def _is_blank(image: Image.Image) -> bool:
    values = np.asarray(image)
    return bool((np.ptp(values.reshape(-1, 3), axis=0) <= _BLANK).all())


def _on(layer: Image.Image, background: Background) -> Image.Image:
    """Return an image on a background, in strips so that a large one is not copied as a whole."""
    level, (width, height) = LEVELS[background], layer.size
    opaque, rows = Image.new("RGB", layer.size), max(1, _STRIP // max(width, 1))
    for top in range(0, height, rows):
        strip = layer.crop((0, top, width, min(top + rows, height)))
        ground = Image.new("RGBA", strip.size, (level, level, level, 255))
        opaque.paste(Image.alpha_composite(ground, strip), (0, top))
    return opaque


def _wide_range_to_grey(values: Numbers) -> Image.Image:
    """Scale 32-bit integers and floats, which have no natural range, by the range of the image."""
    if not np.isfinite(values).all():
        raise ValueError("it has values that are not finite")
    if values.min() >= 0 and values.max() < 2**16 and (values == np.rint(values)).all():
        return Image.fromarray(grey_of(values.astype(np.uint16)))
    low, high = values.min(), values.max()
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
