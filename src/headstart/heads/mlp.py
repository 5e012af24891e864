"""The tutorial's head, Dense(256, relu), Dropout(0.5), Dense(classes), on stored features."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.arrays import Floats
from headstart.heads.fitted import MLPModel
from headstart.heads.logistic import limit_threads
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.spaces import standardise
from headstart.task import Task

BATCH_SIZE = 32
"""Images per step."""

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
    """Train with Adam and early stopping on a validation part, and keep the best weights.

    Args:
        problem: Features and targets; the first fold is the validation part.
        features: Name of the columns to use.
        hidden: Units of the hidden layer.
        dropout: Share of hidden units dropped in each step, 0 to below 1.
        epochs: Maximum number of epochs.
        learning_rate: Learning rate of Adam.
        seed: Random seed of the initial weights, the order of images and dropout.
    """
    train, held_out = problem.folds[0]
    columns = problem.features[:, problem.columns[features]]
    standard = standardise(torch.from_numpy(columns[problem.fitted_rows]))
    # Variance 1 per column, as the initial weights of a dense layer assume.
    scale = standard.scale / columns.shape[1] ** 0.5
    inputs = (torch.from_numpy(columns) - standard.mean) / scale
    examples = Examples(
        inputs, problem.truth(), problem.sample_weights() * len(inputs), problem.task
    )
    with torch.random.fork_rng(devices=[]), limit_threads(BATCH_SIZE * inputs.shape[1] * hidden):
        torch.manual_seed(seed)
        network = dense_network(inputs.shape[1], hidden, dropout, problem.classes)
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
        rows = torch.from_numpy(train), torch.from_numpy(held_out)
        best = _train_with_early_stopping(network, optimiser, examples, *rows, epochs)
    head = mlp_model(best, standard.mean.numpy(), scale.numpy())
    return HeadFit(head, HeldOut(held_out, head.logits(columns[held_out])), features)


def dense_network(width: int, hidden: int, dropout: float, classes: int) -> nn.Sequential:
    """Create the head with PyTorch's initial weights."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
    )


@dataclass(frozen=True)
class Examples:
    """Training data of a head.

    Attributes:
        inputs: Shape (images, width).
        truth: Targets, as the task encodes them.
        weights: Sample weight of each image.
        task: The kind of label.
    """

    inputs: Tensor
    truth: Tensor
    weights: Tensor
    task: Task

    def loss(self, network: nn.Module, rows: Tensor) -> Tensor:
        """Return the mean loss of the images of some rows."""
        scores = network(self.inputs[rows])
        return self.task.training_loss(scores, self.truth[rows], weights=self.weights[rows])


def train_epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, examples: Examples, rows: Tensor
) -> None:
    """Train for one epoch, with the images in random order."""
    network.train()
    for batch in torch.split(rows[torch.randperm(len(rows))], BATCH_SIZE):
        optimiser.zero_grad()
        torch.autograd.backward(examples.loss(network, batch))
        optimiser.step()


def _train_with_early_stopping(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    examples: Examples,
    train: Tensor,
    held_out: Tensor,
    epochs: int,
) -> dict[str, Tensor]:
    """Train until the held-out loss no longer improves; return the weights of the best epoch."""
    best_loss, best, stale_epochs = float("inf"), deepcopy(network.state_dict()), 0
    for _ in range(epochs):
        train_epoch(network, optimiser, examples, train)
        with torch.inference_mode():
            loss = float(examples.loss(network.eval(), held_out))
        if loss < best_loss:
            best_loss, best, stale_epochs = loss, deepcopy(network.state_dict()), 0
        else:
            stale_epochs += 1
        if stale_epochs == _PATIENCE:
            break
    return best


def mlp_model(
    state: dict[str, Tensor],
    mean: Floats,
    scale: Floats,
) -> MLPModel:
    """Create an MLP head from a trained network's weights, which torch stores transposed."""
    return MLPModel(
        mean,
        scale,
        state["0.weight"].T.contiguous().numpy(),
        state["0.bias"].numpy(),
        state["3.weight"].T.contiguous().numpy(),
        state["3.bias"].numpy(),
    )
