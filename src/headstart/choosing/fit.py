"""How images that are not square become square: stretched, padded or cropped, by folds."""

import numpy as np

from headstart.backbones.backbone import Backbone, with_fit
from headstart.choosing.images import sampled
from headstart.choosing.probing import held_out_log_loss
from headstart.data.images import ImageSet
from headstart.features.extractor import FeatureExtractor
from headstart.options import FitOption
from headstart.watching import Note, Warn

_FITS: tuple[FitOption, ...] = ("squash", "pad", "crop")
_SAMPLE = 1000
# Images are square enough if their sides differ by no more than that.
_SQUARE = 1.1


def fitted_for(
    extractor: FeatureExtractor, images: ImageSet, *, seed: int, warn: Warn, note: Note
) -> Backbone:
    """Return the extractor's backbone with the fit of the lowest log loss on held-out folds.

    A linear head is fitted on up to 1,000 of the images. Images that are square stay as they are.

    Args:
        extractor: Extracts features with the backbone.
        images: The training part.
        seed: Seed of the sample and of the folds.
        warn: Called with warnings for the user.
        note: Called with the log loss of each.
    """
    backbone = extractor.backbone
    if not backbone.fit_is_open:
        return backbone
    if _aspect(images) <= _SQUARE:
        note("The images are square, so --fit auto changes nothing.")
        return with_fit(backbone, "squash")
    sample = sampled(images, _SAMPLE, seed)
    tried = {fit: with_fit(backbone, fit) for fit in _FITS}
    losses = {
        fit: held_out_log_loss(extractor.with_backbone(each), sample, seed, warn)
        for fit, each in tried.items()
    }
    best = min(_FITS, key=losses.__getitem__)
    listed = ", ".join(f"{fit} {loss:.3f}" for fit, loss in losses.items())
    note(f"Images become square by --fit {best}; log loss on folds: {listed}.")
    return tried[best]


def _aspect(images: ImageSet) -> float:
    """Return the median of the longer side divided by the shorter one."""
    width, height = (images.table[name].to_numpy() for name in ("width", "height"))
    return float(np.median(np.maximum(width, height) / np.minimum(width, height)))
