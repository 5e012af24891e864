"""The pixel contract: how the pixels of a file become what a network sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headstart.options import CropOption

Background = Literal["white", "black", "grey"]
Frames = Literal["each", "middle"]

LEVELS: Mapping[Background, int] = {"white": 255, "black": 0, "grey": 128}
"""The value of red, green and blue of each background, in the order in which they are tried."""

CONTRACT_VERSION = 2
"""Increase it whenever a pixel of any image may change, and keep the earlier versions working.

1: Colour in 16 bits and grey with alpha in 16 bits keep their upper 8 bits, and a transparent value
   of grey in 16 bits is shown. An image that is fully transparent is blank.
2: Both are scaled as grey in 16 bits is, without that value. An image that is fully transparent is
   refused.
"""


@dataclass(frozen=True)
class PixelContract:
    """How the pixels of a file become red, green and blue. A trained model keeps its own.

    Attributes:
        version: See `CONTRACT_VERSION`.
        background: What transparent pixels are composited on.
        window: The range of grey values of a DICOM or NIfTI file that is shown: "first" for the
            first that the file gives, "percentile" for that of its own values, or "CENTER,WIDTH".
        frames: Whether each frame of a DICOM file and each slice of a volume is an image, or only
            the middle one.
        crop: "face" if only the largest face of an image is seen, aligned.
    """

    version: int = CONTRACT_VERSION
    background: Background = "white"
    window: str = "first"
    frames: Frames = "each"
    crop: CropOption = "none"


CURRENT = PixelContract()
"""The contract of new models, unless their images need another background."""

FIRST = PixelContract(version=1)
"""The contract of models that were saved before contracts were."""
