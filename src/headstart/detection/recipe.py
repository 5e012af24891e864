"""Hyperparameters of the training of a detector's head, and its optimiser."""

import math
from dataclasses import dataclass

import torch
from torch import nn

# Small sets need more epochs: an epoch of 160 images has only ten steps.
_IMAGES_IN_ALL, _FEWEST_EPOCHS, _MOST_EPOCHS = 8000, 10, 80
# They also need more views: a head that sees an image in the same views too often learns them.
_VIEWS_IN_ALL, _FEWEST_VIEWS, _MOST_VIEWS = 4000, 6, 24


@dataclass(frozen=True)
class DetectionRecipe:
    """Hyperparameters.

    Attributes:
        epochs: Number of epochs; each shows one view of every image.
        batch_size: Images per step.
        learning_rate: The peak rate.
        weight_decay: Weight decay, which is not applied to norms and biases.
        warm_up: Share of the steps in which the rate rises; after that, it falls as a cosine.
        clip: Maximum norm of the gradient.
        average: Decay of the moving average of weights, which is evaluated and kept.
        views: Number of views per image in the store.
        channels: Channels of the pyramid.
        seed: Random seed.
    """

    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    clip: float = 10.0
    average: float = 0.998
    views: int = 10
    channels: int = 64
    seed: int = 0

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, from 0, of a training of so many steps."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        progress = (step - rising) / max(1, steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def epochs_for(images: int) -> int:
    """Return the number of epochs for so many training images."""
    return min(max(_FEWEST_EPOCHS, math.ceil(_IMAGES_IN_ALL / images)), _MOST_EPOCHS)


def views_for(images: int) -> int:
    """Return the number of views of each of so many training images."""
    return min(max(_FEWEST_VIEWS, math.ceil(_VIEWS_IN_ALL / images)), _MOST_VIEWS)


def optimiser_of(network: nn.Module, recipe: DetectionRecipe) -> torch.optim.Optimizer:
    """Create AdamW, without weight decay of norms and biases."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
