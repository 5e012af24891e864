"""Features that a cluster computes are those of one process."""

import re
import threading
from pathlib import Path
from types import MethodType

import numpy as np
import pytest
from ray.cluster_utils import Cluster as Nodes

from headstart.backbones.backbone import load_backbone
from headstart.cluster.joining import joined
from headstart.errors import DataError
from headstart.features.extractor import FeatureExtractor
from headstart.features.store import FeatureStore
from headstart.files import file_sha256
from headstart.watching import SilentWatcher
from tests.cluster.conftest import add_node
from tests.conftest import TINY, picture

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("joined_once")]
IMAGES = 1000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Write small pictures, and return path and sha256 of each."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(IMAGES):
        picture(number, side=32).save(folder / f"{number}.png")
    return [(str(path), file_sha256(path)) for path in sorted(folder.iterdir())]


class Recorded(SilentWatcher):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def extractor(cache: Path) -> FeatureExtractor:
    """Return an extractor with its own store."""
    backbone = load_backbone(TINY, weights="random", image_size=64)
    return FeatureExtractor(backbone, cache=cache, precision="float32")


def rows_of(made: FeatureExtractor) -> int:
    """Return the number of rows in its table."""
    (info,) = FeatureStore(made.cache / "features").infos()
    return info.images


@pytest.fixture(scope="module")
def expected(files: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Return the features that this process computes."""
    return extractor(tmp_path_factory.mktemp("alone")).of_files(files)[0]


def test_features_are_those_of_one_process(
    files: list[tuple[str, str]], expected: np.ndarray, address: str, tmp_path: Path
) -> None:
    """To the bit, once each; then nothing is missing."""
    made, counts = extractor(tmp_path), list[tuple[int, int]]()
    with joined(address, SilentWatcher()) as cluster:
        cluster.extract(made, files, progress=lambda *count: counts.append(count))
        np.testing.assert_array_equal(made.of_files(files)[0], expected)
        assert counts[-1] == (IMAGES, IMAGES)
        assert rows_of(made) == IMAGES
        counts.clear()
        cluster.extract(made, files, progress=lambda *count: counts.append(count))
    np.testing.assert_array_equal(made.of_files(files)[0], expected)
    assert counts == [] and rows_of(made) == IMAGES


def test_a_node_that_dies(
    files: list[tuple[str, str]],
    expected: np.ndarray,
    nodes: Nodes,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its work is done again by others: no row is lost or doubled. Only a warning tells of it."""
    made, killed = extractor(tmp_path), threading.Event()

    def kill_one(done: int, _: int) -> None:
        if done and not killed.is_set():
            killed.set()
            nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False)

    watcher = Recorded()
    with joined(nodes.address, watcher) as cluster:
        cluster.extract(made, files, progress=kill_one)
    assert capfd.readouterr() == ("", "")
    add_node(nodes, 5)
    for warning in watcher.warnings:  # The end may come before Ray notices the death.
        assert re.match(r"Node '127\.0\.0\.\d' went away\.", warning)
    assert killed.is_set()
    np.testing.assert_array_equal(made.of_files(files)[0], expected)
    assert rows_of(made) == IMAGES


def test_a_file_that_changes(files: list[tuple[str, str]], address: str, tmp_path: Path) -> None:
    """The error is that of one process. Files that a node does not see are named, with the node."""
    changed = tmp_path / "changed.png"
    picture(1, side=32).save(changed)
    wrong = [*files[:300], (str(changed), "0" * 64)]
    made = extractor(tmp_path / "cache")
    with (
        joined(address, SilentWatcher()) as cluster,
        pytest.raises(DataError, match=r"changed\.png' changed while it was being read"),
    ):
        cluster.extract(made, wrong)
    missing = tmp_path / "not-here.png"
    with (
        joined(address, SilentWatcher()) as cluster,
        pytest.raises(DataError, match=r"not-here.png' is not there on node 127\.0\.0\.\d"),
    ):
        cluster.extract(made, [(str(missing), "1" * 64)])


def test_a_cache_that_a_node_does_not_share(
    files: list[tuple[str, str]], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with the node before any feature is computed."""

    def on_each_node(exists: MethodType) -> dict[str, bool]:
        return {"127.0.0.3": exists.__self__.suffix != ".lance"}

    with joined(address, SilentWatcher()) as cluster:
        monkeypatch.setattr("headstart.cluster.nodes.on_each_node", on_each_node)
        with pytest.raises(DataError, match=r"\.lance' is not there on node 127.0.0.3\. .*--cache"):
            cluster.extract(extractor(tmp_path / "cache"), files[:300])
