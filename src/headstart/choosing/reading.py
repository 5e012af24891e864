"""How the pixels of a data set are read: the background of transparent ones, and windows."""

from dataclasses import replace

from headstart.backbones.backbone import Backbone, with_contract
from headstart.data.images import ImageSet


def reading_as(backbone: Backbone, images: ImageSet) -> Backbone:
    """Return the backbone with the pixel contract for some images.

    Transparent pixels are composited on the background that keeps the images visible, and medical
    images are read as these were.
    """
    contract = replace(
        backbone.preprocess.contract,
        background=images.background,
        window=images.window,
        frames=images.frames,
    )
    return with_contract(backbone, contract)
