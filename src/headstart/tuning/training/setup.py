"""What a training starts from: plain values, which may be sent to other processes."""

from dataclasses import dataclass

from torch import nn

from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.network import TrainedNetwork
from headstart.tuning.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Setup:
    """What a training starts from.

    Attributes:
        network: The network to train.
        backbone: The complete backbone, of which `network` has a part; it names the layers.
        examples: Training and held-out images.
        recipe: Hyperparameters.
        setting: How training steps are computed.
        checkpoints: Where checkpoints are saved, or None.
    """

    network: TrainedNetwork
    backbone: nn.Module
    examples: Examples
    recipe: Recipe
    setting: Setting
    checkpoints: Checkpoints | None = None
