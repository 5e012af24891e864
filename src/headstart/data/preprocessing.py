"""Preprocessing of an image's pixels for the backbone."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

import numpy as np
from PIL import Image
from pydantic import JsonValue, TypeAdapter

from headstart.arrays import Pixels
from headstart.data.contract import CURRENT, FIRST, PixelContract
from headstart.options import OrientationsOption, ScalesOption

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

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
        resize: "squash" resizes the whole image to the square; "shorter" keeps the aspect ratio,
            resizes the shorter side to size / crop and crops the centre.
        crop: Fraction of the shorter side that "shorter" keeps, 0 to 1.
        interpolation: The filter, always antialiased.
        mean: Subtracted from each channel (red, green, blue) after scaling to 0..1.
        std: Divides each channel after that.
        orientations: The rotations and reflections over which features are averaged.
        scales: "two" if the network also reads the image at `small_size`.
        contract: How the pixels of a file become the image that is resized.
    """

    size: int
    resize: Literal["squash", "shorter"] = "squash"
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
        return self.size if self.resize == "squash" else round(self.size / self.crop)

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
        square = self._squash(image) if self.resize == "squash" else self._crop(image)
        pixels = np.asarray(square)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, np.newaxis], 3, axis=2)

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

    def _squash(self, image: Image.Image) -> Image.Image:
        return image.resize((self.size, self.size), _FILTERS[self.interpolation])

    def _crop(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        side = self.size / self.min_side * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((self.size, self.size), _FILTERS[self.interpolation], box=box)
