"""Galleries, as the server asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from headstart.arrays import Features, Pixels
from headstart.data.decoding import LoadedImage, MinSide
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import Engine
from headstart.server.answerer import Answer, Asked, Computed, Inputs
from headstart.server.answering import Served

if TYPE_CHECKING:
    from headstart.galleries.store import GalleryStore

_VERSION_DIGITS = 12


class GalleryAnswerer:
    """A gallery; see `Answerer`. Its images may change while it answers.

    Args:
        store: The gallery.
    """

    def __init__(self, store: GalleryStore) -> None:
        self.store = store

    @property
    def version(self) -> str:
        """Identifies the network and how embeddings are made, not the images."""
        return self.store.settings.tensors[:_VERSION_DIGITS]

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of images."""
        return self.store.extractor.preprocess

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.store.extractor.engine

    @property
    def needed(self) -> MinSide:
        """The scale at which photos are needed."""
        return self.preprocess.min_side

    def read(self, loaded: LoadedImage) -> Inputs:
        """Return the pixels of the whole image."""
        return Inputs([self.preprocess.pixels_of(loaded)], [None])

    def infer(self, pixels: Pixels, placements: Sequence[Placement | None]) -> list[Features]:
        """Return the features of each image, rounded as stored, (width,)."""
        return list(self.store.features_of(pixels))

    def answers(self, images: Sequence[Computed], asked: Asked) -> list[Answer]:
        """Return the nearest enrolled images of each image, and its features."""
        features = np.stack(
            [one for image in images for one in image.found if isinstance(one, np.ndarray)]
        )
        found = self.store.answers([image.name for image in images], features, asked.nearest)
        return [Answer(*each) for each in zip(found, features, strict=True)]


ServedGallery: TypeAlias = Served[GalleryAnswerer]
