"""A backbone that gives features: of files through the store, of images in memory directly."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from headstart.backbones.backbone import Backbone
from headstart.backbones.pooling import FeatureLayout, Reads, StagePooling
from headstart.data.checks import Progress
from headstart.engines.engine import Engine, choose_device, make_engine
from headstart.engines.precision import (
    PrecisionTrial,
    has_bf16,
    remembered_trial,
    settled_precision,
    try_precisions,
)
from headstart.features.extraction import stacked, stored_features
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore
from headstart.options import DecodeLimits, DeviceOption, PrecisionOption

Features = np.ndarray[Any, np.dtype[np.float32]]


class FeatureExtractor:
    """Gives the features of all stages for images.

    Attributes:
        backbone: The network, frozen.
        layout: What each column of the features is.
        device: "cpu" or "cuda".
        cache: Folder for features and converted networks.
        reads: "stages", pooled, or "map", the last one flattened.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        cache: Path,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        reads: Reads = "stages",
        limits: DecodeLimits | None = None,
    ) -> None:
        self.backbone = backbone
        self.reads = reads
        self.device = choose_device(device)
        self._settled = settled_precision(precision, self.device)
        self._network = StagePooling(backbone, reads=reads)
        self.layout: FeatureLayout = self._network.layout()
        self._engine: tuple[str, Engine] | None = None
        self.cache = cache
        self._limits = limits

    def of_backbone(self, backbone: Backbone) -> Self:
        """Return the same for a backbone of other weights, with the precision decided before."""
        out = copy.copy(self)
        out.backbone, out._network = backbone, StagePooling(backbone, reads=self.reads)
        out.layout, out._engine = out._network.layout(), None
        return out

    @cached_property
    def trial(self) -> PrecisionTrial | None:
        """What decided the precision, made when first needed; None where there was no choice."""
        if self._settled is not None:
            return None
        folder, size = self.cache / "networks", self.backbone.preprocess.size
        return remembered_trial(
            folder, self.backbone.architecture, size, lambda: try_precisions(self._build, size)
        )

    @property
    def precision(self) -> str:
        """The numbers that the network computes in: "bf16" or "float32"."""
        return self._settled or (self.trial.precision if self.trial else "float32")

    @property
    def may_use_bf16(self) -> bool:
        """Whether anything may compute in bf16 here: the device can, and nobody asked otherwise."""
        return self._settled != "float32" and has_bf16(self.device)

    @property
    def fingerprint(self) -> Fingerprint:
        """What the features depend on, by the weights as they are now."""
        return self._fingerprint(self.precision)

    @property
    def engine(self) -> Engine:
        """The engine, built when the first image needs it, and again if weights have changed."""
        key = self.fingerprint.key
        if self._engine is None or self._engine[0] != key:
            self._engine = (key, self._build(self.precision))
        return self._engine[1]

    @property
    def stored_as(self) -> str:
        """The precision that the store keeps these features in."""
        return FeatureStore(self.cache / "features").table(self.fingerprint).kind

    def of_files(
        self,
        images: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> tuple[Features, str]:
        """Give the features of files, given as (path, sha256), through the store.

        Returns:
            Features of shape (images, layout.width), and the precision that they are stored in.
        """
        return stored_features(
            images,
            store=FeatureStore(self.cache / "features"),
            fingerprint=self.fingerprint,
            engine=lambda: self.engine,
            preprocess=self.backbone.preprocess,
            limits=self._limits,
            progress=progress,
            warn=warn,
        )

    def of_images(self, images: Iterable[Image.Image]) -> Iterator[Features]:
        """Give the features of decoded images ("RGB" or "L"), a batch at a time, unstored."""
        engine = self.engine
        pixels = map(self.backbone.preprocess.pixels, images)
        return engine.run(stacked(pixels, engine.batch_size))

    def _fingerprint(self, precision: str) -> Fingerprint:
        return Fingerprint(
            self.backbone.architecture,
            self.backbone.weights_sha256(),
            self.layout.blocks,
            self.backbone.preprocess,
            precision,
        )

    def _build(self, precision: str) -> Engine:
        return make_engine(
            self._network.eval(),
            size=self.backbone.preprocess.size,
            device=self.device,
            precision=precision,
            cache=self.cache / "networks",
            key=self._fingerprint(precision).network_key,
        )
