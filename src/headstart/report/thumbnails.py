"""Small pictures of the images that were predicted wrongly."""

import io
from collections.abc import Sequence

from PIL import Image

from headstart.data.decoding import decode_image, quiet_pillow, read_image
from headstart.data.images import ImageSet
from headstart.report.page import PicturedMistake
from headstart.task import Mistake

_SIDE = 224


def pictured(mistakes: Sequence[Mistake], images: ImageSet) -> list[PicturedMistake]:
    """Return wrong predictions with their images, shrunk to 224 pixels."""
    names, paths = images.names, images.paths
    return [PicturedMistake(one, names[one.row], _thumbnail(paths[one.row])) for one in mistakes]


def _thumbnail(path: str) -> bytes:
    with quiet_pillow():
        image = decode_image(read_image(path), path=path, min_side=_SIDE)
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
