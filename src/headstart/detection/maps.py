"""The maps of a frozen backbone for each view of each image, in the boundary store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from headstart.backbones.backbone import Backbone
from headstart.backbones.layout import MapShape
from headstart.backbones.maps import StageMaps, row_width
from headstart.detection.views import DetectionViews
from headstart.engines.devices import make_engine
from headstart.engines.engine import Engine
from headstart.errors import OptionError
from headstart.features.extractor import FeatureExtractor
from headstart.tuning.boundary.cutting import cut
from headstart.tuning.boundary.rows import StoredRows
from headstart.tuning.boundary.store import ViewStore, free_bytes
from headstart.watching import Progress

_SPARE_DISK = 0.9


@dataclass(frozen=True)
class FrozenMaps:
    """A frozen backbone that computes maps, or its frozen part below the stages that are trained.

    Attributes:
        extractor: The extractor of the backbone, which says how it is run.
        shapes: The shapes of the maps.
        engine: Runs the frozen part.
        width: The number of values that it computes for an image.
        name: What is computed, for the names of stores.
    """

    extractor: FeatureExtractor
    shapes: tuple[MapShape, ...]
    engine: Engine
    width: int
    name: str

    @classmethod
    def of(cls, extractor: FeatureExtractor) -> "FrozenMaps":
        """Prepare the backbone of an extractor."""
        maps = StageMaps(extractor.backbone).eval()
        engine = _engine_of(extractor, maps, "maps")
        return cls(extractor, maps.shapes, engine, row_width(maps.shapes), "maps")

    def below(self, part: str) -> tuple["FrozenMaps", nn.Module]:
        """Return what is below a part of the backbone, and the part, which computes the maps.

        Args:
            part: "stages:N" or "layers:N". It shares its weights with the backbone.

        Raises:
            OptionError: The backbone does not have this part, or has nothing below it.
            BackboneError: The network cannot be cut.
        """
        backbone = self.extractor.backbone
        after = stages_below(backbone, part)
        halves, name = cut(StageMaps(backbone).eval(), after), f"maps-below-{after}"
        engine = _engine_of(self.extractor, halves.below.eval(), name)
        return replace(self, engine=engine, width=halves.row_width, name=name), halves.above

    def size_of(self, plan: DetectionViews) -> int:
        """Return the size in bytes of the store of a plan."""
        return ViewStore.size_of(plan, self.width, half=True)

    def check_room(self, plans: Sequence[DetectionViews], limit: float) -> None:
        """Check that the stores of plans fit together.

        Args:
            plans: The views.
            limit: The maximum size of all stores, in bytes.

        Raises:
            OptionError: They would be larger than the limit, or than the disk.
        """
        folder, key = self._place
        present = [ViewStore.path_of(folder, key, plan, half=True) for plan in plans]
        free = free_bytes(folder) + sum(path.stat().st_size for path in present if path.exists())
        needed, allowed = sum(map(self.size_of, plans)), min(limit, free * _SPARE_DISK)
        if needed > allowed:
            raise OptionError(
                f"The maps of {sum(len(plan.files) for plan in plans):,} images in up to "
                f"{max(plan.views for plan in plans)} views take {needed / 1e9:.3g} GB, and "
                f"{allowed / 1e9:.3g} GB may be used. Use a lower --views or --image-size, or a "
                "higher --store-gb."
            )

    def stored(
        self, plan: DetectionViews, *, limit: float, progress: Progress | None = None
    ) -> StoredRows:
        """Return the maps of all views; those that are not in the store are computed.

        Args:
            plan: The views.
            limit: The maximum size of all stores, in bytes; the least recently used are removed.
            progress: Called with the numbers of views done and missing.

        Raises:
            StoreError: It cannot be written, or a value exceeds the range of half precision.
        """
        folder, key = self._place
        store = ViewStore(folder, key, plan, self.width, half=True)
        store.evict_others(limit)
        store.fill(self.engine, plan.decoded, progress=progress)
        return StoredRows(store)

    @property
    def _place(self) -> tuple[Path, str]:
        """The folder of the stores, and the key of the maps in it."""
        return self.extractor.cache / "boundary", f"{self.extractor.fingerprint.key}-{self.name}"


def stages_below(backbone: Backbone, part: str) -> int:
    """Return the number of stages that stay frozen if a part of a backbone is trained.

    Raises:
        OptionError: The backbone does not have this part, or has nothing below it.
        BackboneError: The network cannot be traced.
    """
    after = backbone.parts().stages_below(part)
    if not after:
        raise OptionError(
            f"'{part}' leaves no stage of the backbone frozen, whose output could be stored. "
            "Train fewer stages, such as --tune stages:2."
        )
    return after


def _engine_of(extractor: FeatureExtractor, network: nn.Module, name: str) -> Engine:
    return make_engine(
        lambda: network,
        size=extractor.preprocess.size,
        device=extractor.device,
        precision=extractor.precision,
        cache=extractor.cache / "networks",
        key=f"{extractor.fingerprint.network_key}-{name}",
    )
