"""Hyperparameters of a detector's training."""

import pytest
import torch
from torch import nn

from headstart.detection.recipe import DetectionRecipe, epochs_for, optimiser_of, views_for
from headstart.detection.stored import recipe_of
from headstart.options import TrainOptions


@pytest.mark.parametrize(
    ("images", "classes", "epochs"),
    [
        *((1, 1, 80), (100, 1, 80), (160, 1, 50), (300, 1, 27), (800, 1, 10), (100_000, 1, 10)),
        *((100, 2, 80), (250, 3, 80), (500, 10, 40), (2000, 10, 10), (100_000, 10, 10)),
    ],
)
def test_small_sets_have_more_epochs(images, classes, epochs):
    """About 8,000 images in all with one class, and 20,000 with several, in 10 to 80 epochs."""
    assert epochs_for(images, classes) == epochs


@pytest.mark.parametrize(
    ("images", "views"), [(1, 24), (160, 24), (200, 20), (400, 10), (667, 6), (100_000, 6)]
)
def test_small_sets_have_more_views(images, views):
    """About 4,000 views in all, 6 to 24 of each image."""
    assert views_for(images) == views


def test_the_rate_rises_and_then_falls_as_a_cosine():
    """It starts low, reaches its peak after a tenth of the steps, and ends near 0."""
    recipe = DetectionRecipe(learning_rate=0.01)
    rates = [recipe.rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(0.01)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.005)
    assert 0 < rates[-1] < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_a_short_training_has_a_rate_too(steps):
    """Every step learns, the first one included."""
    rates = [DetectionRecipe().rate(step, steps) for step in range(steps)]
    assert all(0 < rate <= DetectionRecipe().learning_rate for rate in rates)


def test_norms_and_biases_do_not_decay():
    """Only weights of more than one axis do, and each parameter is trained once."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    decaying, others = optimiser_of(network, DetectionRecipe()).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
    assert all(parameter.ndim == 4 for parameter in decaying["params"])
    assert len(decaying["params"]) + len(others["params"]) == len(list(network.parameters())) == 6
    assert isinstance(optimiser_of(network, DetectionRecipe()), torch.optim.AdamW)


def test_what_the_user_gives_counts():
    """The rest follows from the number of images."""
    assert recipe_of(TrainOptions.of(), 160, 1) == DetectionRecipe(epochs=50, views=24)
    assert recipe_of(TrainOptions.of(), 400, 2) == DetectionRecipe(epochs=50, views=10)
    given = {"epochs": 3, "views": 2, "batch_size": 4, "learning_rate": 0.1, "seed": 7}
    expected = DetectionRecipe(3, batch_size=4, learning_rate=0.1, views=2, seed=7)
    assert recipe_of(TrainOptions.of(**given), 160, 1) == expected


@pytest.mark.parametrize(("images", "batch_size"), [(1, 2), (2, 2), (5, 5), (16, 16), (500, 16)])
def test_a_batch_is_at_most_all_images(images, batch_size):
    """But its norms need two."""
    assert recipe_of(TrainOptions.of(), images, 1).batch_size == batch_size
