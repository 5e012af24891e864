"""A search: combinations of backbone and image size, tried on more and more images.

Those that do badly on few images are not tried on all of them (successive halving; Li et al.,
"A system for massively parallel hyperparameter tuning", 2020).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.backbones.building import flexible_size
from headstart.backbones.catalogue import architecture_of
from headstart.choosing.candidates import Candidate
from headstart.choosing.images import sampled
from headstart.choosing.probing import held_out_log_loss
from headstart.choosing.trials import load_candidate
from headstart.data.images import ImageSet
from headstart.errors import BackboneError
from headstart.features.extractor import FeatureExtractor
from headstart.options import TryOptions, cache_folder, store_url
from headstart.watching import no_warning

REDUCTION = 3
"""One in so many is tried on the next larger sample, which is so many times as large."""

_SIZES = (3 / 4, 5 / 4, 3 / 2)
_MULTIPLE = 32
_LEAST_IMAGES = 100


def draw_candidates(
    backbones: Sequence[Candidate], count: int, options: TryOptions
) -> list[Candidate]:
    """Return the combinations to try: each backbone at its usual image size, then other sizes.

    Args:
        backbones: The backbones.
        count: The number of combinations, if there are so many.
        options: Seed of the draw. An image size that was set by the user stays.
    """
    draw = np.random.default_rng(options.seed)
    others = [] if options.image_size else [one for each in backbones for one in _resized(each)]
    return [*_shuffled(backbones, draw), *_shuffled(others, draw)][:count]


def _shuffled(candidates: Sequence[Candidate], draw: np.random.Generator) -> list[Candidate]:
    return [candidates[number] for number in draw.permutation(len(candidates))]


def _resized(candidate: Candidate) -> Iterator[Candidate]:
    """Yield a backbone at other image sizes, if it accepts any."""
    usual = flexible_size(architecture_of(candidate.name))
    if usual is None:
        return
    for factor in _SIZES:
        yield replace(candidate, image_size=round(usual * factor / _MULTIPLE) * _MULTIPLE)


@dataclass(frozen=True)
class Step:
    """A candidate's result on a sample of the images.

    Attributes:
        images: The number of images.
        log_loss: Log loss of a probe on held-out folds of them.
    """

    images: int
    log_loss: float


class SearchTrial:
    """Tries a candidate on larger and larger samples.

    Args:
        train: The training part.
        options: Size and seed of the sample, and how features are computed.
    """

    def __init__(self, train: ImageSet, options: TryOptions) -> None:
        self._options = options
        self._samples = _nested(train, options)

    @property
    def sizes(self) -> list[int]:
        """The numbers of images of the samples."""
        return [len(sample) for sample in self._samples]

    def __call__(self, candidate: Candidate) -> Iterator[Step]:
        """Yield the result on each sample; nothing if the backbone cannot be loaded."""
        options = self._options
        try:
            backbone = load_candidate(candidate, self._samples[-1], options)
        except BackboneError:
            return
        extractor = FeatureExtractor(
            backbone,
            cache=cache_folder(options.cache),
            store=store_url(options.cache),
            device=options.device,
            precision=options.precision,
        )
        for sample in self._samples:
            loss = held_out_log_loss(extractor, sample, options.seed, no_warning)
            yield Step(len(sample), loss)


def _nested(train: ImageSet, options: TryOptions) -> list[ImageSet]:
    """Return samples, smallest first, each a part of the next, so that features serve them all."""
    samples = [sampled(train, options.sample, options.seed)]
    least = max(_LEAST_IMAGES, 10 * len(train.classes))
    while (smaller := len(samples[0]) // REDUCTION) >= least:
        samples.insert(0, sampled(samples[0], smaller, options.seed))
    return samples
