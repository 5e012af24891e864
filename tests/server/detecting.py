"""A tiny detector with random weights, which finds something in nearly every image."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from headstart import load
from headstart.answers import Thresholds
from headstart.backbones.backbone import load_backbone
from headstart.backbones.maps import StageMaps
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.predictor.detector import Detector, head_tensors
from headstart.tasks.boxes import LabelledBoxes
from tests.conftest import TINY
from tests.detection.scenes import CLASSES, scene

SIDE = 64


def tiny_detector(cache: Path, *, threshold: float = 0.5, seed: int = 1) -> Detector:
    """Return a detector of random weights whose scores differ from point to point."""
    backbone = load_backbone(TINY, weights="random", image_size=SIDE, fit="pad", seed=0)
    torch.manual_seed(seed)
    maps = StageMaps(backbone).eval()
    head = BoxHead(BoxHeadShape(maps.shapes, len(CLASSES), channels=16, depth=1))
    seen = [backbone.preprocess.pixels(scene(number).image) for number in range(8)]
    with torch.no_grad():
        rows = maps(torch.from_numpy(np.stack(seen)))
        for _ in range(20):
            head(rows)  # Sets the statistics of the norms.
        head.score.weight.mul_(2.5 / head.eval()(rows)[..., 4:].std())
        head.score.bias.fill_(-2)
    thresholds = Thresholds("f1", (threshold,) * len(CLASSES), ("",) * len(CLASSES))
    return Detector(
        *(LabelledBoxes(), CLASSES, backbone, head.eval().shape, head_tensors(head), thresholds),
        *("cpu", "float32", cache),
    )


@dataclass(frozen=True)
class Detecting:
    """A tiny detector that is served.

    Attributes:
        model: Its folder.
        cache: The cache.
        detector: The model in this process.
    """

    model: Path
    cache: Path
    detector: Detector

    @classmethod
    def at(
        cls,
        root: Path,
        name: str = "scenes",
        *,
        threshold: float = 0.5,
        tiles: int | None = None,
    ) -> Detecting:
        """Write a detector to a folder of a name."""
        replace(tiny_detector(root / "cache", threshold=threshold), tiles=tiles).save(root / name)
        detector = load(root / name, cache=root / "cache")
        assert isinstance(detector, Detector)
        return cls(root / name, root / "cache", detector)


def files(count: int, *, size: tuple[int, int] = (150, 90)) -> dict[str, bytes]:
    """Return the names and contents of some scenes."""
    return {f"{seed}.png": encoded(scene(seed, size=size).image) for seed in range(count)}


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the content of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
