"""Hyperparameters of fine-tuning, and the optimiser and schedule that follow from them."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.optim import param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import nn

from headstart.tuning.training.network import TrainedNetwork

# Adam's first steps are as long as its learning rate, whatever the gradient, which would spoil a
# fitted head. A share of the steps alone would leave a training of five steps without warm-up.
_MIN_WARM_UP = 10
# Low enough for few images, and usual for transformers. On small networks of other families, no
# higher rate was reliably better: docs/decisions/learning-rates.md.
_DEFAULT_RATE = 2e-4
# Measured for EfficientNet-Lite: the rate per image, and its maximum.
_LITE, _RATE_OF_AN_IMAGE, _HIGHEST_RATE = "tf_efficientnet_lite", 5e-7, 2e-3


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of fine-tuning.

    Attributes:
        epochs: Maximum number of epochs.
        learning_rate: The peak rate, of the layers nearest to the head.
        head_rate: Factor on the learning rate for the head, which is already fitted.
        batch_size: Images per step.
        weight_decay: Weight decay, which is not applied to norms and biases.
        layer_decay: Factor on the learning rate from each group of layers to the next lower one.
        label_smoothing: Share of the target that is spread over all classes.
        clip: Maximum gradient norm; 0 for no clipping.
        warm_up: Share of the steps for warm-up; a larger share if there are few steps.
        cosine: Whether the learning rate follows a cosine schedule or is constant.
        statistics: Whether trainable batch norms update their statistics. Small batches shift
            them away from those that the head was fitted with, so they are fixed by default.
        average: Decay of the moving average of weights, which is evaluated and kept; 0 for none.
        mixup: Parameter of the beta distribution of mixup; 0 for none. If the inputs are feature
            maps, this is manifold mixup (Verma et al., 2019).
        patience: Early stopping after this many epochs without a lower held-out loss.
        choose: Whether the best epoch on held-out images is kept instead of the last.
        dropout: Dropout rate of the hidden layer, if the head has one.
        seed: Random seed of the order of images, mixup and dropout.
    """

    epochs: int = 10
    learning_rate: float = _DEFAULT_RATE
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
    """Return the default learning rate for a network.

    Args:
        architecture: timm's name.
        images: Number of training images; few images need a low rate.
    """
    if not architecture.startswith(_LITE):
        return _DEFAULT_RATE
    return min(max(_DEFAULT_RATE, _RATE_OF_AN_IMAGE * images), _HIGHEST_RATE)


def optimiser_of(
    network: TrainedNetwork, backbone: nn.Module, recipe: Recipe
) -> torch.optim.Optimizer:
    """Create AdamW for the trainable parameters, with timm's layer-wise learning rate decay.

    Without weight decay this is Adam.
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
    if not recipe.cosine:  # Otherwise the schedule applies them at every step.
        for group in groups:
            group["lr"] = recipe.learning_rate * group["lr_scale"]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def schedule_of(
    optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> CosineLRScheduler | None:
    """Create the learning rate schedule over all steps; return None if it is constant."""
    if not recipe.cosine:
        return None
    warm_up = max(round(recipe.warm_up * steps), min(_MIN_WARM_UP, steps // 2))
    return CosineLRScheduler(
        optimiser,
        t_initial=steps,
        warmup_t=warm_up if recipe.warm_up else 0,
        warmup_lr_init=recipe.learning_rate * 0.01,
        t_in_epochs=False,
    )
