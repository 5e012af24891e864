"""The images that backbones are compared on: folds of the training part, or the validation part."""

from dataclasses import dataclass

import numpy as np

from headstart.arrays import Folds
from headstart.data.images import ImageSet
from headstart.data.paths import list_names
from headstart.data.splits import stratified_sample
from headstart.heads.choice import MIN_VAL_IMAGES
from headstart.heads.problem import Decider, effort_for
from headstart.options import TryOptions


@dataclass(frozen=True)
class TrialImages:
    """The images that backbones are compared on.

    Attributes:
        images: A sample of the training part and, if it decides, of the validation part.
        folds: Pairs of rows (train, held out).
        decider: What decides: "folds" or "val", the validation part.
        note: A sentence about what decides, for the user; "" without a validation part.
    """

    images: ImageSet
    folds: Folds
    decider: Decider = "folds"
    note: str = ""

    @property
    def measured(self) -> int:
        """The number of images that a probe is measured on."""
        return sum(len(held_out) for _, held_out in self.folds)


def trial_images(train: ImageSet, val: ImageSet, options: TryOptions) -> TrialImages:
    """Sample the images; the validation part decides if it is large enough.

    Args:
        train: The training part.
        val: The validation part, which may be empty. It decides if it has at least
            `MIN_VAL_IMAGES` images and all classes of the training part.
        options: Size and seed of the sample.
    """
    sample = sampled(train, options.sample, options.seed)
    objection = _objection(train, val)
    if objection:
        folds = effort_for(len(sample), len(train.classes)).folds
        pairs = sample.folds(folds, seed=options.seed)
        note = f"Backbones are compared on folds of the training part: {objection}."
        return TrialImages(sample, pairs, note=note if len(val) else "")
    deciding = sampled(val, options.sample, options.seed)
    rows = np.arange(len(sample) + len(deciding))
    return TrialImages(
        sample.joined(deciding),
        [(rows[: len(sample)], rows[len(sample) :])],
        "val",
        "Backbones are compared on the validation part.",
    )


def sampled(part: ImageSet, count: int, seed: int) -> ImageSet:
    """Return a stratified sample of images; all of them if there are at most `count`."""
    rows = stratified_sample(part.strata, count, seed=seed)
    return part if rows is None else part.take(rows)


def _objection(train: ImageSet, val: ImageSet) -> str:
    """Return why a validation part cannot decide, as a clause; "" if it can."""
    if missing := sorted({*val.absent()} - {*train.absent()}):
        return f"the validation part has no image of {list_names(missing)}"
    if len(val) < MIN_VAL_IMAGES:
        return f"the validation part has only {len(val)} images, and {MIN_VAL_IMAGES} are needed"
    return ""
