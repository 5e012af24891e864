"""The immutable detector: everything that is needed to predict boxes, and nothing else."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.answers import BoxesPrediction, PredictedBox, Thresholds
from headstart.arrays import Anything, Pixels, Tensors
from headstart.backbones.layout import MapShape
from headstart.backbones.saved import SavedBackbone, tensors_of
from headstart.boxes import Detections
from headstart.cache import cache_folder
from headstart.data.contract import PixelContract
from headstart.data.inputs import ImagesLike, is_image
from headstart.data.paths import list_names
from headstart.data.placement import Placement
from headstart.data.preprocessing import Preprocess
from headstart.engines.devices import Device, choose_device, make_engine
from headstart.engines.engine import Engine
from headstart.engines.precision import precision_of_model
from headstart.engines.slot import EngineSlot
from headstart.errors import OptionError, UnreadableImage
from headstart.features.batches import stack_batches
from headstart.features.extractor import FeatureExtractor
from headstart.files import digest
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.options import AnswerOptions, DecodeLimits, DeviceOption, PrecisionOption
from headstart.predictor.bundle import Bundle, write_bundle
from headstart.predictor.card import model_card
from headstart.predictor.config import (
    BackboneConfig,
    Calibration,
    Config,
    HeadConfig,
    Specification,
)
from headstart.predictor.decoding import AHEAD, work_ahead
from headstart.predictor.limits import Limits
from headstart.predictor.placed import AHEAD_IN_TILES, PlacedImage, decode_tiles
from headstart.predictor.predictor import FailedPrediction
from headstart.record import Record
from headstart.task import Task

if TYPE_CHECKING:  # Importing PyTorch is slow, and other models do not need it to predict.
    from torch import nn

    from headstart.backbones.backbone import Backbone
    from headstart.heads.boxes.points import Points
    from headstart.predictor.detector_module import DetectorModule

KIND = "boxes"
"""The kind of a detector's head, and what its features are called."""

STORED_AS = "float16"
"""The precision to which maps and features are rounded."""

AnyBoxesPrediction = BoxesPrediction | FailedPrediction
"""The result for an image, whether or not it could be read."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained detector. It is immutable and can be shared between threads.

    Attributes:
        task: The task.
        classes: Class names, in the order of their numbers.
        backbone: The frozen backbone.
        shape: The shape of the head.
        head: The weights of the head, by name.
        thresholds: The operating point, with a value for each class.
        device: "cpu" or "cuda".
        precision: "bf16" or "float32".
        cache: Folder for converted networks.
        tiles: The side of the tiles into which larger images are cut, in pixels; None if images
            are not cut.
        record: The record of the training; None without one.
        limits: What it keeps of its training images, to tell whether others are like them.
    """

    task: Task
    classes: tuple[str, ...]
    backbone: Backbone | SavedBackbone
    shape: BoxHeadShape
    head: Tensors
    thresholds: Thresholds
    device: Device
    precision: str
    cache: Path
    tiles: int | None = None
    record: Record | None = None
    limits: Limits = field(default_factory=Limits)
    _engine: EngineSlot = field(default_factory=EngineSlot, repr=False)

    def __repr__(self) -> str:
        found = f"; {self.record.test!r}" if self.record and self.record.test else ""
        return f"Detector({self.backbone.name}; classes: {list_names(self.classes)}{found})"

    def __reduce__(self) -> tuple[Callable[[bytes], Detector], tuple[bytes]]:
        """Pickle to bytes, without the engine; see `FeatureExtractor.__reduce__`."""
        names = [one.name for one in fields(self) if one.name != "_engine"]
        return _restored, (pickle.dumps({name: getattr(self, name) for name in names}),)

    @property
    def contract(self) -> PixelContract:
        """How the pixels of a file are read."""
        return self.preprocess.contract

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of images."""
        return self.backbone.preprocess

    @cached_property
    def points(self) -> Points:
        """The points of the pyramid."""
        from headstart.heads.boxes.points import Points

        return Points.of(self.shape.levels, self.preprocess.size)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """Extracts the features by which images are compared with the training images."""
        return FeatureExtractor(
            self.backbone,
            cache=self.cache,
            device=self.device,
            precision="bf16" if self.precision == "bf16" else "float32",
        )

    @property
    def engine(self) -> Engine:
        """The engine, created when first needed, once per process."""
        return self._engine.get(
            lambda: make_engine(
                self.module,
                size=self.preprocess.size,
                device=self.device,
                precision=self.precision,
                cache=self.cache / "networks",
                key=f"detector-{self.weights_sha256}",
            )
        )

    @cached_property
    def weights_sha256(self) -> str:
        """The hash of what the output depends on, except the precision."""
        head = {name: _sha256(np.asarray(value)) for name, value in sorted(self.head.items())}
        return digest(
            {
                "architecture": self.backbone.architecture,
                "backbone": self._backbone_sha256,
                "head": head,
                "preprocess": self.preprocess.to_dict(),
            }
        )

    def module(self) -> DetectorModule:
        """Return the detector as one PyTorch module, in evaluation mode."""
        import torch

        from headstart.backbones.maps import StageMaps
        from headstart.heads.boxes.network import BoxHead
        from headstart.predictor.detector_module import DetectorModule

        backbone = self.backbone
        network = backbone.build() if isinstance(backbone, SavedBackbone) else backbone
        head = BoxHead(self.shape)
        head.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in self.head.items()}
        )
        return DetectorModule(StageMaps(network), head).eval()

    def predict(
        self, images: ImagesLike, *, errors: Literal["raise", "keep"] = "raise"
    ) -> AnyBoxesPrediction | list[AnyBoxesPrediction]:
        """Predict the boxes in one image, or in each image of a collection or a batch.

        Args:
            images: See `Predictor.predict`.
            errors: What to do about an image that cannot be decoded: "raise", or "keep" a
                `FailedPrediction` in its place.

        Raises:
            UnreadableImage: An image cannot be decoded.
            NotAnImage: A value is not an image.
            OptionError: An option is invalid.
        """
        if errors not in ("raise", "keep"):
            raise OptionError(f"errors must be raise or keep. Got '{errors}'.")
        results = []
        for result in self._each(images):
            if isinstance(result, UnreadableImage) and errors == "raise":
                raise result
            results.append(_kept(result))
        return results[0] if is_image(images) else results

    def predict_each(
        self,
        images: ImagesLike,
        options: AnswerOptions | None = None,
        limits: DecodeLimits | None = None,
    ) -> Iterator[AnyBoxesPrediction]:
        """Yield the predictions for images in their order, decoding a few images ahead.

        An image that cannot be decoded yields a `FailedPrediction`.

        Raises:
            OptionError: An option has no effect on boxes.
        """
        if options:
            check_answer_options(options)
        return map(_kept, self._each(images, limits))

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a bundle: a folder that loads without network access and without pickle.

        Raises:
            OutputError: The folder exists and `overwrite` is false, or it cannot be written.
        """
        write_bundle(self.to_bundle(), Path(folder), overwrite=overwrite)

    def to_bundle(self) -> Bundle:
        """Return the contents of the detector, ready to be written."""
        backbone, record = self.backbone, self.record
        deterministic = bool(record and record.options.get("deterministic"))
        config = Config(
            headstart=version("headstart"),
            created=None if deterministic else datetime.now(UTC).isoformat(timespec="seconds"),
            task=KIND,
            classes=self.classes,
            preprocess=self.preprocess,
            backbone=BackboneConfig(
                *(backbone.name, backbone.architecture, backbone.origin),
                weights_sha256=self._backbone_sha256,
                licence=backbone.licence,
            ),
            features="maps",
            stored_as=STORED_AS,
            precision=self.precision,
            head=HeadConfig(KIND, _numbers(self.shape, self.tiles)),
            calibration=Calibration(1.0),
            operating_point=self.thresholds,
            specification=Specification(kind=KIND),
            record=record.without_times() if record and deterministic else record,
        )
        tensors = {f"backbone.{name}": value for name, value in tensors_of(self.backbone).items()}
        tensors |= {f"head.{name}": value for name, value in self.head.items()}
        tensors |= {f"limits.{name}": value for name, value in self.limits.to_arrays().items()}
        return Bundle(config, tensors, model_card(config, self.task, kept=self.limits.kept))

    @classmethod
    def of_bundle(
        cls,
        bundle: Bundle,
        task: Task,
        *,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cache: str | os.PathLike[str] | None = None,
    ) -> Detector:
        """Build the detector of a bundle. No network access is needed.

        Args:
            bundle: The bundle, as read from disk.
            task: The task that the bundle names.
            device: The device to run on.
            precision: "auto" is the precision of the training if the processor supports it.
            cache: The folder for converted networks.
        """
        config, chosen = bundle.config, choose_device(device)
        assert config.operating_point is not None
        return cls(
            task,
            config.classes,
            bundle.backbone(),
            _shape(config.head.numbers, len(config.classes)),
            bundle.tensors_of("head"),
            config.operating_point,
            chosen,
            precision_of_model(precision, config.precision, chosen),
            cache_folder(cache),
            int(config.head.numbers.get("tiles", 0)) or None,
            config.record,
            Limits.from_arrays(bundle.tensors_of("limits")),
        )

    def answer(self, name: str, detections: Detections, placement: Placement) -> BoxesPrediction:
        """Return the prediction for an image whose detections are known."""
        shown = detections.above(np.array(self.thresholds.values))
        boxes = [
            PredictedBox(
                self.classes[number],
                score,
                (corners[0], corners[1], corners[2], corners[3]),
            )
            for number, score, corners in zip(
                shown.classes.tolist(), shown.scores.tolist(), shown.corners.tolist(), strict=True
            )
        ]
        size = (placement.width, placement.height)
        highest = np.zeros(len(self.classes))
        np.maximum.at(highest, detections.classes, detections.scores)
        return BoxesPrediction(name, tuple(boxes), size, detections, highest)

    def detections(self, outputs: Anything, placement: Placement) -> Detections:
        """Return all detections in an image.

        Args:
            outputs: The output of the network for this image, (points, 4 + classes).
            placement: Where the image is in the input.
        """
        import torch

        from headstart.heads.boxes.detections import detections_of

        return detections_of(torch.from_numpy(outputs), self.points, placement)

    @property
    def ahead(self) -> int:
        """How many images wait decoded, at most."""
        return AHEAD_IN_TILES if self.tiles else AHEAD

    def answers(
        self, images: Iterable[tuple[str, PlacedImage | UnreadableImage]]
    ) -> Iterator[BoxesPrediction | UnreadableImage]:
        """Yield a prediction or an error for each image, in order.

        Args:
            images: The name of each image, and the decoded image or why it cannot be decoded.
        """
        from headstart.heads.boxes.detections import merge_tiles

        waiting: deque[tuple[str, PlacedImage] | UnreadableImage] = deque()

        def inputs() -> Iterator[Pixels]:
            for name, decoded in images:
                if isinstance(decoded, UnreadableImage):
                    waiting.append(decoded)
                    continue
                waiting.append((name, decoded))
                yield from decoded.pixels

        found: list[Detections] = []
        for outputs in self.engine.run(stack_batches(inputs(), self.engine.batch_size)):
            for row in outputs:
                while isinstance(image := waiting[0], UnreadableImage):
                    waiting.popleft()
                    yield image
                name, placements = image[0], image[1].placements
                found.append(self.detections(row, placements[len(found)]))
                if len(found) == len(placements):
                    waiting.popleft()
                    yield self.answer(name, merge_tiles(found, placements), placements[0])
                    found = []
        for left in waiting:
            assert isinstance(left, UnreadableImage)
            yield left

    def _each(
        self, images: ImagesLike, limits: DecodeLimits | None = None
    ) -> Iterator[BoxesPrediction | UnreadableImage]:
        """Yield a prediction or an error for each image, in order."""
        decode = partial(decode_tiles, preprocess=self.preprocess, side=self.tiles, limits=limits)
        return self.answers(work_ahead(images, decode, ahead=self.ahead))

    @property
    def _backbone_sha256(self) -> str:
        known = self.backbone.weights_sha256
        return known() if callable(known) else known or ""


def check_answer_options(options: AnswerOptions) -> None:
    """Reject options that are for labels of whole images.

    Raises:
        OptionError: An option has no effect on boxes.
    """
    for name in ("top", "coverage", "set_method", "max_error", "explain"):
        if name in options.given():
            raise OptionError(
                f"--{name.replace('_', '-')} is for classifiers, and this model is a detector. "
                "Remove it."
            )


def _restored(values: bytes) -> Detector:
    """Restore a detector from the values of `Detector.__reduce__`."""
    return Detector(**pickle.loads(values))


def head_tensors(head: nn.Module) -> Tensors:
    """Return the weights and statistics of a head, by name."""
    return {name: value.detach().cpu().numpy() for name, value in head.state_dict().items()}


def _sha256(array: Anything) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _numbers(shape: BoxHeadShape, tiles: int | None) -> dict[str, float | str]:
    maps = ",".join(f"{channels}x{side}" for channels, side in shape.maps)
    numbers = {"channels": float(shape.channels), "depth": float(shape.depth)}
    return {"maps": maps} | numbers | ({"tiles": float(tiles)} if tiles else {})


def _shape(numbers: Mapping[str, float | str], classes: int) -> BoxHeadShape:
    maps = [tuple(map(int, text.split("x"))) for text in str(numbers["maps"]).split(",")]
    return BoxHeadShape(
        tuple(MapShape(*sides) for sides in maps),
        classes,
        channels=int(numbers["channels"]),
        depth=int(numbers["depth"]),
    )


def _kept(result: BoxesPrediction | UnreadableImage) -> AnyBoxesPrediction:
    if isinstance(result, UnreadableImage):
        return FailedPrediction(result.path, result.reason)
    return result
