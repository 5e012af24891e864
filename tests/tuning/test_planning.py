"""The plan of `--tune auto` for actual networks."""

import torch

from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting
from tests.tuning.conftest import QUICK, changed, state


def test_auto_chooses_what_fits(make, data):
    """With enough time this is two stages; without, nothing."""
    record = make().fine_tune(
        data.train,
        val=data.test,
        unfreeze="auto",
        minutes=30.0,
        **QUICK | {"epochs": 1},
    )
    assert record.part == "stages:2"
    model, before = make(), state(make())
    assert model.fine_tune(data.train, unfreeze="auto", minutes=1e-6, **QUICK) is None
    assert not changed(before, state(model))
    assert not any(p.requires_grad for p in model.backbone.parameters())


def test_a_resumed_training_reuses_the_plan(make, data, tmp_path, monkeypatch):
    """Planning again could give a different plan."""
    planned = []

    def plan(job, backbone):
        planned.append(1)
        return Session("stages:2", 3, Setting(threads=torch.get_num_threads()))

    monkeypatch.setattr("headstart.tuning.fine_tuning.plan_for", plan)
    options = QUICK | {"epochs": 9, "checkpoints": tmp_path / "state", "keep": "always"}
    first = make().fine_tune(data.train, unfreeze="auto", **options)
    resumed = make().fine_tune(data.train, unfreeze="auto", resume=True, **options)
    assert (first.part, len(first.epochs)) == (resumed.part, len(resumed.epochs)) == ("stages:2", 3)
    assert len(planned) == 1
