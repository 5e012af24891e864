"""Preprocessing of an image's pixels for the backbone."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

import numpy as np
from PIL import Image, ImageOps
from pydantic import JsonValue, TypeAdapter

from headstart.arrays import Pixels
from headstart.data.contract import CURRENT, FIRST, PixelContract
from headstart.data.decoding import LoadedImage
from headstart.data.tiling import Tile
from headstart.options import FitOption, OrientationsOption, ScalesOption

Resize = Literal["squash", "shorter", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

RESIZE: Mapping[FitOption, Resize] = {
    "auto": "squash",
    "squash": "squash",
    "pad": "pad",
    "crop": "shorter",
}
"""How images are resized for each value of `--fit`; "auto" begins with the first."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_FLOATS = TypeAdapter(list[float])
_CONTRACT = TypeAdapter(PixelContract)


@dataclass(frozen=True)
class Preprocess:
    """Resize, crop, scale and normalise images. The settings are saved with the trained model.

    Attributes:
        size: Side of the square input of the backbone, in pixels.
        resize: "squash" resizes the whole image to the square. "shorter" and "pad" keep the aspect
            ratio: "shorter" resizes the shorter side to size / crop and crops the centre, "pad"
            resizes the longer side to size and fills the rest with the mean colour.
        crop: Fraction of the shorter side that "shorter" keeps, 0 to 1.
        interpolation: The filter, always antialiased.
        mean: Subtracted from each channel (red, green, blue) after scaling to 0..1.
        std: Divides each channel after that.
        orientations: The rotations and reflections over which features are averaged.
        scales: "two" if the network also reads the image at `small_size`.
        contract: How the pixels of a file become the image that is resized.
    """

    size: int
    resize: Resize = "squash"
    crop: float = 1.0
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    orientations: OrientationsOption = "one"
    scales: ScalesOption = "one"
    contract: PixelContract = CURRENT

    @property
    def min_side(self) -> int:
        """Pixels that the shorter side of a photo needs before it is resized."""
        return round(self.size / self.crop) if self.resize == "shorter" else self.size

    @property
    def small_size(self) -> int | None:
        """Side of the input at the second scale: about 3/4, a multiple of 32; None with one scale.

        The deepest maps of most networks have one position for 32 pixels.
        """
        return self.size * 3 // 4 // 32 * 32 if self.scales == "two" else None

    def pixels(self, image: Image.Image) -> Pixels:
        """Resize and crop.

        Scaling and normalising are the first steps of the network itself, where they cost nothing.

        Args:
            image: An image of mode "RGB" or "L".

        Returns:
            Array of shape (size, size, 3), values 0 to 255.
        """
        resized = {"squash": self._squash, "shorter": self._crop, "pad": self._pad}
        return self._as_array(resized[self.resize](image))

    def pixels_of(self, loaded: LoadedImage, tile: Tile | None = None) -> Pixels:
        """Return what `pixels` does for a loaded image or for a tile of it, which is padded."""
        image = loaded.image
        if tile is None:
            return self.pixels(image)
        left, top, across, down = self.placed(tile.width, tile.height)
        filter_, size = _FILTERS[self.interpolation], (max(across, 1), max(down, 1))
        square = Image.new(image.mode, (self.size, self.size), self._background(image.mode))
        square.paste(image.resize(size, filter_, loaded.box_of(tile)), (left, top))
        return self._as_array(square)

    def placed(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, width and height of a whole image within the square of `pixels`.

        Args:
            width: Width of the image, in pixels.
            height: Height of the image, in pixels.

        Raises:
            ValueError: The image is cropped, so that it is not whole.
        """
        if self.resize == "shorter":
            raise ValueError("Images that are cropped have no place for their edges.")
        if self.resize == "squash":
            return 0, 0, self.size, self.size
        across = self.size if width >= height else round(width / height * self.size)
        down = self.size if height >= width else round(height / width * self.size)
        return round((self.size - across) / 2), round((self.size - down) / 2), across, down

    def to_dict(self) -> dict[str, JsonValue]:
        """Convert to plain JSON values."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, JsonValue]) -> Self:
        """Load from the values that `to_dict` returned, of any version.

        Raises:
            KeyError: A value is missing.
            TypeError: There is an unknown value.
        """
        build: Callable[..., Self] = cls
        tuples = {name: tuple(_FLOATS.validate_python(values[name])) for name in ("mean", "std")}
        contract = _CONTRACT.validate_python(values["contract"]) if "contract" in values else FIRST
        return build(**(dict(values) | tuples | {"contract": contract}))

    @staticmethod
    def _as_array(square: Image.Image) -> Pixels:
        pixels = np.asarray(square)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, np.newaxis], 3, axis=2)

    def _squash(self, image: Image.Image) -> Image.Image:
        return image.resize((self.size, self.size), _FILTERS[self.interpolation])

    def _pad(self, image: Image.Image) -> Image.Image:
        colour, filter_ = self._background(image.mode), _FILTERS[self.interpolation]
        return ImageOps.pad(image, (self.size, self.size), filter_, colour)

    def _background(self, mode: str) -> int | tuple[int, ...]:
        """Return the mean colour."""
        mean = [round(255 * value) for value in self.mean]
        return tuple(mean) if mode == "RGB" else round(sum(mean) / len(mean))

    def _crop(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        side = self.size / self.min_side * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((self.size, self.size), _FILTERS[self.interpolation], box=box)
