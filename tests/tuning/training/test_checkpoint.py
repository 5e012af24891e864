"""Checkpoints of a training, and of an optimiser."""

import os
from pathlib import Path

import torch

from headstart.tuning.training.checkpoint import (
    Checkpoint,
    packed_optimiser,
    read_checkpoint,
    unpack_optimiser,
    write_checkpoint,
)


def test_the_previous_checkpoint_does_not_need_hard_links(tmp_path, monkeypatch):
    """Without hard links, the previous checkpoint is still kept."""

    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    for step in (2, 4):
        write_checkpoint(tmp_path, Checkpoint({"a": torch.full((3,), step)}, {"step": step}))
    assert read_checkpoint(tmp_path)[0].state["step"] == 4
    (tmp_path / "checkpoint.json").write_text("{")
    found, problem = read_checkpoint(tmp_path)
    assert found.state["step"] == 2 and found.tensors["a"].tolist() == [2, 2, 2]
    assert "using the previous one" in problem


def test_an_optimiser_is_restored_in_any_layout():
    """Moments have the layout of their weights, which the fused optimiser requires."""

    def create():
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    def take_step(layer, optimiser):
        images = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        layer(images).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    layer, optimiser = create()
    take_step(layer, optimiser)
    packed = packed_optimiser(optimiser).items()
    tensors = {name: tensor.contiguous().clone() for name, tensor in packed}
    other, resumed = create()
    other.load_state_dict(layer.state_dict())
    unpack_optimiser(resumed, tensors)
    take_step(layer, optimiser)
    take_step(other, resumed)
    assert torch.equal(layer.weight, other.weight)
