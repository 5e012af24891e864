"""Everything that changes during a training, and how it is put into a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from timm.utils import ModelEmaV3

from headstart.record import Epoch
from headstart.tuning.training.checkpoint import Checkpoint, packed_optimiser, unpack_optimiser
from headstart.tuning.training.network import HeadedNetwork
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.step import Stepper


@dataclass
class Position:
    """Where a training is: what a checkpoint holds besides tensors."""

    step: int = 0
    loss_sum: float = 0.0
    waited: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


class TrainingState:
    """A network in training.

    Attributes:
        network: It.
        optimiser: Over what learns.
        stepper: Takes the steps.
        average: The moving average of its weights, which is measured and kept.
        best: The best of those averages so far; the first weights before any.
        at: Where the training is.
    """

    def __init__(
        self,
        network: HeadedNetwork,
        optimiser: torch.optim.Optimizer,
        stepper: Stepper,
        recipe: Recipe,
    ) -> None:
        self.network, self.optimiser, self.stepper = network, optimiser, stepper
        self.average = ModelEmaV3(
            network, decay=recipe.average, use_warmup=recipe.average > 0, warmup_power=0.9
        )
        self.best = network.copy_trained()
        self.at = Position()

    @property
    def learning_rate(self) -> float:
        """The highest at the moment."""
        return max(float(group["lr"]) for group in self.optimiser.param_groups)

    def keep(self, epoch: int) -> None:
        """Take the average as it is now for the best, unless it is not finite."""
        state = self.average.module.state_dict()
        best = {name: state[name].clone() for name in self.best}
        if all(bool(one.isfinite().all()) for one in best.values()):
            self.best, self.at.best_epoch = best, epoch

    def packed(self, identity: Mapping[str, object]) -> Checkpoint:
        """Return a checkpoint."""
        own, average = self.network.trained(), self.average.module.state_dict()
        tensors = {f"own.{name}": one.detach() for name, one in own.items()}
        tensors |= {f"average.{name}": average[name] for name in own}
        tensors |= {f"best.{name}": one for name, one in self.best.items()}
        tensors |= packed_optimiser(self.optimiser)
        tensors = {name: one.contiguous().clone() for name, one in tensors.items()}
        more = {"micro_batch": self.stepper.micro_batch, "identity": dict(identity)}
        return Checkpoint(tensors, asdict(self.at) | more)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Undo `packed`."""
        tensors, state = checkpoint.tensors, checkpoint.state
        own = self.network.trained()
        self.network.load_trained({name: tensors[f"own.{name}"] for name in own})
        average = {name: tensors[f"average.{name}"] for name in own}
        self.average.module.load_state_dict(average, strict=False)
        self.best = {name: tensors[f"best.{name}"].clone() for name in own}
        unpack_optimiser(self.optimiser, tensors)
        self.stepper.micro_batch = state["micro_batch"]
        names = ("step", "loss_sum", "waited", "best_loss", "best_epoch")
        history = [Epoch(**one) for one in state["history"]]
        self.at = Position(**{name: state[name] for name in names}, history=history)
