"""The tutorial's head, Dense(256, relu), Dropout(0.5), Dense(classes), on stored features."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from headstart.heads.fitted import MLPModel
from headstart.heads.logistic import suitable_threads
from headstart.heads.problem import HeadFit, HeldOut, Problem
from headstart.heads.spaces import standardise

_BATCH = 32
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
    labels = torch.from_numpy(problem.labels)
    weights = problem.shares() * len(labels)
    with torch.random.fork_rng(devices=[]), suitable_threads(_BATCH * inputs.shape[1] * hidden):
        torch.manual_seed(seed)
        network = _network(inputs.shape[1], hidden, dropout, problem.classes)
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
        best_loss, best_state, waited = float("inf"), deepcopy(network.state_dict()), 0
        for _ in range(epochs):
            for rows in _batches(torch.from_numpy(kept)):
                loss = _loss(network.train(), inputs[rows], labels[rows], weights[rows])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            with torch.inference_mode():
                value = float(_loss(network.eval(), inputs[held], labels[held], weights[held]))
            if value < best_loss:
                best_loss, best_state, waited = value, deepcopy(network.state_dict()), 0
            else:
                waited += 1
            if waited == _PATIENCE:
                break
    head = _model(best_state, standard.mean.numpy(), scale.numpy())
    return HeadFit(head, HeldOut(held, head.logits(columns[held])), features)


def fit_as_tutorial(
    problem: Problem,
    features: str,
    *,
    hidden: int,
    dropout: float,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> HeadFit:
    """Train as the tutorial does: features as they are, every image, every epoch, the last kept.

    First weights are Keras's: Glorot's uniform ones and biases of 0. For the arguments see
    `fit_mlp`.
    """
    columns = problem.columns[features]
    inputs = torch.from_numpy(problem.features)[:, columns]
    labels = torch.from_numpy(problem.labels)
    width = inputs.shape[1]
    with torch.random.fork_rng(devices=[]), suitable_threads(_BATCH * width * hidden):
        torch.manual_seed(seed)
        network = _network(width, hidden, dropout, problem.classes)
        for layer in (network[0], network[3]):
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate, eps=1e-7)
        for _ in range(epochs):
            for rows in _batches(torch.arange(len(labels))):
                loss = nn.functional.cross_entropy(network.train()(inputs[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    plain = np.zeros(width, dtype=np.float32), np.ones(width, dtype=np.float32)
    return HeadFit(_model(network.state_dict(), *plain), None, features)


def _network(width: int, hidden: int, dropout: float, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
    )


def _batches(rows: Tensor) -> Iterator[Tensor]:
    yield from torch.split(rows[torch.randperm(len(rows))], _BATCH)


def _loss(network: nn.Module, inputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    losses = nn.functional.cross_entropy(network(inputs), labels, reduction="none")
    return (losses * weights).mean()


def _model(
    state: dict[str, Tensor],
    mean: np.ndarray[tuple[int], np.dtype[np.float32]],
    scale: np.ndarray[tuple[int], np.dtype[np.float32]],
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
