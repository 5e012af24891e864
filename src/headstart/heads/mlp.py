"""The tutorial's head, Dense(256, relu), Dropout(0.5), Dense(classes), on stored features."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.arrays import Floats
from headstart.heads.fitted import MLPModel
from headstart.heads.logistic import suitable_threads
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.spaces import standardise
from headstart.task import Task

BATCH = 32
"""Images of one step."""

_PATIENCE = 10


def fit_mlp(
    problem: Problem,
    features: str,
    *,
    hidden: int,
    dropout: float,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> HeadFit:
    """Train with Adam, stop when a validation part no longer improves, keep the best weights.

    Args:
        problem: What is to be learnt; the first fold is the validation part.
        features: Name of the columns to read.
        hidden: Units of the hidden layer.
        dropout: Share of hidden units that are left out of each step, 0 to below 1.
        epochs: Most epochs.
        learning_rate: Of Adam.
        seed: Of the first weights, the order of images and dropout.
    """
    kept, held = problem.folds[0]
    columns = problem.features[:, problem.columns[features]]
    standard = standardise(torch.from_numpy(columns))
    # Variance 1 for each column: what a dense layer's first weights are made for.
    scale = standard.scale / columns.shape[1] ** 0.5
    inputs = (torch.from_numpy(columns) - standard.mean) / scale
    examples = Examples(inputs, problem.truth(), problem.shares() * len(inputs), problem.task)
    with torch.random.fork_rng(devices=[]), suitable_threads(BATCH * inputs.shape[1] * hidden):
        torch.manual_seed(seed)
        network = dense_network(inputs.shape[1], hidden, dropout, problem.classes)
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
        best = _trained(
            network, optimiser, examples, torch.from_numpy(kept), torch.from_numpy(held), epochs
        )
    head = model_of(best, standard.mean.numpy(), scale.numpy())
    return HeadFit(head, HeldOut(held, head.logits(columns[held])), features)


def dense_network(width: int, hidden: int, dropout: float, classes: int) -> nn.Sequential:
    """Build the head with PyTorch's first weights."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
    )


@dataclass(frozen=True)
class Examples:
    """What a head learns from.

    Attributes:
        inputs: Shape (images, width).
        truth: As the task encodes it.
        weights: How much each image counts.
        task: The kind of label.
    """

    inputs: Tensor
    truth: Tensor
    weights: Tensor
    task: Task

    def loss(self, network: nn.Module, rows: Tensor) -> Tensor:
        """Return the mean loss of some images."""
        scores = network(self.inputs[rows])
        return self.task.training_loss(scores, self.truth[rows], weights=self.weights[rows])


def train_epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, examples: Examples, rows: Tensor
) -> None:
    """Take an epoch of steps, the images in a new order."""
    network.train()
    for batch in torch.split(rows[torch.randperm(len(rows))], BATCH):
        optimiser.zero_grad()
        torch.autograd.backward(examples.loss(network, batch))
        optimiser.step()


def _trained(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    examples: Examples,
    kept: Tensor,
    held: Tensor,
    epochs: int,
) -> dict[str, Tensor]:
    """Train until images held out no longer improve; return the weights that were best for them."""
    best_loss, best, waited = float("inf"), deepcopy(network.state_dict()), 0
    for _ in range(epochs):
        train_epoch(network, optimiser, examples, kept)
        with torch.inference_mode():
            loss = float(examples.loss(network.eval(), held))
        if loss < best_loss:
            best_loss, best, waited = loss, deepcopy(network.state_dict()), 0
        else:
            waited += 1
        if waited == _PATIENCE:
            break
    return best


def model_of(
    state: dict[str, Tensor],
    mean: Floats,
    scale: Floats,
) -> MLPModel:
    """Copy a trained network's weights; torch keeps them transposed."""
    return MLPModel(
        mean,
        scale,
        state["0.weight"].T.contiguous().numpy(),
        state["0.bias"].numpy(),
        state["3.weight"].T.contiguous().numpy(),
        state["3.bias"].numpy(),
    )
