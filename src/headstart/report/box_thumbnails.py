"""Small pictures of images with their true and predicted boxes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

from PIL import Image, ImageDraw

from headstart.arrays import Corners
from headstart.boxes import Boxes, Detections
from headstart.data.contract import PixelContract
from headstart.errors import UnreadableImage
from headstart.evaluation.boxes.coco_files import Size
from headstart.report.data_uri import data_uri
from headstart.report.pictures import Pictures
from headstart.report.thumbnails import as_jpeg, thumbnail

# The colours of boxes in boxes.css.
_TRUE, _PREDICTED = "#35e07f", "#ff9d3b"
_SIDE = 320
_WIDTH = 3


class BoxThumbnails(Pictures):
    """Makes thumbnails of images by name, with true boxes in green and predicted ones in orange.

    Args:
        paths: Where each image is, by its name.
        contract: How its pixels are read.
        truths: The true boxes in it.
        predicted: The predicted boxes in it.
        sizes: Its width and height, in whose pixels boxes are.
    """

    key = "True boxes are green, those that {model} predicts orange."

    def __init__(
        self,
        paths: Mapping[str, str],
        contract: PixelContract,
        truths: Mapping[str, Boxes],
        predicted: Mapping[str, Detections],
        sizes: Mapping[str, Size],
    ) -> None:
        super().__init__(paths, contract)
        self._truths, self._predicted, self._sizes = truths, predicted, sizes

    def _source(self, image: str) -> str:
        try:
            jpeg = thumbnail(self._paths[image], self._contract, _SIDE)
        except UnreadableImage:
            return ""
        small = Image.open(io.BytesIO(jpeg)).convert("RGB")
        scale = small.width / self._sizes[image][0]
        draw = ImageDraw.Draw(small)
        _draw(draw, self._truths[image].corners, scale, _TRUE)
        _draw(draw, self._predicted[image].corners, scale, _PREDICTED)
        return data_uri(as_jpeg(small))


def _draw(draw: ImageDraw.ImageDraw, boxes: Corners, scale: float, colour: str) -> None:
    corners: Iterable[list[float]] = (boxes * scale).tolist()
    for box in corners:
        draw.rectangle(box, outline=colour, width=_WIDTH)
