"""Sources of rows, and what happens if rows cannot be stored."""

import copy
import pickle

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


def test_stored_rows_give_the_same_gradients_as_images(data, tmp_path):
    """In float32 with torch below the boundary, stored and computed rows are bit-identical."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64).unfreeze("stages:1")
    halves = cut(StagePooling(backbone).eval(), 4)
    files = tuple(zip(data.train.paths[:8], data.train.sha256s[:8], strict=True))
    plan = ViewPlan(files, "none", 1, 0)
    store = ViewStore(tmp_path / "maps", "key", plan, halves.row_width, half=False)
    engine = TorchEngine(halves.below.eval(), device="cpu", precision="float32")
    engine.batch_size = 8
    store.fill(engine, backbone.preprocess)
    gradients = []
    sent = pickle.loads(pickle.dumps(StoredRows(store)))  # To a worker of a cluster.
    for source in (StoredRows(store), ImageRows(plan, backbone, lambda: engine), sent):
        backbone.zero_grad()
        halves.above(source.rows(np.arange(8), 0)).square().sum().backward()
        gradients.append([p.grad.clone() for p in backbone.parameters() if p.requires_grad])
    for stored, *others in zip(*gradients, strict=True):
        assert all(stored.equal(other) for other in others)


def test_a_store_that_is_too_large_is_not_created(model, data):
    """Training reads the images instead, with a warning."""
    warnings = []
    model.fine_tune(data.train, warn=warnings.append, store_gb=1e-9, **QUICK)
    assert any("so training reads the images in each epoch" in text for text in warnings)


@pytest.fixture(scope="module")
def empty_cache_model(data, tmp_path_factory):
    """A classifier with an empty boundary store."""
    return fitted(data, tmp_path_factory.mktemp("cache"), hs.LinearHead())


def test_a_full_disk_for_the_boundary_store_is_a_warning(empty_cache_model, data, monkeypatch):
    """Training reads the images instead."""

    def full(self, places, features):
        raise OSError(28, "No space left on device")

    warnings = []
    monkeypatch.setattr(ViewStore, "put", full)
    model = copy.copy(empty_cache_model)
    model.fine_tune(data.train, warn=warnings.append, keep="always", **QUICK)
    assert any("No space left on device), so training reads images" in text for text in warnings)
