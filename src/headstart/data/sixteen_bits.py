"""Images of 16 bits per channel, reduced to 8 by the bit depth that their values need.

Pillow itself keeps the upper 8 bits of images with several channels, so that values of 12 bits,
as many cameras and scanners write them, come out nearly black.
"""

import re
import struct
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from headstart.arrays import Pixels, SixteenBit
from headstart.errors import UnreadableImage

_CAMERA_BITS = (8, 10, 12, 14, 16)
_FULL = 2**16 - 1

# The header of a JPEG 2000: the number of channels, and for each a byte of its depth less one.
_J2K_START, _J2K_CHANNELS, _J2K_DEPTHS = b"\xff\x4f\xff\x51", 40, 42

# Pillow's names of layouts in a file: the channels, 16 bits each, and the order of their bytes.
_LAYOUT = re.compile(r"(RGB|RGBA|RGBX|RGBa|CMYK|LA);16([BLN])")
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

# TIFF's tags of how channels are stored, and the places and sizes of strips and of tiles.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOUR = 256, 257, 258, 259, 262
_SAMPLES, _ROWS, _PLANAR, _PREDICTOR = 277, 278, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _EXTRA = 322, 323, 338
_PLACES = (273, 279, 324, 325)
_SAME = (_WIDTH, _HEIGHT, _COMPRESSION, _ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT)
_SEPARATE, _BLACK_IS_ZERO, _MULTIPLIED, _LONG = 2, 1, 1, 4

_Arguments = tuple[object, ...] | str | None
"""What Pillow passes to the decoder of a tile: the layout first, or nothing else."""


def grey_of(values: SixteenBit) -> Pixels:
    """Scale 16-bit values to 0 to 255 by the smallest common bit depth that holds all of them.

    A 12-bit X-ray in a 16-bit file keeps its contrast, and two images from the same device keep
    their relative brightness, which would be lost if each were scaled by its own range.
    """
    return _scaled(values, _depth(values))


def has_sixteen_bits(image: ImageFile) -> bool:
    """Return whether an opened image has several channels of 16 bits, or such a transparent grey.

    Pillow loads 16 bits of grey alone as they are.
    """
    return _has_grey_key(image) or _is_separate(image) or _layout(image) is not None


def read_sixteen_bits(
    image: ImageFile, data: bytes, open_file: Callable[[bytes], ImageFile]
) -> Image.Image | None:
    """Load an image of several channels, or of grey with a transparent value, of 16 bits each.

    Colours are scaled as grey is, by the largest of all channels, and alpha by no smaller depth.

    Args:
        image: The opened file, which is loaded if it is such an image.
        data: The content of the file.
        open_file: Opens such a content without loading its pixels.

    Returns:
        The image in 8 bits per channel, of mode "RGB", "RGBA", "LA" or "CMYK"; None if it is not
        such an image.
    """
    key: int | tuple[int, ...] | None = image.info.get("transparency")
    if _has_grey_key(image):
        return _reduced(_with_key(_array(image)[:, :, np.newaxis], key))
    if _is_separate(image):
        values = _separate(image, data, open_file)
    elif match := _layout(image):
        values = _interleaved(image, match[1], open_file(data))
    else:
        return None
    if image.mode == "RGBA" and _tags(image).get(_EXTRA) in (_MULTIPLIED, (_MULTIPLIED,)):
        values = _unmultiplied(values)
    if image.mode == "CMYK":
        return _merged("CMYK", _scaled(values, _depth(values)))
    return _reduced(values if key is None else _with_key(values, key))


def check_depth(image: Image.Image, data: bytes) -> None:
    """Check that a loaded JPEG 2000 in colour has not lost its contrast.

    Pillow keeps its upper 8 bits, which is right unless it uses fewer bits than its header says.

    Raises:
        UnreadableImage: It has.
    """
    start = data.find(_J2K_START)
    header = data[start : start + _J2K_DEPTHS + 1] if start >= 0 else b""
    if image.format != "JPEG2000" or len(header) <= _J2K_DEPTHS:
        return
    channels = int.from_bytes(header[_J2K_CHANNELS:_J2K_DEPTHS], "big")
    bits = header[_J2K_DEPTHS] % 128 + 1
    if channels == 1 or bits <= 8:
        return
    used = bits - 8 + _peak(image).bit_length()
    if used <= _deepest_below(bits):
        raise UnreadableImage(
            "image",
            f"its header says {bits} bits, but its values have at most {used}, which is not read "
            "from a JPEG 2000 in colour; convert it to .png or .tif",
        )


def _peak(image: Image.Image) -> int:
    """Return the largest value of all channels but alpha."""
    values = np.asarray(image)
    count = values.shape[2]
    return int(values[:, :, : count - (count in (2, 4))].max())


def _deepest_below(bits: int) -> int:
    return max(depth for depth in _CAMERA_BITS if depth < bits)


def _has_grey_key(image: ImageFile) -> bool:
    return image.mode.startswith("I;16") and isinstance(image.info.get("transparency"), int)


def _is_separate(image: ImageFile) -> bool:
    tags = _tags(image)
    return tags.get(_PLANAR) == _SEPARATE and set(tags.get(_BITS, ())) == {16}


def _tags(image: ImageFile) -> Mapping[int, Any]:
    """Return the tags of a TIFF; other formats have none."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


def _layout(image: ImageFile) -> re.Match[str] | None:
    """Return the channels and the order of bytes, if channels have 16 bits each."""
    return _LAYOUT.fullmatch(_name(image.tile[0].args)) if image.tile else None


def _name(arguments: _Arguments) -> str:
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _interleaved(image: ImageFile, channels: str, other: ImageFile) -> SixteenBit:
    """Load pixel after pixel.

    Grey with alpha is loaded as four channels of 8 bits. Otherwise the upper byte of every value is
    loaded, and then the lower byte by the opposite order of bytes.
    """
    if channels == "LA":
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        parts = _array(image)
        return _joined(parts[:, :, 0::2], parts[:, :, 1::2])
    image.tile = [tile._replace(args=_ordered(tile.args, swap=False)) for tile in image.tile]
    other.tile = [tile._replace(args=_ordered(tile.args, swap=True)) for tile in other.tile]
    return _joined(_array(image), _array(other))


def _ordered(arguments: _Arguments, *, swap: bool) -> _Arguments:
    """Return the arguments of a tile that select the upper or the lower byte of each value."""
    channels, order = _name(arguments).split(";16")
    straight = channels.replace("a", "A")
    name = f"{straight};16{_SWAPPED[order] if swap else order}"
    return (name, *arguments[1:]) if isinstance(arguments, tuple) else name


def _separate(image: ImageFile, data: bytes, open_file: Callable[[bytes], ImageFile]) -> SixteenBit:
    """Load the channels of a TIFF, each as a grey image of its own directory."""
    count = len(image.getbands())
    planes = [_array(open_file(_channel_file(image, data, number))) for number in range(count)]
    return np.stack(planes, axis=2)


def _channel_file(image: ImageFile, data: bytes, number: int) -> bytes:
    """Return a TIFF of one channel, with its directory after the other file's content."""
    tags = _tags(image)
    values = {tag: (int(tags[tag]),) for tag in _SAME if tag in tags}
    values |= {_BITS: (16,), _COLOUR: (_BLACK_IS_ZERO,), _SAMPLES: (1,)}
    for tag in _PLACES:
        if tag in tags:
            each = len(tags[tag]) // tags[_SAMPLES]
            values[tag] = tags[tag][number * each : (number + 1) * each]
    prefix = data[:2]
    order = "<" if prefix == b"II" else ">"
    header = prefix + struct.pack(order + "HI", 42, len(data))
    return header + data[len(header) :] + _directory(values, order, len(data))


def _directory(values: Mapping[int, tuple[int, ...]], order: str, start: int) -> bytes:
    """Return a TIFF directory of tags that all have 32 bits, with the lists after it."""
    entries, lists = b"", b""
    for tag, numbers in sorted(values.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            place = start + 2 + 12 * len(values) + 4 + len(lists)
            lists, packed = lists + packed, struct.pack(order + "I", place)
        entries += struct.pack(order + "HHI", tag, _LONG, len(numbers)) + packed
    return struct.pack(order + "H", len(values)) + entries + bytes(4) + lists


def _joined(upper: SixteenBit, lower: SixteenBit) -> SixteenBit:
    return upper * np.uint16(256) + lower


def _array(image: ImageFile) -> SixteenBit:
    image.load()
    return np.asarray(image).astype(np.uint16)


def _with_key(values: SixteenBit, key: int | tuple[int, ...] | None) -> SixteenBit:
    """Add alpha to values, of which one is transparent."""
    opaque = (values != key).any(axis=2, keepdims=True)
    return np.concatenate([values, opaque * np.uint16(_FULL)], axis=2)


def _unmultiplied(values: SixteenBit) -> SixteenBit:
    """Divide colours by the alpha that they were multiplied by."""
    alpha = np.maximum(values[:, :, 3:], 1)
    colours = np.rint(values[:, :, :3] * (_FULL / alpha)).clip(0, _FULL)
    return np.concatenate([colours.astype(np.uint16), values[:, :, 3:]], axis=2)


def _reduced(values: SixteenBit) -> Image.Image:
    """Reduce grey with alpha, or colours with or without it, to 8 bits per channel."""
    count = values.shape[2]
    if count == 3:
        return _merged("RGB", _scaled(values, _depth(values)))
    colours, alpha = values[:, :, :-1], values[:, :, -1:]
    depth = _depth(colours)
    scaled = _scaled(colours, depth), _scaled(alpha, max(depth, _depth(alpha)))
    return _merged("LA" if count == 2 else "RGBA", np.concatenate(scaled, axis=2))


def _merged(mode: str, channels: Pixels) -> Image.Image:
    layers = [Image.fromarray(channels[:, :, layer]) for layer in range(channels.shape[2])]
    return Image.merge(mode, layers)


def _depth(values: SixteenBit) -> int:
    peak = int(values.max())
    return next(bits for bits in _CAMERA_BITS if peak < 2**bits)


def _scaled(values: SixteenBit, bits: int) -> Pixels:
    return _table(bits)[values]


@cache
def _table(bits: int) -> Pixels:
    """Return the 8-bit value of each value of a depth."""
    table: Pixels = np.rint(np.arange(2**bits, dtype=np.float32) * (255.0 / (2**bits - 1)))
    return table.astype(np.uint8)
