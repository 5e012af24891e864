"""Backbones: what there is to choose from, and what it does on this machine."""

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
from headstart.commands.combinations import BACKBONES, require_effect
from headstart.engines.precision import min_cosine
from headstart.engines.timing import images_per_second
from headstart.features.extractor import FeatureExtractor
from headstart.options import BackbonesOptions, cache_folder
from headstart.watching import Watcher

_COMPARED = 4


@dataclass(frozen=True)
class Listed:
    """A row of the table.

    Attributes:
        entry: The catalogue's row.
        licence: Of the weights, or "unknown".
        here: Whether the weights are on this machine.
        images_per_second: Measured, if asked for.
        cosine: Between features by the engine and by torch in float32, the lowest of a few
            images, if asked for.
    """

    entry: Entry
    licence: str
    here: bool
    images_per_second: float | None = None
    cosine: float | None = None

    @property
    def commercial_use(self) -> bool | None:
        """Whether the licence allows commercial use; None where its name does not say so."""
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
            "weights_here": self.here,
            "measured_with": None if self.cosine is None else "imagenet" if self.here else "random",
            "images_per_second": self.images_per_second,
            "cosine": self.cosine,
        }


def list_backbones(text: str, options: BackbonesOptions, watcher: Watcher) -> list[Listed]:
    """Return the catalogue's rows whose name or family holds a text.

    Args:
        text: Case and hyphens do not matter; "" gives all.
        options: Whether and how to measure them.
        watcher: Follows the stages.

    Raises:
        OptionError: An option has no effect.
    """
    require_effect(options, BACKBONES)
    wanted = _plain(text)
    entries = [one for one in CATALOGUE if wanted in _plain(f"{one.name} {one.family}")]
    listed = []
    for entry in entries:
        here = weights_available(entry.architecture)
        row = Listed(entry, licence_of(entry.architecture) or "unknown", here)
        if options.measure:
            with watcher.stage(f"Measuring {entry.name}"):
                speed, cosine = _measure(entry, here, options)
            row = Listed(entry, row.licence, here, speed, cosine)
        listed.append(row)
    return listed


def _measure(entry: Entry, here: bool, options: BackbonesOptions) -> tuple[float, float]:
    """Time the engine on ready arrays, and compare its features with those of float32 torch."""
    backbone = load_backbone(entry.name, weights="imagenet" if here else "random")
    with TemporaryDirectory() as folder:  # Random networks are not worth keeping.
        return _measure_in(cache_folder(options.cache) if here else Path(folder), backbone, options)


def _measure_in(cache: Path, backbone: Backbone, options: BackbonesOptions) -> tuple[float, float]:
    extractor = FeatureExtractor(
        backbone, cache=cache, device=options.device, precision=options.precision
    )
    size = backbone.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (_COMPARED, size, size, 3), dtype=np.uint8)
    with torch.inference_mode():
        reference = StagePooling(backbone).eval()(torch.from_numpy(pixels)).numpy()
    engine = extractor.engine
    (features,) = engine.run([pixels])
    return images_per_second(engine, size), min_cosine(features, reference)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
