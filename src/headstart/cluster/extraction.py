"""Extract features on a cluster: workers write them, and this process adds them to the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import ray

from headstart.errors import StoreError
from headstart.features.extraction import compute
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import FeatureTable
from headstart.options import PrecisionOption
from headstart.predictor.config import BackboneConfig


@dataclass(frozen=True)
class Written:
    """What a worker has written.

    Attributes:
        images: The number of images.
        fragments: See `FeatureTable.write_fragments`.
    """

    images: int
    fragments: list[str]


class ExtractionStep:
    """Computes the features of files, and writes them beside a table.

    Args:
        extractor: Computes them.
        table: The table. It has them only when the fragments are committed.
    """

    def __init__(self, extractor: FeatureExtractor, table: FeatureTable) -> None:
        self._extractor, self._table = extractor, table

    def __call__(self, paths: Mapping[str, str]) -> Written:
        """Compute the features of files, given as path by sha256."""
        extractor = self._extractor
        batches = compute(paths, extractor.engine, extractor.preprocess, extractor.limits)
        features = np.concatenate(list(batches))
        try:
            return Written(len(features), self._table.write_fragments(list(paths), features))
        except StoreError as error:
            node = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
            raise StoreError(f"On node {node}: {error}") from None


def for_workers(extractor: FeatureExtractor) -> FeatureExtractor:
    """Return an extractor that loads quickly: workers import PyTorch only if they need it."""
    backbone = BackboneConfig.of(extractor).saved(extractor.preprocess, extractor.tensors())
    return FeatureExtractor(
        backbone,
        cache=extractor.cache,
        store=extractor.store,
        device=extractor.device,
        precision=cast(PrecisionOption, extractor.precision),
        reads=extractor.reads,
        limits=extractor.limits,
    )
