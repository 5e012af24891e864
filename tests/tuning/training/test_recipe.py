"""Learning rates by network, number of images, layer and step."""

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.tuning.training.network import HeadedNetwork, zero_head
from headstart.tuning.training.recipe import Recipe, learning_rate_of, optimiser_of, schedule_of
from headstart.tuning.tutorial import RECIPE as TUTORIAL
from tests.tuning.conftest import TINY


def test_short_trainings_have_a_warm_up():
    """If a tenth of the steps is too short, warm-up is half of the steps, up to ten."""
    network = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for steps, warm_up in ((4, 2), (12, 6), (50, 10), (400, 40)):
        schedule = schedule_of(optimiser, Recipe(learning_rate=1e-3), steps)
        rates = [schedule._get_lr(step)[0] for step in range(steps)]
        assert rates[0] == 1e-5
        assert all(np.diff(rates[:warm_up]) > 0) and all(np.diff(rates[warm_up:]) < 0)


def test_lower_layers_have_a_lower_learning_rate_at_every_step():
    """A layer's rate is the peak rate times its factor, applied once, with any schedule.

    The head, which is already fitted, has its own factor.
    """
    network = HeadedNetwork(torch.nn.Identity(), zero_head(8, 2), slice(0, 8))
    backbone = hs.load_backbone(TINY, weights="random", image_size=64).unfreeze("all").network
    recipe = Recipe(layer_decay=0.5)
    optimiser = optimiser_of(network, backbone, recipe)
    schedule = schedule_of(optimiser, recipe, steps=100)
    for step in (0, 5, 10, 50):
        schedule.step_update(step)
        *layers, head = [group["lr"] for group in optimiser.param_groups]
        rates = sorted({round(rate / max(layers), 9) for rate in layers})
        assert len(rates) > 2
        assert rates == pytest.approx([0.5**power for power in reversed(range(len(rates)))])
        assert head == pytest.approx(recipe.head_rate * max(layers))
    schedule.step_update(10)
    highest = max(group["lr"] for group in optimiser.param_groups)
    assert highest == pytest.approx(recipe.learning_rate, rel=0.05)
    plain = optimiser_of(network, backbone, TUTORIAL)
    assert {group["lr"] for group in plain.param_groups} == {TUTORIAL.learning_rate}


@pytest.mark.parametrize(
    ("architecture", "images", "rate"),
    [
        ("tf_efficientnet_lite0.in1k", 60, 2e-4),
        ("tf_efficientnet_lite0.in1k", 2000, 1e-3),
        ("tf_efficientnet_lite0", 50_000, 2e-3),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", 50_000, 2e-4),
        ("resnet50.tv_in1k", 50_000, 2e-4),
        ("convnext_tiny.fb_in22k_ft_in1k", 50_000, 2e-4),
        ("swin_tiny_patch4_window7_224.ms_in1k", 50_000, 2e-4),
    ],
)
def test_the_default_learning_rate_depends_on_network_and_images(architecture, images, rate):
    """It grows with the number of images only for networks for which that was measured."""
    assert learning_rate_of(architecture, images) == pytest.approx(rate)
