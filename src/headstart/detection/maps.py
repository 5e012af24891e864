"""The maps of a frozen backbone for each view of each image, in the boundary store."""

from dataclasses import dataclass

from headstart.backbones.maps import MapShape, StageMaps, row_width
from headstart.detection.views import DetectionViews
from headstart.engines.devices import make_engine
from headstart.engines.engine import Engine
from headstart.errors import OptionError
from headstart.features.extractor import FeatureExtractor
from headstart.tuning.boundary.rows import StoredRows
from headstart.tuning.boundary.store import ViewStore, free_bytes
from headstart.watching import Progress

_SPARE_DISK = 0.9


@dataclass(frozen=True)
class FrozenMaps:
    """A frozen backbone that computes maps.

    Attributes:
        extractor: The extractor of the backbone, which says how it is run.
        shapes: The shapes of the maps.
        engine: Runs the backbone.
    """

    extractor: FeatureExtractor
    shapes: tuple[MapShape, ...]
    engine: Engine

    @classmethod
    def of(cls, extractor: FeatureExtractor) -> "FrozenMaps":
        """Prepare the backbone of an extractor."""
        maps = StageMaps(extractor.backbone).eval()
        engine = make_engine(
            lambda: maps,
            size=maps.size,
            device=extractor.device,
            precision=extractor.precision,
            cache=extractor.cache / "networks",
            key=f"{extractor.fingerprint.network_key}-maps",
        )
        return cls(extractor, maps.shapes, engine)

    def size_of(self, plan: DetectionViews) -> int:
        """Return the size in bytes of the store of a plan."""
        return ViewStore.size_of(plan, row_width(self.shapes), half=True)

    def stored(
        self, plan: DetectionViews, *, limit: float, progress: Progress | None = None
    ) -> StoredRows:
        """Return the maps of all views; those that are not in the store are computed.

        Args:
            plan: The views.
            limit: The maximum size of the store, in bytes.
            progress: Called with the numbers of views done and missing.

        Raises:
            OptionError: The store would be larger than the limit, or than the disk.
            StoreError: It cannot be written, or a value exceeds the range of half precision.
        """
        folder, key = self.extractor.cache / "boundary", f"{self.extractor.fingerprint.key}-maps"
        path, needed = ViewStore.path_of(folder, key, plan, half=True), self.size_of(plan)
        free = free_bytes(folder) + (path.stat().st_size if path.exists() else 0)
        if needed > min(limit, free * _SPARE_DISK):
            raise OptionError(
                f"The maps of {len(plan.files):,} images in {plan.views} views take "
                f"{needed / 1e9:.1f} GB, and {min(limit, free * _SPARE_DISK) / 1e9:.1f} GB may be "
                "used. Use a lower --views or --image-size, or a higher --store-gb."
            )
        store = ViewStore(folder, key, plan, row_width(self.shapes), half=True)
        store.evict_others(limit)
        store.fill(self.engine, plan.decoded, progress=progress)
        return StoredRows(store)
