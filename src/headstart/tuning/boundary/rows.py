"""Sources of rows for the part above the boundary: the boundary store, or the images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
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
from headstart.errors import StoreError, reason_of
from headstart.features.batches import pixel_batches
from headstart.features.extractor import FeatureExtractor
from headstart.tuning.boundary.cutting import Halves, cut
from headstart.tuning.boundary.store import ViewStore, free_bytes
from headstart.tuning.boundary.views import ViewPlan
from headstart.tuning.pacing.timing import Setting, to_device
from headstart.watching import Note, Progress, Warn

_SPARE_DISK = 0.9
_READ_AT_A_TIME = 64


class RowSource(Protocol):
    """A source of inputs for the part above the boundary.

    Attributes:
        background: Whether rows may be read in a background thread, which is not the case if
            reading draws random numbers.
        file: A file that it reads.
    """

    background: bool
    file: str

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        """Return a row for one view of each image, (images, …)."""
        ...


class StoredRows:
    """Rows from the boundary store."""

    background = True

    def __init__(self, store: ViewStore) -> None:
        self._store, self.file = store, str(store.path)

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        """See `RowSource.rows`."""
        return self._store.read(images, views)


class ImageRows:
    """Rows computed from the images each time, without a store.

    Args:
        plan: The views of the images.
        backbone: The backbone, for its preprocessing.
        below: Makes the engine that runs the frozen part; if None, rows are pixels.
    """

    def __init__(
        self, plan: ViewPlan, backbone: Backbone, below: Callable[[], Engine] | None
    ) -> None:
        self._plan, self._preprocess, self._make_below = plan, backbone.preprocess, below
        self.background = plan.preset in ("none", "flip", "dihedral")
        self.file = plan.files[0][0]

    def __getstate__(self) -> dict[str, object]:
        """Leave out the engine, which each process makes for itself."""
        return {name: value for name, value in vars(self).items() if name != "_below"}

    @cached_property
    def _below(self) -> Engine | None:
        return self._make_below() if self._make_below else None

    def rows(self, images: Rows, views: Rows | int) -> Tensor:
        """See `RowSource.rows`."""
        indices = [int(image) for image in images]
        hashed = [(self._plan.files[index][1], self._plan.files[index][0]) for index in indices]
        with pixel_batches(hashed, 1, self._preprocess) as decoded:
            pixels = [
                self._plan.view(image[0], index, int(view))
                for index, view, image in zip(
                    indices, np.broadcast_to(views, len(indices)), decoded, strict=True
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
        network: The network; this function switches it to evaluation mode.
        source: Source of the rows.
        images: Indices of the images.
        setting: Numeric precision, layout, threads and device.
        views: Indices of the views; view 0 is the unchanged image.
    """
    network.eval()
    parts = []
    for start in range(0, len(images), _READ_AT_A_TIME):
        batch = images[start : start + _READ_AT_A_TIME]
        with setting.autocast():
            outputs = [
                network(to_device(source.rows(batch, view), setting)).float() for view in views
            ]
        parts.append(torch.stack(outputs).mean(dim=0).cpu())
    return torch.cat(parts) if parts else torch.zeros(0, 0)


@dataclass(frozen=True)
class Boundary:
    """A backbone that is ready for training above a boundary.

    Attributes:
        above: Computes features from rows; shares its weights with the backbone.
        source: Source of the rows.
        store_bytes: Size of the boundary store; 0 if training reads images.
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
    note: Note,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> Boundary:
    """Cut a backbone below a part, and run the frozen half once for each view of each image.

    Args:
        extractor: Extractor with the backbone, which is frozen below `part`.
        plan: The views of the images.
        part: "all", "stages:N" or "layers:N".
        reads: The features that the head needs.
        store_gb: Maximum size of the boundary store in GB.
        warn: Called with the reason why there is no store.
        note: Called with the size of the store.
        progress: Called as the store fills.
        deadline: Time limit, by `time.perf_counter`.

    Raises:
        OutOfTime: The store could not be filled in time; the rows so far are kept.
    """
    backbone = extractor.backbone
    after = backbone.parts().stages_below(part) if part != "all" else 0
    pooling = StagePooling(backbone, reads=reads, orientations="one").eval()
    if after == 0:
        return Boundary(pooling, ImageRows(plan, backbone, None), 0)
    halves, key = cut(pooling, after), f"{extractor.fingerprint.key}-{reads}"
    make_below = partial(
        _engine_below,
        halves.below,
        backbone.preprocess.size,
        extractor.device,
        extractor.precision,
        extractor.cache / "networks",
        f"{key}-below-{after}",
    )
    if store := _store(extractor, plan, halves, f"{key}-{after}", store_gb, warn, note):
        try:
            store.fill(make_below(), backbone.preprocess, progress=progress, deadline=deadline)
            return Boundary(halves.above, StoredRows(store), store.bytes)
        except (OSError, StoreError) as error:
            why = reason_of(error)
            warn(f"The boundary store cannot be written ({why}), so training reads images.")
    return Boundary(halves.above, ImageRows(plan, backbone, make_below), 0)


def _engine_below(
    below: nn.Module, size: int, device: str, precision: str, cache: Path, key: str
) -> Engine:
    return make_engine(
        below.eval, size=size, device=device, precision=precision, cache=cache, key=key
    )


def _store(
    extractor: FeatureExtractor,
    plan: ViewPlan,
    halves: Halves,
    key: str,
    store_gb: float,
    warn: Warn,
    note: Note,
) -> ViewStore | None:
    """Open the boundary store if it fits, and report its size."""
    folder = extractor.cache / "boundary"
    half = extractor.precision == "bf16"
    needed = ViewStore.size_of(plan, halves.row_width, half=half)
    path = ViewStore.path_of(folder, key, plan, half=half)
    free = free_bytes(folder) + (path.stat().st_size if path.exists() else 0)
    limit = min(store_gb * 1e9, free * _SPARE_DISK)
    if needed > limit:
        warn(
            f"The boundary store needs {needed / 1e9:.1f} GB, but only {limit / 1e9:.1f} GB may be "
            "used, so training reads the images in each epoch, which is slower."
        )
        return None
    note(
        f"The boundary store takes {needed / 1e6:,.0f} MB: {len(plan.files):,} images, each in "
        f"{plan.views} view{'s' if plan.views > 1 else ''}."
    )
    try:
        store = ViewStore(folder, key, plan, halves.row_width, half=half)
    except StoreError as error:
        warn(f"{error} Training reads the images in each epoch, which is slower.")
        return None
    store.evict_others(store_gb * 1e9)
    return store
