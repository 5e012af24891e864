"""A backbone that gives features: of files through the store, of images in memory directly."""

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from headstart.arrays import Features, Pixels
from headstart.backbones.backbone import Backbone
from headstart.backbones.pooling import FeatureLayout, Reads, StagePooling
from headstart.engines.devices import Device, choose_device, make_engine
from headstart.engines.engine import Engine
from headstart.engines.precision import (
    faster_precision,
    has_bf16,
    remembered_trial,
    settled_precision,
    try_precisions,
)
from headstart.engines.slot import EngineSlot
from headstart.features.extraction import stacked, stored_features
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore
from headstart.options import DecodeLimits, DeviceOption, PrecisionOption
from headstart.record import PrecisionTrial
from headstart.watching import Progress, Warn


class FeatureExtractor:
    """Computes the features of all stages for images, by the weights as they are when it is made.

    Threads may share one, and a forked or pickled copy goes on by itself.

    Attributes:
        backbone: The network, frozen. Make another extractor after training it.
        pooling: From images to the features of all stages.
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
        self.device: Device = choose_device(device)
        self._device: DeviceOption = device
        self.pooling = StagePooling(backbone, reads=reads).eval()
        self.layout: FeatureLayout = self.pooling.layout()
        self.cache = cache
        self._precision: PrecisionOption = precision
        self._settled = settled_precision(precision, self.device)
        self._engine = EngineSlot()
        self._limits = limits

    def with_backbone(self, backbone: Backbone) -> "FeatureExtractor":
        """Return an extractor for another backbone that is run in the same way."""
        other = FeatureExtractor(
            backbone,
            cache=self.cache,
            device=self._device,
            precision=self._precision,
            reads=self.reads,
            limits=self._limits,
        )
        other.__dict__["trial"] = self.trial  # One timing decides for all of them.
        return other

    def __reduce__(self) -> tuple[Callable[..., "FeatureExtractor"], tuple[object, ...]]:
        """Copy the backbone by its bytes: multiprocessing would move this one's own tensors."""
        settings = (self.cache, self._device, self._precision, self.reads, self._limits)
        return _restored, (pickle.dumps(self.backbone), self.trial, *settings)

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
        return self._settled or (faster_precision(self.trial) if self.trial else "float32")

    @property
    def may_use_bf16(self) -> bool:
        """Whether anything may compute in bf16 here: the device can, and nobody asked otherwise."""
        return self._settled != "float32" and has_bf16(self.device)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What the features depend on."""
        return replace(self._of_any_precision, precision=self.precision)

    @property
    def engine(self) -> Engine:
        """The engine, built when the first image needs it, once in each process."""
        return self._engine.get(lambda: self._build(self.precision))

    @property
    def stored_as(self) -> str:
        """The precision that the store keeps these features in."""
        return FeatureStore(self.cache / "features").table(self.fingerprint).kind

    def of_files(
        self,
        images: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> tuple[Features, str]:
        """Return the features of files, given as (path, sha256), through the store.

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
        """Return the features of decoded images ("RGB" or "L"), a batch at a time, unstored."""
        return self.of_pixels(map(self.backbone.preprocess.pixels, images))

    def of_pixels(self, pixels: Iterable[Pixels]) -> Iterator[Features]:
        """Return the features of images that are preprocessed, a batch at a time, unstored."""
        engine = self.engine
        return engine.run(stacked(pixels, engine.batch_size))

    def _build(self, precision: str) -> Engine:
        return make_engine(
            self.pooling,
            size=self.backbone.preprocess.size,
            device=self.device,
            precision=precision,
            cache=self.cache / "networks",
            key=self._of_any_precision.network_key,
        )

    @cached_property
    def _of_any_precision(self) -> Fingerprint:
        """What the features depend on besides the precision; the weights are hashed once."""
        return Fingerprint(
            self.backbone.architecture,
            self.backbone.weights_sha256(),
            self.layout.blocks,
            self.backbone.preprocess,
            "any",
        )


def _restored(
    backbone: bytes,
    trial: PrecisionTrial | None,
    cache: Path,
    device: DeviceOption,
    precision: PrecisionOption,
    reads: Reads,
    limits: DecodeLimits | None,
) -> FeatureExtractor:
    """Undo `FeatureExtractor.__reduce__`."""
    extractor = FeatureExtractor(
        pickle.loads(backbone),
        cache=cache,
        device=device,
        precision=precision,
        reads=reads,
        limits=limits,
    )
    extractor.__dict__["trial"] = trial
    return extractor
