"""What is taken for an image: a path, a file's contents, an open file, an array, and so on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

import numpy as np
from PIL import Image
from typing_extensions import TypeIs

from headstart.arrays import Anything
from headstart.data.colour import to_rgb_or_grey
from headstart.data.contract import CURRENT, PixelContract
from headstart.data.decoding import (
    LoadedImage,
    MinSide,
    as_loaded,
    crop_face,
    decode_loaded,
    read_image,
    translate_errors,
)
from headstart.data.metadata import upright
from headstart.data.quiet import quiet_libraries
from headstart.errors import NotAnImage, UnreadableImage
from headstart.options import DecodeLimits
from headstart.urls import is_on_web, is_url, url_of

if TYPE_CHECKING:
    from torch import Tensor

ImageLike: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | Anything"
    " | Tensor"
)
"""A path, the contents of a file, a file open for reading, a Pillow image, an array or a tensor.

Arrays are (height, width) or (height, width, channels), tensors (height, width) or (channels,
height, width), with 1, 3 (red, green, blue) or 4 channels. Values are uint8, or floats from 0 to 1.
"""

ImagesLike: TypeAlias = "ImageLike | Iterable[ImageLike]"
"""One image, a collection of images, or a batch: an array or a tensor with one more axis."""

_EXPECTED = (
    "pass a path, the contents of a file as bytes, a file open in binary mode, a Pillow image, "
    "a NumPy array or a PyTorch tensor"
)
_CHANNELS = (1, 3, 4)
# Resizing may leave floats this far outside of 0 to 1, which is less than one grey level.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ImageInput:
    """An image that was passed, which may be decoded on another thread.

    It does not change when the caller reuses an array or a buffer for the next image.

    Attributes:
        name: The path of the image, or its type if it has no path.
        source: A path, the contents of a file, or an image in memory.
    """

    name: str
    source: str | bytes | Image.Image

    @classmethod
    def of(cls, image: ImageLike) -> Self:
        """Return the input for any kind of image.

        Raises:
            NotAnImage: It has a type that is not taken for an image.
            UnreadableImage: The shape, type or range of an array is not that of an image, or a file
                cannot be read.
        """
        name = image_name(image)
        return cls(name, _source(image, name))

    def decode(
        self,
        *,
        min_side: int | None = None,
        contract: PixelContract = CURRENT,
        limits: DecodeLimits | None = None,
    ) -> Image.Image:
        """Return the decoded image, of mode "RGB" or "L".

        Args:
            min_side: See `decoding.decode`.
            contract: See `decoding.decode`.
            limits: See `decoding.decode`.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        return self.decode_with_size(min_side=min_side, contract=contract, limits=limits).image

    def decode_with_size(
        self,
        *,
        min_side: MinSide = None,
        contract: PixelContract = CURRENT,
        limits: DecodeLimits | None = None,
    ) -> LoadedImage:
        """Return what `decode` does, with width and height of the whole image as it is seen."""
        if isinstance(self.source, Image.Image):
            image = _from_pil(self.source, self.name, contract)
            if contract.crop == "face":
                image = crop_face(image, path=self.name, min_side=min_side)
            return as_loaded(image)
        data = read_path(self.source) if isinstance(self.source, str) else self.source
        with quiet_libraries():
            return decode_loaded(
                data, path=self.name, min_side=min_side, contract=contract, limits=limits
            )


@dataclass(frozen=True)
class ListedImage:
    """An image file that a table or a list names.

    Attributes:
        name: What it is called in the results.
        path: Its path; "" without one.
        problem: Why there is no such file, if that is known already.
        state: Its size and the time of its last change, if the list of a store has them.
    """

    name: str
    path: str
    problem: str | None = None
    state: tuple[int, int] | None = None


def each_image(images: ImagesLike) -> Iterator[ImageLike]:
    """Return an iterator over a single image, or over those of a collection or a batch.

    A batch is an array (images, height, width, channels) or a tensor (images, channels, height,
    width).

    Raises:
        NotAnImage: It is neither an image nor a collection.
    """
    if is_image(images):
        return iter((images,))
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return iter(images)
    raise _not_an_image(images)


def is_image(value: object) -> TypeIs[ImageLike]:
    """Return whether a value is a single image rather than a collection of images."""
    if isinstance(value, np.ndarray):
        names = value.ndim == 1 and value.dtype.kind in "OU"
        return value.ndim != 4 and not names
    if _is_tensor(value):
        return value.ndim != 4
    known = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    return isinstance(value, known) or hasattr(value, "read")


def image_name(image: ImageLike) -> str:
    """Return the path of an image, or its type if it has no path."""
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    name = getattr(image, "filename" if isinstance(image, Image.Image) else "name", None)
    return name if isinstance(name, str) and name else type(image).__name__


def as_image(
    image: ImageLike, *, min_side: int | None = None, contract: PixelContract = CURRENT
) -> Image.Image:
    """Convert any kind of image to a decoded image.

    Raises:
        NotAnImage: It has a type that is not taken for an image.
        UnreadableImage: It cannot be decoded.
    """
    return ImageInput.of(image).decode(min_side=min_side, contract=contract)


def read_path(path: str) -> bytes:
    """Read the contents of an image file.

    Raises:
        UnreadableImage: It is a URL of the web or a folder, does not exist, or access is denied.
        DataError: It is in an object store that cannot be reached.
    """
    if is_url(path):
        if is_on_web(path):
            raise UnreadableImage(path, "it is a URL; download the file first")
        return read_image(url_of(path) or path)
    if Path(path).is_dir():
        raise UnreadableImage(
            path,
            "it is a folder; pass the files in it, such as list(Path(folder).rglob('*.jpg'))",
        )
    return read_image(path)


def _source(image: ImageLike, name: str) -> str | bytes | Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return _from_array(image, name)
    if _is_tensor(image):
        return _from_tensor(image, name)
    if hasattr(image, "read"):
        return _contents(image)
    raise _not_an_image(image)


def _contents(file: BinaryIO) -> bytes:
    """Read a file from its beginning, as Pillow does."""
    if file.seekable():
        file.seek(0)
    data = file.read()
    if not isinstance(data, bytes):
        raise NotAnImage(image_name(file), "it is open in text mode; open it with mode 'rb'")
    return data


def _from_array(array: Anything, name: str) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1 if array.ndim == 2 else 0
    if channels not in _CHANNELS or not array.size:
        hint = ""
        if array.ndim == 3 and array.shape[0] in _CHANNELS:
            hint = "; move the channels to the end with array.transpose(1, 2, 0)"
        elif array.ndim == 1 and array.dtype == np.uint8:
            hint = "; if it holds the contents of a file, pass array.tobytes()"
        raise _wrong_shape(name, "(height, width) or (height, width, channels)", array.shape, hint)
    pixels = _as_uint8(array, name)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def _from_tensor(tensor: Tensor, name: str) -> Image.Image:
    shape = tuple(tensor.shape)
    channels = shape[0] if len(shape) == 3 else 1 if len(shape) == 2 else 0
    if channels not in _CHANNELS or 0 in shape:
        last = len(shape) == 3 and shape[2] in _CHANNELS
        hint = "; move the channels to the front with tensor.permute(2, 0, 1)" if last else ""
        raise _wrong_shape(name, "(height, width) or (channels, height, width)", shape, hint)
    tensor = tensor.detach().cpu()
    array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return _from_array(array if array.ndim == 2 else array.transpose(1, 2, 0), name)


def _as_uint8(array: Anything, name: str) -> Anything:
    """Return the values as uint8, in a copy."""
    if array.dtype == np.uint8:
        return array.copy()
    if not np.issubdtype(array.dtype, np.floating):
        raise UnreadableImage(
            name, f"its values must be uint8, or floats from 0 to 1; they are {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise UnreadableImage(name, "it has values that are not finite")
    low, high = float(array.min()), float(array.max())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        found = f"its floats must be from 0 to 1; they are from {low:.4g} to {high:.4g}"
        raise UnreadableImage(name, f"{found}; {_advice(low, high)}")
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _advice(low: float, high: float) -> str:
    if low >= 0 and high <= 255:
        return "divide them by 255, or convert them to uint8"
    return "pass the image as it was before normalisation, which the model does itself"


def _wrong_shape(name: str, expected: str, shape: tuple[int, ...], hint: str) -> UnreadableImage:
    return UnreadableImage(
        name, f"its shape must be {expected}, with 1, 3 or 4 channels; it is {shape}{hint}"
    )


def _not_an_image(value: object) -> NotAnImage:
    if value is None:
        return NotAnImage("None", "did cv2.imread fail to read the file? Otherwise, " + _EXPECTED)
    kind = type(value).__name__
    return NotAnImage(kind, f"a value of type {kind} is not taken for an image; {_EXPECTED}")


def _is_tensor(value: object) -> TypeIs[Tensor]:
    """Return whether a value is a PyTorch tensor, without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _from_pil(image: Image.Image, name: str, contract: PixelContract) -> Image.Image:
    with translate_errors(name, DecodeLimits()):  # A lazily opened file may be damaged.
        image.load()
        return to_rgb_or_grey(upright(image, image.getexif), contract)
