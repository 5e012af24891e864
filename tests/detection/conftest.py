"""Made-up scenes on disk, and the maps of a tiny frozen backbone of them."""

from pathlib import Path

import pytest

import headstart as hs
from headstart.data.preprocessing import Preprocess
from headstart.detection.maps import FrozenMaps
from headstart.detection.views import DetectionViews
from headstart.features.extractor import FeatureExtractor
from headstart.files import file_sha256
from tests.conftest import TINY
from tests.detection.scenes import scenes, write_yolo

SIDE = 64


@pytest.fixture(scope="package")
def root(tmp_path_factory) -> Path:
    """A folder with ten scenes and a cache."""
    root = tmp_path_factory.mktemp("detection")
    write_yolo(root / "scenes", scenes(10))
    return root


@pytest.fixture(scope="package")
def frozen(root) -> FrozenMaps:
    """A frozen backbone."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=SIDE, fit="pad").freeze()
    options = {"cache": root / "cache", "device": "cpu", "precision": "float32"}
    return FrozenMaps.of(FeatureExtractor(backbone, **options))


@pytest.fixture
def plan_of(root):
    """Return a function that makes the views of the first scenes."""
    paths = sorted((root / "scenes/images").iterdir())

    def make(count=4, views=3, seed=0) -> DetectionViews:
        files = tuple((str(path), file_sha256(path)) for path in paths[:count])
        preprocess = Preprocess(SIDE, resize="pad")
        return DetectionViews(files, ((96, 72),) * count, preprocess, views, seed)

    return make
