"""The boundary store on disk."""

import numpy as np

from headstart.tuning.boundary.store import ViewStore
from headstart.tuning.boundary.views import ViewPlan


def test_old_stores_make_room(tmp_path):
    """Together they take no more than a limit; the one in use stays."""
    plan = ViewPlan((("a.png", "a"),), "none", 1, 0)
    first, second = (ViewStore(tmp_path, key, plan, 100, half=True) for key in ("1", "2"))
    second.forget_others(first.bytes + second.bytes + 1)
    assert len(list(tmp_path.glob("*.rows"))) == 2
    second.forget_others(second.bytes + 1)
    assert len(list(tmp_path.iterdir())) == 2
    second.put(np.arange(1), np.ones((1, 100), dtype=np.float32))
    assert second.read(np.arange(1), 0).sum() == 100
