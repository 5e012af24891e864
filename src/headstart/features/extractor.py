"""A backbone that gives features: of files through the store, of images in memory directly."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from headstart.arrays import Features, Pixels, Tensors
from headstart.backbones.layout import FeatureLayout, Reads
from headstart.backbones.saved import SavedBackbone
from headstart.data.preprocessing import Preprocess
from headstart.engines.devices import Device, choose_device, make_engine
from headstart.engines.engine import Engine
from headstart.engines.precision import (
    faster_precision,
    has_bf16,
    remembered_trial,
    settled_precision,
    try_precisions,
)
from headstart.engines.slot import EngineSlot, Slot
from headstart.features.batches import stacked
from headstart.features.fingerprint import Fingerprint
from headstart.options import DecodeLimits, DeviceOption, PrecisionOption
from headstart.record import PrecisionTrial
from headstart.watching import Progress, Warn

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.backbones.pooling import StagePooling


class FeatureExtractor:
    """Computes the features of all stages for images, by the weights as they are when it is made.

    Threads may share one, and a forked or pickled copy goes on by itself. A saved backbone is built
    only if something needs its network, such as an engine that has not been made before.

    Attributes:
        source: The backbone, frozen, as it was given. Make another extractor after training it.
        layout: What each column of the features is.
        device: "cpu" or "cuda".
        cache: Folder for features and converted networks.
        reads: "stages", pooled, or "map", the last one flattened.
    """

    def __init__(
        self,
        backbone: Backbone | SavedBackbone,
        *,
        cache: Path,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        reads: Reads = "stages",
        limits: DecodeLimits | None = None,
    ) -> None:
        self.source = backbone
        self.reads = reads
        self.device: Device = choose_device(device)
        self.cache = cache
        self._device: DeviceOption = device
        self._precision: PrecisionOption = precision
        self._settled = settled_precision(precision, self.device)
        self._limits = limits
        self._backbone, self._pooling = Slot["Backbone"](), Slot["StagePooling"]()
        self._trial, self._fingerprint = Slot[PrecisionTrial](), Slot[Fingerprint]()
        self._engine = EngineSlot()
        blocks = backbone.blocks if isinstance(backbone, SavedBackbone) else None
        self.layout: FeatureLayout = FeatureLayout(blocks) if blocks else self.pooling.layout()

    def with_backbone(self, backbone: Backbone) -> FeatureExtractor:
        """Return an extractor for another backbone that is run in the same way."""
        other = FeatureExtractor(
            backbone,
            cache=self.cache,
            device=self._device,
            precision=self._precision,
            reads=self.reads,
            limits=self._limits,
        )
        if backbone.preprocess.size == self.preprocess.size:
            other._trial = Slot(self.trial)  # One timing decides for both.
        return other

    def __reduce__(self) -> tuple[Callable[..., FeatureExtractor], tuple[object, ...]]:
        """Copy the backbone by its bytes: multiprocessing would move this one's own tensors."""
        settings = (self.cache, self._device, self._precision, self.reads, self._limits)
        return _restored, (pickle.dumps(self.source), self.trial, *settings)

    @property
    def backbone(self) -> Backbone:
        """The network."""
        source = self.source
        return self._backbone.get(source.build) if isinstance(source, SavedBackbone) else source

    @property
    def pooling(self) -> StagePooling:
        """From images to the features of all stages, as a module."""
        return self._pooling.get(self._make_pooling)

    @property
    def preprocess(self) -> Preprocess:
        """What happens to an image before the network sees it."""
        return self.source.preprocess

    def tensors(self) -> Tensors:
        """Return the weights of the network, by name."""
        if isinstance(self.source, SavedBackbone):
            return self.source.tensors
        return {
            name: tensor.detach().cpu().numpy()
            for name, tensor in self.source.network.state_dict().items()
        }

    @property
    def trial(self) -> PrecisionTrial | None:
        """What decided the precision, made when first needed; None where there was no choice."""
        return None if self._settled else self._trial.get(self._try_precisions)

    @property
    def precision(self) -> str:
        """The numbers that the network computes in: "bf16" or "float32"."""
        return self._settled or (faster_precision(self.trial) if self.trial else "float32")

    @property
    def may_use_bf16(self) -> bool:
        """Whether anything may compute in bf16 here: the device can, and nobody asked otherwise."""
        return self._settled != "float32" and has_bf16(self.device)

    @property
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
        from headstart.features.store import FeatureStore  # A prediction does without Lance.

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
        from headstart.features.extraction import stored_features
        from headstart.features.store import FeatureStore

        return stored_features(
            images,
            store=FeatureStore(self.cache / "features"),
            fingerprint=self.fingerprint,
            engine=lambda: self.engine,
            preprocess=self.preprocess,
            limits=self._limits,
            progress=progress,
            warn=warn,
        )

    def of_images(self, images: Iterable[Image.Image]) -> Iterator[Features]:
        """Return the features of decoded images ("RGB" or "L"), a batch at a time, unstored."""
        return self.of_pixels(map(self.preprocess.pixels, images))

    def of_pixels(self, pixels: Iterable[Pixels]) -> Iterator[Features]:
        """Return the features of images that are preprocessed, a batch at a time, unstored."""
        engine = self.engine
        return engine.run(stacked(pixels, engine.batch_size))

    def _build(self, precision: str) -> Engine:
        return make_engine(
            lambda: self.pooling,
            size=self.preprocess.size,
            device=self.device,
            precision=precision,
            cache=self.cache / "networks",
            key=self._of_any_precision.network_key,
        )

    def _make_pooling(self) -> StagePooling:
        from headstart.backbones.pooling import StagePooling

        return StagePooling(self.backbone, reads=self.reads).eval()

    def _try_precisions(self) -> PrecisionTrial:
        folder, size = self.cache / "networks", self.preprocess.size
        return remembered_trial(
            folder, self.source.architecture, size, lambda: try_precisions(self._build, size)
        )

    @property
    def _of_any_precision(self) -> Fingerprint:
        """What the features depend on besides the precision; the weights are hashed once."""
        return self._fingerprint.get(
            lambda: Fingerprint(
                self.source.architecture,
                self._weights_sha256(),
                self.layout.blocks,
                self.preprocess,
                "any",
            )
        )

    def _weights_sha256(self) -> str:
        known = self.source.weights_sha256 if isinstance(self.source, SavedBackbone) else None
        return known or self.backbone.weights_sha256()


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
    extractor._trial = Slot(trial)
    return extractor
