"""Where the part above the boundary reads rows from: the boundary store, or the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from headstart.arrays import Rows
from headstart.backbones.backbone import Backbone
from headstart.backbones.layout import Reads
from headstart.backbones.pooling import StagePooling
from headstart.engines.devices import make_engine
from headstart.engines.engine import Engine
from headstart.errors import StoreError
from headstart.features.batches import pixel_batches
from headstart.features.extractor import FeatureExtractor
from headstart.tuning.boundary.cutting import Halves, cut
from headstart.tuning.boundary.store import ViewStore, free_bytes
from headstart.tuning.boundary.views import ViewPlan
from headstart.tuning.pacing.timing import Setting, moved
from headstart.watching import Progress, Warn

_SPARE_DISK = 0.9
_READ_AT_A_TIME = 64


class RowSource(Protocol):
    """Yields what the part above the boundary reads.

    Attributes:
        background: Whether rows may be read beside training: not if they draw random numbers.
    """

    background: bool

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        """Return a row for one view of each image, (images, …)."""
        ...


class StoredRows:
    """Rows from the boundary store."""

    background = True

    def __init__(self, store: ViewStore) -> None:
        self._store = store

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        """See `RowSource.rows`."""
        return self._store.read(images, views)


class ImageRows:
    """Rows computed from the images each time, where nothing can be kept.

    Args:
        plan: Which views of which images.
        backbone: With its preprocess.
        below: Runs the frozen part; without it the rows are the pixels.
    """

    def __init__(self, plan: ViewPlan, backbone: Backbone, below: Engine | None) -> None:
        self._plan, self._preprocess, self._below = plan, backbone.preprocess, below
        self.background = plan.preset in ("none", "flip", "dihedral")

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        """See `RowSource.rows`."""
        places = [int(image) for image in images]
        hashed = [(self._plan.files[place][1], self._plan.files[place][0]) for place in places]
        with pixel_batches(hashed, 1, self._preprocess) as decoded:
            pixels = [
                self._plan.view(one[0], self._plan.files[place][1], int(view))
                for place, view, one in zip(
                    places, np.broadcast_to(views, len(places)), decoded, strict=True
                )
            ]
        if self._below is None:
            return torch.from_numpy(np.stack(pixels))
        size = self._below.batch_size
        batches = [np.stack(pixels[at : at + size]) for at in range(0, len(pixels), size)]
        return torch.from_numpy(np.concatenate(list(self._below.run(batches))))


@torch.no_grad()
def predict_rows(
    network: nn.Module,
    source: RowSource,
    images: Rows,
    setting: Setting,
    views: Sequence[int] = (0,),
) -> Tensor:
    """Return the output of a network for some images, averaged over views: (images, width).

    Args:
        network: In evaluation mode afterwards.
        source: Of the rows.
        images: Their numbers.
        setting: How to compute.
        views: View 0 is the image as it is.
    """
    network.eval()
    parts = []
    for start in range(0, len(images), _READ_AT_A_TIME):
        some = images[start : start + _READ_AT_A_TIME]
        with setting.autocast():
            seen = [network(moved(source.rows(some, view), setting)).float() for view in views]
        parts.append(torch.stack(seen).mean(dim=0).cpu())
    return torch.cat(parts) if parts else torch.zeros(0, 0)


@dataclass(frozen=True)
class Boundary:
    """A backbone that is ready to be trained above a boundary.

    Attributes:
        above: From rows to features; it shares its weights with the backbone.
        source: Of the rows.
        store_bytes: Size of the boundary store; 0 where training reads images.
    """

    above: nn.Module
    source: RowSource
    store_bytes: int


def open_boundary(
    extractor: FeatureExtractor,
    plan: ViewPlan,
    part: str,
    *,
    reads: Reads,
    store_gb: float,
    warn: Warn,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> Boundary:
    """Cut a backbone below a part, and run what is below once for each view of each image.

    Args:
        extractor: With the backbone, of which that part learns and everything below is frozen.
        plan: Which views of which images.
        part: "all", "stages:N" or "layers:N".
        reads: Which features the head needs; nothing else is computed.
        store_gb: Most disk for the boundary store.
        warn: Called with the size of the store, or the reason why there is none.
        progress: Called as the store fills.
        deadline: When to give up, by `time.perf_counter`.

    Raises:
        OutOfTime: The store could not be filled in time; what is in it stays.
    """
    backbone = extractor.backbone
    after = backbone.parts().stages_below(part) if part != "all" else 0
    pooling = StagePooling(backbone, reads=reads, orientations="one").eval()
    if after == 0:
        return Boundary(pooling, ImageRows(plan, backbone, None), 0)
    halves, key = cut(pooling, after), f"{extractor.fingerprint.key}-{reads}"
    engine = make_engine(
        halves.below.eval,
        size=backbone.preprocess.size,
        device=extractor.device,
        precision=extractor.precision,
        cache=extractor.cache / "networks",
        key=f"{key}-below-{after}",
    )
    store = _store(extractor, plan, halves, f"{key}-{after}", store_gb, warn)
    if store is not None:
        try:
            store.fill(engine, backbone.preprocess, progress=progress, deadline=deadline)
            return Boundary(halves.above, StoredRows(store), store.bytes)
        except (OSError, StoreError) as error:
            reason = getattr(error, "strerror", None) or error
            warn(f"The boundary store cannot be written ({reason}), so training reads images.")
    return Boundary(halves.above, ImageRows(plan, backbone, engine), 0)


def _store(
    extractor: FeatureExtractor,
    plan: ViewPlan,
    halves: Halves,
    key: str,
    store_gb: float,
    warn: Warn,
) -> ViewStore | None:
    """Open the boundary store if it fits, and report its size."""
    folder = extractor.cache / "boundary"
    half = extractor.precision == "bf16"
    needed = ViewStore.size_of(plan, halves.row_width, half=half)
    there = ViewStore.path_of(folder, key, plan, half=half)
    free = free_bytes(folder) + (there.stat().st_size if there.exists() else 0)
    most = min(store_gb * 1e9, free * _SPARE_DISK)
    if needed > most:
        warn(
            f"The boundary store would take {needed / 1e9:.1f} GB and {most / 1e9:.1f} GB may be "
            "used, so training reads the images in each epoch, which is slower."
        )
        return None
    warn(
        f"The boundary store takes {needed / 1e6:,.0f} MB: {len(plan.files):,} images, each in "
        f"{plan.views} view{'s' if plan.views > 1 else ''}."
    )
    try:
        store = ViewStore(folder, key, plan, halves.row_width, half=half)
    except StoreError as error:
        warn(f"{error} Training reads the images in each epoch, which is slower.")
        return None
    store.forget_others(store_gb * 1e9)
    return store
