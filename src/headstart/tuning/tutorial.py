"""The tutorial's recipe, for comparison: its options, its head, and how it trains the layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import nn

from headstart.errors import OptionError
from headstart.heads.logistic import limit_threads
from headstart.heads.mlp import BATCH_SIZE, Examples, dense_network, mlp_model, train_epoch
from headstart.heads.problem import HeadFit, Problem
from headstart.options import TuneOptions
from headstart.tuning.training.recipe import Recipe

OPTIONS = {
    "features": "flatten",
    "head": "auto",
    "orientations": "one",
    "scales": "one",
    "tune": "layers:10",
    "epochs": 5,
    "learning_rate": 1e-4,
    "augment": "none",
    "mixup": 0.0,
    "batch_size": 32,
    "views": 1,
    "balanced": False,
}
"""Options of the tutorial's second part; the first part, a frozen backbone, is `TutorialHead`."""

RECIPE = Recipe(
    head_rate=1.0,
    weight_decay=0.0,
    layer_decay=1.0,
    label_smoothing=0.0,
    clip=0.0,
    warm_up=0.0,
    cosine=False,
    statistics=True,
    average=0.0,
    choose=False,
    dropout=0.5,
)
"""Plain Adam with a constant learning rate; all epochs are run and the last one is kept."""

_Options = TypeVar("_Options", bound=TuneOptions)


def with_recipe(options: _Options) -> _Options:
    """Return the options, with those of the recipe filled in.

    Raises:
        OptionError: An option contradicts the recipe.
    """
    if options.recipe != "tutorial":
        return options
    _check_contradictions(options.given())
    known = type(options).model_fields
    return options.model_copy(
        update={name: value for name, value in OPTIONS.items() if name in known}
    )


def _check_contradictions(given: Mapping[str, object]) -> None:
    for name, value in OPTIONS.items():
        if given.get(name, value) == value:
            continue
        has = "a head of its own" if name == "head" else f"{name} {value}"
        raise OptionError(
            f"The tutorial's recipe has {has}. Got {name} {given[name]}. "
            "Leave out that option, or the recipe."
        )


@dataclass(frozen=True)
class TutorialHead:
    """The tutorial's head, trained as in the tutorial, for comparison only.

    Attributes:
        hidden: Units of the hidden layer.
        dropout: Share of hidden units dropped in each step.
        epochs: Number of epochs, without early stopping.
        learning_rate: Learning rate of Adam.
    """

    kind: ClassVar[str] = "tutorial"

    hidden: int = 256
    dropout: float = 0.5
    epochs: int = 10
    learning_rate: float = 1e-3

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """Fit on unscaled features of all images, and keep the last epoch.

        Initial weights are those of Keras: Glorot uniform, and zero biases. See also `Head.fit`.
        """
        (features,) = problem.columns
        inputs = torch.from_numpy(problem.features)[:, problem.columns[features]]
        images, width = inputs.shape
        examples = Examples(inputs, problem.truth(), torch.ones(images), problem.task)
        with torch.random.fork_rng(devices=[]), limit_threads(BATCH_SIZE * width * self.hidden):
            torch.manual_seed(seed)
            network = dense_network(width, self.hidden, self.dropout, problem.classes)
            for layer in network:
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)
            optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate, eps=1e-7)
            for _ in range(self.epochs):
                train_epoch(network, optimiser, examples, torch.arange(images))
        mean, scale = np.zeros(width, dtype=np.float32), np.ones(width, dtype=np.float32)
        return HeadFit(mlp_model(network.state_dict(), mean, scale), None, features)
