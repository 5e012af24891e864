"""Extract features with a backbone, from files through the store or from images in memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from PIL import Image

from headstart.arrays import Features, Pixels, Rows, Tensors
from headstart.backbones.faces import DLIB_FACE
from headstart.backbones.layout import FeatureLayout, Reads
from headstart.backbones.saved import SavedBackbone, tensors_of
from headstart.cache import cache_folder, store_url
from headstart.data.contract import PixelContract
from headstart.data.preprocessing import Preprocess
from headstart.engines.devices import Device, choose_device, make_engine
from headstart.engines.engine import Engine
from headstart.engines.precision import (
    cached_trial,
    faster_precision,
    has_bf16,
    resolve_precision,
    try_precisions,
)
from headstart.engines.slot import EngineSlot, Slot
from headstart.errors import StoreError
from headstart.features.batches import stack_batches
from headstart.features.fingerprint import Fingerprint
from headstart.options import ComputeOptions, DecodeLimits, DeviceOption, PrecisionOption
from headstart.record import PrecisionTrial
from headstart.watching import Progress, Warn

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.backbones.pooling import StagePooling
    from headstart.features.extraction import ExtractMissing
    from headstart.features.store import FeatureStore, FeatureTable

# Images whose features are in memory at a time: 350 MB for those of EfficientNet-Lite0.
_PART = 16_384


class FeatureExtractor:
    """Extracts features of images with the weights that the backbone has at construction.

    Threads may share an extractor, and forked or pickled copies are independent. A saved backbone
    is built only if its network is needed, for example to convert it for an engine.

    Attributes:
        source: The frozen backbone as it was passed. Create a new extractor after training it.
        layout: The meaning of each column of the features.
        device: "cpu" or "cuda".
        cache: Folder for features and converted networks.
        store: The URL of the features if they are in an object store; else None.
        reads: "stages" for pooled stages, or "map" for the flattened last map.
        limits: Maximum bytes and pixels per image.
    """

    def __init__(
        self,
        backbone: Backbone | SavedBackbone,
        *,
        cache: Path,
        store: str | None = None,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        reads: Reads = "stages",
        limits: DecodeLimits | None = None,
    ) -> None:
        self.source = backbone
        self.reads = reads
        self.device: Device = choose_device(device)
        self.cache, self.store = cache, store
        self._device: DeviceOption = device
        self._precision: PrecisionOption = precision
        self._fixed_precision = (
            "float32"
            if backbone.architecture == DLIB_FACE
            else resolve_precision(precision, self.device)
        )
        self.limits = limits
        self._backbone, self._pooling = Slot["Backbone"](), Slot["StagePooling"]()
        self._trial, self._fingerprint = Slot[PrecisionTrial](), Slot[Fingerprint]()
        self._engine = EngineSlot()
        blocks = backbone.blocks if isinstance(backbone, SavedBackbone) else None
        self.layout: FeatureLayout = FeatureLayout(blocks) if blocks else self.pooling.layout()

    @classmethod
    def of(cls, backbone: Backbone | SavedBackbone, options: ComputeOptions) -> Self:
        """Return what extracts the features of all stages as options say."""
        return cls(
            backbone,
            cache=cache_folder(options.cache),
            store=store_url(options.cache),
            device=options.device,
            precision=options.precision,
        )

    def with_backbone(self, backbone: Backbone) -> FeatureExtractor:
        """Return an extractor for another backbone with the same settings."""
        other = FeatureExtractor(
            backbone,
            cache=self.cache,
            store=self.store,
            device=self._device,
            precision=self._precision,
            reads=self.reads,
            limits=self.limits,
        )
        if backbone.preprocess.size == self.preprocess.size:
            other._trial = Slot(self.trial)  # The same trial decides for both.
        return other

    def with_contract(self, contract: PixelContract) -> FeatureExtractor:
        """Return an extractor for images that are read by another pixel contract."""
        from headstart.backbones.backbone import with_contract

        source = self.source
        return FeatureExtractor(
            replace(source, preprocess=replace(source.preprocess, contract=contract))
            if isinstance(source, SavedBackbone)
            else with_contract(source, contract),
            cache=self.cache,
            store=self.store,
            device=self._device,
            precision=self._precision,
            reads=self.reads,
            limits=self.limits,
        )

    def in_float32(self) -> FeatureExtractor:
        """Return an extractor for the same backbone that computes in float32 on the CPU."""
        return FeatureExtractor(
            self.source,
            cache=self.cache,
            store=self.store,
            device="cpu",
            precision="float32",
            reads=self.reads,
            limits=self.limits,
        )

    def __reduce__(self) -> tuple[Callable[..., FeatureExtractor], tuple[object, ...]]:
        """Pickle the backbone to bytes; multiprocessing would move its tensors to shared memory."""
        settings = (self.cache, self.store, self._device, self._precision, self.reads, self.limits)
        return _restored, (pickle.dumps(self.source), self.trial, *settings)

    @property
    def backbone(self) -> Backbone:
        """The network."""
        source = self.source
        return self._backbone.get(source.build) if isinstance(source, SavedBackbone) else source

    @property
    def pooling(self) -> StagePooling:
        """The module that computes the features from images."""
        return self._pooling.get(self._make_pooling)

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of images."""
        return self.source.preprocess

    def tensors(self) -> Tensors:
        """Return the weights of the network, by name."""
        return tensors_of(self.source)

    @property
    def trial(self) -> PrecisionTrial | None:
        """The trial that decided the precision, run when first needed; None if there was none."""
        return None if self._fixed_precision else self._trial.get(self._run_trial)

    @property
    def precision(self) -> str:
        """Numeric precision of the network: "bf16" or "float32"."""
        return self._fixed_precision or (faster_precision(self.trial) if self.trial else "float32")

    @property
    def allows_bf16(self) -> bool:
        """Whether bf16 may be used: the device supports it and float32 was not requested."""
        return self._fixed_precision != "float32" and has_bf16(self.device)

    @property
    def fingerprint(self) -> Fingerprint:
        """Everything that the features depend on."""
        return replace(self._base_fingerprint, precision=self.precision)

    @property
    def engine(self) -> Engine:
        """The engine, created when first needed, once per process."""
        return self._engine.get(lambda: self._build(self.precision))

    @property
    def stored_as(self) -> str:
        """The precision in which the store keeps these features."""
        return self._store().table(self.fingerprint).kind

    def _store(self) -> FeatureStore:
        from headstart.features.store import FeatureStore  # Predictions do not need Lance.

        return FeatureStore(self.store or self.cache / "features")

    def of_files(
        self,
        images: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> tuple[Features, str]:
        """Return the features of files, passed as (path, sha256), through the store.

        Returns:
            Features of shape (images, layout.width), and the precision in which they are stored.
        """
        from headstart.features.extraction import stored_features

        return stored_features(
            images,
            store=self._store(),
            fingerprint=self.fingerprint,
            extract_missing=self._extract_missing(progress),
            warn=warn,
        )

    def in_parts(
        self,
        images: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> Iterator[tuple[slice, Features]]:
        """Yield the features of files, several thousand at a time, with their rows; see `of_files`.

        Memory does not grow with the number of images.
        """
        if len(images) > _PART:
            self.extract(images, progress=progress, warn=warn)
            progress = None
        for begin in range(0, len(images), _PART):
            rows = slice(begin, begin + _PART)
            yield rows, self.of_files(images[rows], progress=progress, warn=warn)[0]

    def extract(
        self,
        images: Sequence[tuple[str, str]],
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> None:
        """Compute the features of files that are not in the store; see `of_files`."""
        self.store_files(images, self._extract_missing(progress), warn=warn)

    def blocks(
        self, images: Sequence[tuple[str, str]], columns: slice = slice(None)
    ) -> Iterator[tuple[Rows, Features]]:
        """Yield stored features of files in the order of the store; see `FeatureTable.blocks`.

        Raises:
            StoreError: The store is damaged.
        """
        from headstart.features.store import DamagedTable

        table = self._store().table(self.fingerprint)
        try:
            yield from table.blocks([sha256 for _, sha256 in images], columns)
        except DamagedTable as damage:
            table.discard()
            raise StoreError(
                f"The feature store was damaged ({damage}). Run again: its features are recomputed."
            ) from None

    def store_files(
        self,
        images: Sequence[tuple[str, str]],
        extract_missing: ExtractMissing,
        *,
        warn: Warn | None = None,
    ) -> None:
        """Let something else compute the features of files that are not in the store.

        Args:
            images: Path and sha256 of each image.
            extract_missing: Computes and stores them.
            warn: Called with a sentence if the store was damaged.
        """
        from headstart.features.extraction import store_features

        store_features(
            images,
            store=self._store(),
            fingerprint=self.fingerprint,
            extract_missing=extract_missing,
            warn=warn,
        )

    def _extract_missing(self, progress: Progress | None) -> ExtractMissing:
        from headstart.features.extraction import extract

        def here(missing: dict[str, str], table: FeatureTable) -> None:
            extract(missing, table, self.engine, self.preprocess, self.limits, progress)

        return here

    def missing(self, images: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the files, passed as (path, sha256), whose features are not in the store."""
        table = self._store().table(self.fingerprint)
        missing = table.missing([sha256 for _, sha256 in images])
        return [(path, sha256) for path, sha256 in images if sha256 in missing]

    def of_images(self, images: Iterable[Image.Image]) -> Iterator[Features]:
        """Yield the features of decoded images ("RGB" or "L") in batches, without the store."""
        return self.of_pixels(map(self.preprocess.pixels, images))

    def of_pixels(self, pixels: Iterable[Pixels]) -> Iterator[Features]:
        """Yield the features of preprocessed images in batches, without the store."""
        engine = self.engine
        return engine.run(stack_batches(pixels, engine.batch_size))

    def _build(self, precision: str) -> Engine:
        if self.source.architecture == DLIB_FACE:
            from headstart.engines.dlib_engine import DlibEngine

            return DlibEngine()
        return make_engine(
            lambda: self.pooling,
            size=self.preprocess.size,
            device=self.device,
            precision=precision,
            cache=self.cache / "networks",
            key=self._base_fingerprint.network_key,
        )

    def _make_pooling(self) -> StagePooling:
        from headstart.backbones.pooling import StagePooling

        return StagePooling(self.backbone, reads=self.reads).eval()

    def _run_trial(self) -> PrecisionTrial:
        folder, size = self.cache / "networks", self.preprocess.size
        return cached_trial(
            folder, self.source.architecture, size, lambda: try_precisions(self._build, size)
        )

    @property
    def _base_fingerprint(self) -> Fingerprint:
        """The fingerprint without the precision, cached because the weights are hashed."""
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
    store: str | None,
    device: DeviceOption,
    precision: PrecisionOption,
    reads: Reads,
    limits: DecodeLimits | None,
) -> FeatureExtractor:
    """Restore an extractor from the values of `FeatureExtractor.__reduce__`."""
    extractor = FeatureExtractor(
        pickle.loads(backbone),
        cache=cache,
        store=store,
        device=device,
        precision=precision,
        reads=reads,
        limits=limits,
    )
    extractor._trial = Slot(trial)
    return extractor
