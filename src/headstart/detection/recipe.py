"""Hyperparameters of the training of a detector's head, and its optimiser."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

# Small sets need more epochs: an epoch of 160 images has only ten steps. One class is learnt sooner
# than several; see docs/decisions/detection.md.
_IMAGES_IN_ALL, _IN_ALL_OF_ONE_CLASS = 20_000, 8000
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 80
# They also need more views: a head that sees an image in the same views too often learns them.
_VIEWS_IN_ALL, _FEWEST_VIEWS, _MOST_VIEWS = 4000, 6, 24

_MOST_TUNING_EPOCHS = 10

BACKBONE = "above."
"""The beginning of the names of parameters of the backbone in a network that is trained."""


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
        backbone_rate: Factor on the learning rate for the stages of the backbone that are trained.
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
    backbone_rate: float = 0.2
    seed: int = 0

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, from 0, of a training of so many steps."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        progress = (step - rising) / max(1, steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def epochs_for(images: int, classes: int) -> int:
    """Return the number of epochs for so many training images of so many classes."""
    in_all = _IMAGES_IN_ALL if classes > 1 else _IN_ALL_OF_ONE_CLASS
    return min(max(_FEWEST_EPOCHS, math.ceil(in_all / images)), _MOST_EPOCHS)


def views_for(images: int) -> int:
    """Return the number of views of each of so many training images."""
    return min(max(_FEWEST_VIEWS, math.ceil(_VIEWS_IN_ALL / images)), _MOST_VIEWS)


def tuning_recipe(recipe: DetectionRecipe) -> DetectionRecipe:
    """Return the recipe for the last stages with a head that has been trained by a recipe."""
    epochs = min(recipe.epochs, _MOST_TUNING_EPOCHS)
    return replace(recipe, epochs=epochs, learning_rate=recipe.learning_rate / 2)


def optimiser_of(network: nn.Module, recipe: DetectionRecipe) -> torch.optim.Optimizer:
    """Create AdamW for what is trainable, without weight decay of norms and biases.

    The groups of the backbone's layers have a factor on the learning rate, "scale".
    """
    trainable = [item for item in network.named_parameters() if item[1].requires_grad]
    groups: list[dict[str, Any]] = []
    for in_backbone in (False, True):
        own = [value for name, value in trainable if name.startswith(BACKBONE) == in_backbone]
        scale = recipe.backbone_rate if in_backbone else 1.0
        for is_weight, decay in ((True, recipe.weight_decay), (False, 0.0)):
            params = [value for value in own if (value.ndim > 1) == is_weight]
            if params:
                groups.append({"params": params, "weight_decay": decay, "scale": scale})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
