"""Where training reads rows from, and what happens where they cannot be stored."""

import copy

import numpy as np
import pytest

import headstart as hs
from headstart.backbones.pooling import StagePooling
from headstart.engines.torch_engine import TorchEngine
from headstart.tuning.boundary.cutting import cut
from headstart.tuning.boundary.rows import ImageRows, StoredRows
from headstart.tuning.boundary.store import ViewStore
from headstart.tuning.boundary.views import ViewPlan
from tests.tuning.conftest import QUICK, TINY, fitted


def test_the_store_gives_the_gradients_of_the_images(data, tmp_path):
    """In float32 with torch below the boundary, rows kept and rows computed are the same bits."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64).unfreeze("stages:1")
    halves = cut(StagePooling(backbone).eval(), 4)
    files = tuple(zip(data.train.paths[:8], data.train.sha256s[:8], strict=True))
    plan = ViewPlan(files, "none", 1, 0)
    store = ViewStore(tmp_path / "maps", "key", plan, halves.row_width, half=False)
    engine = TorchEngine(halves.below.eval(), device="cpu", precision="float32")
    engine.batch_size = 8
    store.fill(engine, backbone.preprocess)
    gradients = []
    for source in (StoredRows(store), ImageRows(plan, backbone, engine)):
        backbone.zero_grad()
        halves.above(source.rows(np.arange(8), 0)).square().sum().backward()
        gradients.append([one.grad.clone() for one in backbone.parameters() if one.requires_grad])
    assert all(one.equal(other) for one, other in zip(*gradients, strict=True))


def test_a_store_that_would_be_too_large(model, data):
    """Training reads the images instead, and says so."""
    said = []
    model.fine_tune(data.train, warn=said.append, store_gb=1e-9, **QUICK)
    assert any("so training reads the images in each epoch" in text for text in said)


@pytest.fixture(scope="module")
def elsewhere(data, tmp_path_factory):
    """A classifier with a cache in which nothing is stored yet."""
    return fitted(data, tmp_path_factory.mktemp("cache"), hs.LinearHead())


def test_a_full_disk_under_the_boundary_store_is_said(elsewhere, data, monkeypatch):
    """Training then reads the images."""

    def full(self, places, features):
        raise OSError(28, "No space left on device")

    said = []
    monkeypatch.setattr(ViewStore, "put", full)
    model = copy.copy(elsewhere)
    model.fine_tune(data.train, warn=said.append, keep="always", **QUICK)
    assert any("No space left on device), so training reads images" in text for text in said)
