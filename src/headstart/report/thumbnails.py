"""Thumbnails of wrongly predicted images."""

import io
from collections.abc import Sequence

from PIL import Image

from headstart.data.decoding import decode_image, quiet_pillow, read_image
from headstart.data.images import ImageSet
from headstart.report.page import PicturedMistake
from headstart.task import Mistake

_SIDE = 224


def with_thumbnails(mistakes: Sequence[Mistake], images: ImageSet) -> list[PicturedMistake]:
    """Return wrong predictions with their images, scaled down to at most 224 pixels."""
    names, paths = images.names, images.paths
    return [
        PicturedMistake(mistake, names[mistake.row], _thumbnail(paths[mistake.row]))
        for mistake in mistakes
    ]


def _thumbnail(path: str) -> bytes:
    with quiet_pillow():
        image = decode_image(read_image(path), path=path, min_side=_SIDE)
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
