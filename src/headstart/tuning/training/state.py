"""Everything that changes during a training, and its conversion to a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from timm.utils import ModelEmaV3

from headstart.record import Epoch
from headstart.tuning.training.checkpoint import Checkpoint, packed_optimiser, unpack_optimiser
from headstart.tuning.training.network import TrainedNetwork
from headstart.tuning.training.recipe import Recipe
from headstart.tuning.training.step import Stepper


@dataclass
class Position:
    """The position in a training: everything in a checkpoint except tensors."""

    step: int = 0
    loss_sum: float = 0.0
    waited: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


class TrainingState:
    """A network in training.

    Attributes:
        network: The network.
        optimiser: Optimiser of the trainable parameters.
        stepper: Takes the steps.
        average: The moving average of the weights, which is evaluated and kept.
        best: The best average so far; initially the first weights.
        position: The position in the training.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        optimiser: torch.optim.Optimizer,
        stepper: Stepper,
        recipe: Recipe,
    ) -> None:
        self.network, self.optimiser, self.stepper = network, optimiser, stepper
        self.average = ModelEmaV3(
            network, decay=recipe.average, use_warmup=recipe.average > 0, warmup_power=0.9
        )
        self.best = network.copy_trained_state()
        self.position = Position()

    @property
    def learning_rate(self) -> float:
        """The current learning rate, the highest of all layers."""
        return max(float(group["lr"]) for group in self.optimiser.param_groups)

    def keep(self, epoch: int) -> None:
        """Keep the current average as the best, if it is finite."""
        state = self.average.module.state_dict()
        best = {name: state[name].clone() for name in self.best}
        if all(bool(tensor.isfinite().all()) for tensor in best.values()):
            self.best, self.position.best_epoch = best, epoch

    def packed(self, identity: Mapping[str, object]) -> Checkpoint:
        """Return the state as a checkpoint."""
        own, average = self.network.trained_state(), self.average.module.state_dict()
        tensors = {f"own.{name}": tensor.detach() for name, tensor in own.items()}
        tensors |= {f"average.{name}": average[name] for name in own}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= packed_optimiser(self.optimiser)
        tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        more = {"micro_batch": self.stepper.micro_batch, "identity": dict(identity)}
        return Checkpoint(tensors, asdict(self.position) | more)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state from a checkpoint that `packed` returned."""
        tensors, state = checkpoint.tensors, checkpoint.state
        own = self.network.trained_state()
        self.network.load_trained_state({name: tensors[f"own.{name}"] for name in own})
        average = {name: tensors[f"average.{name}"] for name in own}
        self.average.module.load_state_dict(average, strict=False)
        self.best = {name: tensors[f"best.{name}"].clone() for name in own}
        unpack_optimiser(self.optimiser, tensors)
        self.stepper.micro_batch = state["micro_batch"]
        names = ("step", "loss_sum", "waited", "best_loss", "best_epoch")
        history = [Epoch(**values) for values in state["history"]]
        self.position = Position(**{name: state[name] for name in names}, history=history)
