"""What happens to an image's pixels before the backbone sees them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

import numpy as np
from PIL import Image
from pydantic import JsonValue, TypeAdapter

from headstart.arrays import Pixels
from headstart.options import OrientationsOption

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_FLOATS = TypeAdapter(list[float])


@dataclass(frozen=True)
class Preprocess:
    """Resize, crop, scale and normalise; a value that travels with the trained model.

    Attributes:
        size: Side of the square that the backbone sees, in pixels.
        resize: "squash" brings the whole image to the square; "shorter" keeps its proportions,
            brings the shorter side to size / crop and cuts the middle out.
        crop: Share of the shorter side that stays with "shorter", 0 to 1.
        interpolation: Always antialiased.
        mean: Subtracted from each channel (red, green, blue) after scaling to 0..1.
        std: Divided by after that.
        orientations: Which turns and mirror images of a photo are seen; features are averaged.
    """

    size: int
    resize: Literal["squash", "shorter"] = "squash"
    crop: float = 1.0
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    orientations: OrientationsOption = "one"

    @property
    def smallest_side(self) -> int:
        """Pixels that the shorter side of a photo needs before it is resized."""
        return self.size if self.resize == "squash" else round(self.size / self.crop)

    def pixels(self, image: Image.Image) -> Pixels:
        """Resize and crop.

        Scaling and normalising come first in the network itself, where they cost nothing.

        Args:
            image: Of mode "RGB" or "L".

        Returns:
            Array of shape (size, size, 3), values 0 to 255.
        """
        square = self._squash(image) if self.resize == "squash" else self._crop(image)
        pixels = np.asarray(square)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, np.newaxis], 3, axis=2)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, JsonValue]) -> Self:
        """Undo `to_dict`.

        Raises:
            KeyError: A value is missing.
            TypeError: There is a value too many.
        """
        build: Callable[..., Self] = cls
        tuples = {name: tuple(_FLOATS.validate_python(values[name])) for name in ("mean", "std")}
        return build(**(dict(values) | tuples))

    def _squash(self, image: Image.Image) -> Image.Image:
        return image.resize((self.size, self.size), _FILTERS[self.interpolation])

    def _crop(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        side = self.size / self.smallest_side * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((self.size, self.size), _FILTERS[self.interpolation], box=box)
