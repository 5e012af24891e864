"""How to train: the numbers, the optimiser and the schedule that follow from them."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.optim import param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import nn

from headstart.tuning.training.network import HeadedNetwork

# Adam's first steps are as long as its learning rate, whatever the gradient. The head fits the
# features as they are, and a training of five steps would have none to rise in.
_FEWEST_WARM = 10
# Low enough for few images; for transformers it is usual.
_RATE = 2e-4
# Of EfficientNet-Lite, where that was measured: for each image, and at most.
_LITE, _RATE_OF_AN_IMAGE, _HIGHEST_RATE = "tf_efficientnet_lite", 5e-7, 2e-3


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: At most.
        learning_rate: The highest, of the layers nearest to the head.
        head_rate: Factor on that for the head: it was fitted before, and the layers were not.
        batch_size: Images of one step.
        weight_decay: Not on norms and biases.
        layer_decay: Factor on the learning rate from each group of layers to the one below.
        label_smoothing: Share of the truth that is spread over all classes.
        clip: Longest gradient; 0 for any.
        warm_up: Share of the steps in which the learning rate rises; more where steps are few.
        cosine: Whether it falls afterwards, as half a cosine, or stays.
        statistics: Whether norms that learn gather statistics of their batches. Small batches
            shift them away from those that the head was fitted with, so they are fixed by default.
        average: Decay of the moving average of weights that is measured and kept; 0 for none.
        mixup: Parameter of the beta distribution that rows are mixed by; 0 for none
            (at a boundary above the images: manifold mixup, Verma et al., 2019).
        patience: Epochs without a lower validation loss after which training stops.
        choose: Whether the best epoch on held-out images is kept, or always the last.
        dropout: Of the hidden layer, where the head has one.
        seed: Of order, mixing and dropout.
    """

    epochs: int = 10
    learning_rate: float = _RATE
    head_rate: float = 0.3
    batch_size: int = 32
    weight_decay: float = 0.02
    layer_decay: float = 0.65
    label_smoothing: float = 0.05
    clip: float = 1.0
    warm_up: float = 0.1
    cosine: bool = True
    statistics: bool = False
    average: float = 0.98
    mixup: float = 0.0
    patience: int = 4
    choose: bool = True
    dropout: float = 0.0
    seed: int = 0


def learning_rate_of(architecture: str, images: int) -> float:
    """Return the learning rate for a network where the user names none.

    Args:
        architecture: timm's name.
        images: How many are trained on: with few there are few steps, and large ones lead astray.
    """
    if not architecture.startswith(_LITE):
        return _RATE
    return min(max(_RATE, _RATE_OF_AN_IMAGE * images), _HIGHEST_RATE)


def optimiser_of(
    network: HeadedNetwork, backbone: nn.Module, recipe: Recipe
) -> torch.optim.Optimizer:
    """Build AdamW over what learns, with timm's layer-wise decay of the learning rate.

    Without weight decay it is Adam.
    """
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        backbone, weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay
    )
    top = max((group["lr_scale"] for group in groups), default=1.0)
    for group in groups:
        group["lr_scale"] /= top
    top_weights = list(network.top.parameters())
    head = {"params": top_weights, "weight_decay": 0.0, "lr_scale": recipe.head_rate}
    groups = [*(group for group in groups if group["params"]), head]
    if not recipe.cosine:  # Else the schedule applies them, at every step.
        for group in groups:
            group["lr"] = recipe.learning_rate * group["lr_scale"]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def schedule_of(
    optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> CosineLRScheduler | None:
    """Build the schedule of the learning rate over all steps; None where it is constant."""
    if not recipe.cosine:
        return None
    rising = max(round(recipe.warm_up * steps), min(_FEWEST_WARM, steps // 2))
    return CosineLRScheduler(
        optimiser,
        t_initial=steps,
        warmup_t=rising if recipe.warm_up else 0,
        warmup_lr_init=recipe.learning_rate * 0.01,
        t_in_epochs=False,
    )
