"""The tutorial's recipe, to compare with: its options, its head, and how it trains the layers."""

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
    "tune": "layers:10",
    "epochs": 5,
    "learning_rate": 1e-4,
    "augment": "none",
    "mixup": 0.0,
    "batch_size": 32,
    "views": 1,
    "balanced": False,
}
"""Of its second part; the first part, a head on frozen features, is `TutorialHead`."""

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
"""Plain Adam at one learning rate; every epoch is run and the last one kept."""

_Some = TypeVar("_Some", bound=TuneOptions)


def with_recipe(options: _Some) -> _Some:
    """Return the options with what the recipe decides filled in.

    Raises:
        OptionError: An option was given another value than the recipe's.
    """
    if options.recipe != "tutorial":
        return options
    _require_no_contradiction(options.given())
    known = type(options).model_fields
    return options.model_copy(update={name: one for name, one in OPTIONS.items() if name in known})


def _require_no_contradiction(given: Mapping[str, object]) -> None:
    for name, value in OPTIONS.items():
        if given.get(name, value) == value:
            continue
        has = "a head of its own" if name == "head" else f"{name} {value}"
        raise OptionError(
            f"The tutorial's recipe has {has}. Got {name} {given[name]}. "
            "Leave that option out, or the recipe."
        )


@dataclass(frozen=True)
class TutorialHead:
    """The tutorial's head, trained as the tutorial trains it: to compare, not to use.

    Attributes:
        hidden: Units of the hidden layer.
        dropout: Share of hidden units left out of each step.
        epochs: All of them are run.
        learning_rate: Of Adam.
    """

    kind: ClassVar[str] = "tutorial"

    hidden: int = 256
    dropout: float = 0.5
    epochs: int = 10
    learning_rate: float = 1e-3

    def fit(self, problem: Problem, *, seed: int = 0) -> HeadFit:
        """Fit on features as they are and on every image, and keep the last epoch.

        First weights are Keras's: Glorot's uniform ones and biases of 0. See also `Head.fit`.
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
