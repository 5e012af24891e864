"""The plan of `--tune auto` for real networks."""

import torch

from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting
from tests.tuning.conftest import QUICK, changed, state


def test_auto_takes_what_fits(make, data):
    """With time enough it is the deepest part that leaves a stage frozen; without, nothing."""
    said = []
    record = make().fine_tune(
        data.train,
        val=data.test,
        unfreeze="auto",
        minutes=30.0,
        warn=said.append,
        **QUICK | {"epochs": 1},
    )
    assert record.part == "stages:4"
    model, before = make(), state(make())
    assert model.fine_tune(data.train, unfreeze="auto", minutes=1e-6, **QUICK) is None
    assert any(text.startswith("Minutes that fine-tuning would take: stages:1") for text in said)
    assert not changed(before, state(model))
    assert not any(one.requires_grad for one in model.backbone.parameters())


def test_auto_goes_on_with_what_it_planned(make, data, tmp_path, monkeypatch):
    """A resumed run does not plan again: it would time something else."""
    planned = []

    def plan(job, backbone):
        planned.append(1)
        return Session("stages:2", 3, Setting(threads=torch.get_num_threads()))

    monkeypatch.setattr("headstart.tuning.fine_tuning.plan_for", plan)
    options = QUICK | {"epochs": 9, "checkpoints": tmp_path / "state", "keep": "always"}
    first = make().fine_tune(data.train, unfreeze="auto", **options)
    again = make().fine_tune(data.train, unfreeze="auto", resume=True, **options)
    assert (first.part, len(first.epochs)) == (again.part, len(again.epochs)) == ("stages:2", 3)
    assert len(planned) == 1
