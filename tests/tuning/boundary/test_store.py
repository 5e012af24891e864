"""The boundary store on disk."""

import os

import numpy as np
import pytest

from headstart.errors import StoreError
from headstart.tuning.boundary.store import ViewStore
from headstart.tuning.boundary.views import ViewPlan


def test_old_stores_are_evicted(tmp_path):
    """Total size is limited; the store in use is kept."""
    plan = ViewPlan((("a.png", "a"),), "none", 1, 0)
    first, second = (ViewStore(tmp_path, key, plan, 100, half=True) for key in ("1", "2"))
    second.evict_others(first.bytes + second.bytes + 1)
    assert len(list(tmp_path.glob("*.rows"))) == 2
    second.evict_others(second.bytes + 1)
    assert len(list(tmp_path.iterdir())) == 2
    second.put(np.arange(1), np.ones((1, 100), dtype=np.float32))
    assert second.read(np.arange(1), 0).sum() == 100


@pytest.mark.parametrize("reason", [None, 95, 22])
def test_files_are_filled_with_zeros_if_space_cannot_be_reserved(tmp_path, monkeypatch, reason):
    """Without fallocate, the files have the same size and work the same."""

    def refuse(*_):
        raise OSError(reason, "Not here")

    if reason is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    plan = ViewPlan((("a.png", "a"),), "none", 1, 0)
    store = ViewStore(tmp_path, "1", plan, 600_000, half=False)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == store.bytes
    store.put(np.arange(1), np.ones((1, 600_000), dtype=np.float32))
    assert store.read(np.arange(1), 0).sum() == 600_000


def test_a_full_disk_is_an_error_and_leaves_no_files(tmp_path, monkeypatch):
    """No incomplete store remains."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    plan = ViewPlan((("a.png", "a"),), "none", 1, 0)
    with pytest.raises(StoreError, match="No space left on device"):
        ViewStore(tmp_path, "1", plan, 100, half=True)
    assert not list(tmp_path.iterdir())


def test_two_trainings_share_a_store(tmp_path):
    """The second training neither empties nor replaces the file mapped by the first."""
    plan = ViewPlan((("a.png", "a"),), "none", 1, 0)
    first, second = (ViewStore(tmp_path, "1", plan, 100, half=True) for _ in range(2))
    first.put(np.arange(1), np.ones((1, 100), dtype=np.float32))
    assert second.read(np.arange(1), 0).sum() == 100
