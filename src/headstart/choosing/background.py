"""What the transparent pixels of a data set are composited on."""

from headstart.backbones.backbone import Backbone, with_background
from headstart.data.images import ImageSet


def on_background_of(backbone: Backbone, images: ImageSet) -> Backbone:
    """Return the backbone with the background that keeps the images visible."""
    if images.background == backbone.preprocess.contract.background:
        return backbone
    return with_background(backbone, images.background)
