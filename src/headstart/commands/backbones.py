"""Backbones: list the catalogue, and measure its backbones on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.catalogue import CATALOGUE, Entry
from headstart.backbones.licences import allows_commercial_use, licence_of
from headstart.backbones.pooling import StagePooling
from headstart.backbones.weights import weights_available
from headstart.cache import cache_folder
from headstart.commands.combinations import BACKBONES, reject_ineffective_options
from headstart.engines.precision import min_cosine
from headstart.engines.timing import images_per_second
from headstart.features.extractor import FeatureExtractor
from headstart.options import BackbonesOptions
from headstart.watching import Watcher

_COMPARED_IMAGES = 4


@dataclass(frozen=True)
class ListedBackbone:
    """A backbone of the catalogue, with its licence and measurements.

    Attributes:
        entry: The row of the catalogue.
        licence: Licence of the weights, or "unknown".
        local: Whether the weights are on this machine.
        images_per_second: Speed on this machine; None unless measured.
        cosine: The lowest cosine similarity, over a few images, between the features of the
            engine and those of PyTorch in float32; None unless measured.
    """

    entry: Entry
    licence: str
    local: bool
    images_per_second: float | None = None
    cosine: float | None = None

    @property
    def commercial_use(self) -> bool | None:
        """Whether the licence allows commercial use; None if that is unclear."""
        return allows_commercial_use(self.licence)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        entry = self.entry
        return {
            "name": entry.name,
            "family": entry.family,
            "architecture": entry.architecture,
            "parameters": entry.parameters,
            "macs": entry.macs,
            "image_size": entry.image_size,
            "width": entry.width,
            "licence": self.licence,
            "commercial_use": self.commercial_use,
            "weights_here": self.local,
            "measured_with": None
            if self.cosine is None
            else "imagenet"
            if self.local
            else "random",
            "images_per_second": self.images_per_second,
            "cosine": self.cosine,
        }


def list_backbones(text: str, options: BackbonesOptions, watcher: Watcher) -> list[ListedBackbone]:
    """Return the backbones whose name or family contains a text.

    Args:
        text: Case and hyphens are ignored; "" matches every backbone.
        options: Whether and how to measure them.
        watcher: Follows the stages.

    Raises:
        OptionError: An option has no effect.
    """
    reject_ineffective_options(options, BACKBONES)
    wanted = _normalised(text)
    entries = [
        entry for entry in CATALOGUE if wanted in _normalised(f"{entry.name} {entry.family}")
    ]
    listed = []
    for entry in entries:
        local = weights_available(entry.architecture)
        row = ListedBackbone(entry, licence_of(entry.architecture) or "unknown", local)
        if options.measure:
            with watcher.stage(f"Measuring {entry.name}"):
                speed, cosine = _measure(entry, local, options)
            row = ListedBackbone(entry, row.licence, local, speed, cosine)
        listed.append(row)
    return listed


def _measure(entry: Entry, local: bool, options: BackbonesOptions) -> tuple[float, float]:
    """Time the engine on decoded images, and compare its features with PyTorch's in float32."""
    backbone = load_backbone(entry.name, weights="imagenet" if local else "random")
    with TemporaryDirectory() as folder:  # Features of random networks are not worth caching.
        return _measure_in(
            cache_folder(options.cache) if local else Path(folder), backbone, options
        )


def _measure_in(cache: Path, backbone: Backbone, options: BackbonesOptions) -> tuple[float, float]:
    extractor = FeatureExtractor(
        backbone, cache=cache, device=options.device, precision=options.precision
    )
    size = backbone.preprocess.size
    pixels = np.random.default_rng(0).integers(
        0, 256, (_COMPARED_IMAGES, size, size, 3), dtype=np.uint8
    )
    with torch.inference_mode():
        reference = StagePooling(backbone).eval()(torch.from_numpy(pixels)).numpy()
    engine = extractor.engine
    (features,) = engine.run([pixels])
    return images_per_second(engine, size), min_cosine(features, reference)


def _normalised(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
