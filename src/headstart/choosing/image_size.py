"""The best image size for a backbone and a set of photos."""

from contextlib import suppress
from typing import Any

import numpy as np

from headstart.arrays import Rows
from headstart.backbones.backbone import Backbone, with_image_size
from headstart.data.images import ImageSet
from headstart.errors import BackboneError


def sized_for(backbone: Backbone, images: ImageSet) -> Backbone:
    """Return the backbone at a size somewhat above its training size for large photos, if it can.

    A backbone whose image size was set by the user keeps it.
    """
    sides = np.minimum(images.table["width"].to_numpy(), images.table["height"].to_numpy())
    return sized_for_sides(backbone, sides)


def sized_for_sides(backbone: Backbone, sides: Rows) -> Backbone:
    """Do `sized_for` for photos whose shorter sides have these lengths, (photos,)."""
    if not backbone.size_is_open or not len(sides):
        return backbone
    size = suitable_size(backbone, int(np.median(sides)))
    if size == backbone.preprocess.size:
        return backbone
    with suppress(BackboneError):
        return with_image_size(backbone, size)
    return backbone


def suitable_size(backbone: Backbone, photo_side: int) -> int:
    """Return the best image size for photos, in pixels.

    Random crops magnify objects in training, so a network does best on images somewhat larger
    than its training size (Touvron et al., "Fixing the train-test
    resolution discrepancy", 2019). Photos up to 3/2 of it keep their size, because
    resampling loses detail; larger ones are resized to 9/7 of it, or to the test size that timm
    recommends. Networks of a fixed size keep it.

    Args:
        backbone: At its training size.
        photo_side: Median shorter side of the photos.
    """
    settings: dict[str, Any] = getattr(backbone.network, "pretrained_cfg", {})
    trained = backbone.preprocess.size
    if settings.get("fixed_input_size") or photo_side <= trained:
        return trained
    if photo_side <= trained * 3 // 2:
        return photo_side
    return int(settings.get("test_input_size", (3, trained * 9 // 7))[1])
