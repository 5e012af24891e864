"""The training loop: epochs over rows, with everything that can be resumed at any step."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from timm.optim import param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from headstart.errors import OutputError, TuningError
from headstart.heads.fitted import LinearModel
from headstart.tuning.checkpoint import (
    Checkpoint,
    packed_optimiser,
    read_checkpoint,
    unpack_optimiser,
    write_checkpoint,
)

Indices = np.ndarray[Any, np.dtype[np.int64]]
Warn = Callable[[str], None]


class RowSource(Protocol):
    """Gives what the trainable part reads."""

    def rows(self, images: Indices, view: int) -> Tensor:
        """Give rows of one view of some images."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: At most.
        learning_rate: The highest, of the layers nearest to the head.
        batch_size: Images of one step.
        weight_decay: Not on norms and biases.
        layer_decay: Factor on the learning rate from each group of layers to the one below.
        label_smoothing: Share of the truth that is spread over all classes.
        clip: Longest gradient.
        warm_up: Share of the steps in which the learning rate rises.
        average: Decay of the moving average of weights that is kept; 0 for none.
        mixup: Parameter of the beta distribution that rows are mixed by; 0 for none
            (at a boundary above the images: manifold mixup, Verma et al., 2019).
        patience: Epochs without a lower validation loss after which training stops.
        from_start: Whether the weights as they were at the start may win.
        seed: Of order, mixing and dropout.
    """

    epochs: int = 10
    learning_rate: float = 2e-4
    batch_size: int = 32
    weight_decay: float = 0.02
    layer_decay: float = 0.8
    label_smoothing: float = 0.05
    clip: float = 1.0
    warm_up: float = 0.1
    average: float = 0.98
    mixup: float = 0.0
    patience: int = 4
    from_start: bool = True
    seed: int = 0


@dataclass
class Epoch:
    """What one epoch did."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


@dataclass
class Trained:
    """What the loop gives back.

    Attributes:
        val_logits: Of the validation part, by the weights with the lowest loss on it.
        history: One for each epoch.
        stopped: Why it ended before its epochs were over, if it did.
    """

    val_logits: Tensor
    history: list[Epoch] = field(default_factory=list)
    stopped: str | None = None


class HeadedNetwork(nn.Module):
    """The trainable part of the backbone with a linear head on its features."""

    mean: Tensor
    scale: Tensor

    def __init__(self, above: nn.Module, head: LinearModel, columns: slice) -> None:
        super().__init__()
        self.above = above
        self.weight = nn.Parameter(torch.from_numpy(head.weight.copy()))
        self.bias = nn.Parameter(torch.from_numpy(head.bias.copy()))
        self.register_buffer("mean", torch.from_numpy(head.mean.copy()))
        self.register_buffer("scale", torch.from_numpy(head.scale.copy()))
        self._columns = columns

    def forward(self, rows: Tensor) -> Tensor:
        """Give scores, shape (images, classes)."""
        features: Tensor = self.above(rows)[:, self._columns].float()
        logits: Tensor = ((features - self.mean) / self.scale) @ self.weight + self.bias
        return logits

    def head(self) -> LinearModel:
        """Give the head as it is now."""
        values = (self.mean, self.scale, self.weight, self.bias)
        return LinearModel(*(value.detach().numpy().copy() for value in values))

    def learnt(self) -> dict[str, Tensor]:
        """Give what training changes: parameters that learn, and statistics beside them."""
        state: dict[str, Tensor] = {
            name: one for name, one in self.named_parameters() if one.requires_grad
        }
        for name, module in self.above.named_modules(prefix="above"):
            if any(one.requires_grad for one in module.parameters(recurse=False)):
                for inner, value in module.named_buffers(recurse=False):
                    state[f"{name}.{inner}"] = value
        return state

    @torch.no_grad()
    def put(self, weights: dict[str, Tensor]) -> None:
        """Take the values that `learnt` gave before."""
        for name, one in self.learnt().items():
            one.copy_(weights[name])


def parameter_groups(
    network: HeadedNetwork, backbone: nn.Module, recipe: Recipe
) -> list[dict[str, Any]]:
    """Give the parameters that learn, with timm's layer-wise decay of the learning rate."""
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        backbone, weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay
    )
    top = max((group["lr_scale"] for group in groups), default=1.0)
    for group in groups:
        group["lr_scale"] /= top
        group.pop("param_names", None)
    head = {"params": [network.weight, network.bias], "weight_decay": 0.0, "lr_scale": 1.0}
    return [*(group for group in groups if group["params"]), head]


class Loop:
    """Trains a network on rows and keeps its best weights."""

    def __init__(
        self,
        network: HeadedNetwork,
        backbone: nn.Module,
        source: RowSource,
        labels: Indices,
        train: Indices,
        val: Indices,
        recipe: Recipe,
        *,
        views: int,
        folder: Path | None = None,
        identity: dict[str, Any] | None = None,
        bf16: bool = False,
        deadline: float | None = None,
        save_every: int = 200,
        warn: Warn | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.network, self.source, self.recipe = network, source, recipe
        self._labels = torch.from_numpy(labels)
        self._train, self._val = train, val
        self._views, self._folder, self._identity = views, folder, identity or {}
        self._bf16, self._deadline, self._save_every = bf16, deadline, save_every
        self._warn, self._progress = warn or (lambda text: None), progress
        self._steps = max(1, math.ceil(len(train) / recipe.batch_size))
        groups = parameter_groups(network, backbone, recipe)
        for group in groups:
            group["lr"] = recipe.learning_rate * group["lr_scale"]
        self._optimiser = torch.optim.AdamW(groups)
        total = self._steps * recipe.epochs
        self._scheduler = CosineLRScheduler(
            self._optimiser,
            t_initial=total,
            warmup_t=round(recipe.warm_up * total),
            warmup_lr_init=recipe.learning_rate * 0.01,
            t_in_epochs=False,
        )
        self._average = {name: one.detach().clone() for name, one in network.learnt().items()}
        self._best: dict[str, Tensor] = {name: one.clone() for name, one in self._average.items()}
        self._best_loss = math.inf
        self._history: list[Epoch] = []
        self._step, self._loss_sum, self._waited = 0, 0.0, 0

    def run(self, *, resume: bool = False) -> Trained:
        """Train to the end, to the deadline, or until validation no longer improves."""
        with torch.random.fork_rng(devices=[]):  # Leaves the caller's random numbers alone.
            return self._run(resume)

    def _run(self, resume: bool) -> Trained:
        if resume:
            self._resume()
        stopped = None
        if self._best_loss == math.inf and self.recipe.from_start:
            self._best_loss = self._validate(self._average)[0]
        total = self._steps * self.recipe.epochs
        epoch_start = time.perf_counter()
        while self._step < total and stopped is None:
            epoch, place = divmod(self._step, self._steps)
            for batch in self._batches(epoch, place):
                stopped = self._learn(batch, epoch)
                if stopped or self._step % self._steps == 0:
                    break
                if self._step % self._save_every == 0:
                    self._save()
                if self._deadline and time.perf_counter() > self._deadline:
                    stopped = "the time was up"
                    break
            if self._progress:
                self._progress(self._step, total)
            if self._step % self._steps == 0 and not (stopped or "").startswith("the loss"):
                stopped = self._end_epoch(epoch, time.perf_counter() - epoch_start) or stopped
                epoch_start = time.perf_counter()
                self._save()
        _, logits = self._validate(self._best)
        self.network.put(self._best)
        return Trained(logits, self._history, stopped)

    def _batches(self, epoch: int, place: int) -> Iterator[Indices]:
        """Give the batches of an epoch from some place on; the order depends on its number."""
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(self._train)
        size = self.recipe.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        if len(batches) > 1 and len(batches[-1]) == 1:  # Batch norm needs two.
            batches[-2:] = [np.concatenate(batches[-2:])]
            batches.append(order[:2])
        yield from batches[place:]

    def _learn(self, batch: Indices, epoch: int) -> str | None:
        """Take one step; give the reason if training cannot go on."""
        self._scheduler.step_update(self._step)
        rows, labels = self.source.rows(batch, epoch % self._views), self._labels[batch]
        self.network.train()
        torch.manual_seed(self.recipe.seed * 1_000_003 + self._step)
        targets = nn.functional.one_hot(labels, self.network.bias.shape[0]).float()
        if self.recipe.mixup > 0:
            mixing = self.recipe.mixup
            share = float(np.random.default_rng(self._step).beta(mixing, mixing))
            rows = share * rows + (1 - share) * rows.flip(0)
            targets = share * targets + (1 - share) * targets.flip(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            logits = self.network(rows)
        loss = nn.functional.cross_entropy(
            logits.float(), targets, label_smoothing=self.recipe.label_smoothing
        )
        if not math.isfinite(loss.item()):
            return f"the loss was {loss.item()} in epoch {epoch + 1}"
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        learning = [one for one in self.network.parameters() if one.requires_grad]
        nn.utils.clip_grad_norm_(learning, self.recipe.clip)
        self._optimiser.step()
        self._step += 1
        self._loss_sum += loss.item()
        self._follow()
        return None

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the weights, faster at first (Polyak and Juditsky, 1992)."""
        decay = min(self.recipe.average, (1 + self._step) / (10 + self._step))
        for name, one in self.network.learnt().items():
            if one.is_floating_point():
                self._average[name].lerp_(one.detach(), 1 - decay)
            else:
                self._average[name].copy_(one)

    def _end_epoch(self, epoch: int, seconds: float) -> str | None:
        loss, logits = self._validate(self._average)
        labels = self._labels[self._val]
        accuracy = float((logits.argmax(1) == labels).float().mean())
        rate = max(group["lr"] for group in self._optimiser.param_groups)
        mean = self._loss_sum / self._steps
        self._history.append(Epoch(epoch + 1, mean, loss, accuracy, rate, seconds))
        self._loss_sum = 0.0
        if loss < self._best_loss:
            self._best_loss, self._waited = loss, 0
            self._best = {name: one.clone() for name, one in self._average.items()}
        else:
            self._waited += 1
        if self._waited >= self.recipe.patience:
            return f"validation did not improve for {self._waited} epochs"
        return None

    @torch.no_grad()
    def _validate(self, weights: dict[str, Tensor]) -> tuple[float, Tensor]:
        """Give loss and scores of the validation part by some weights."""
        own = {name: one.detach().clone() for name, one in self.network.learnt().items()}
        self.network.put(weights)
        self.network.eval()
        parts = []
        for start in range(0, len(self._val), 64):
            rows = self.source.rows(self._val[start : start + 64], 0)
            with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
                parts.append(self.network(rows).float())
        self.network.put(own)
        logits = torch.cat(parts)
        return float(nn.functional.cross_entropy(logits, self._labels[self._val])), logits

    def _save(self) -> None:
        """Write a checkpoint; a full disk is said, and training goes on."""
        if self._folder is None:
            return
        tensors = {f"own.{name}": one.detach() for name, one in self.network.learnt().items()}
        tensors |= {f"average.{name}": one for name, one in self._average.items()}
        tensors |= {f"best.{name}": one for name, one in self._best.items()}
        tensors |= packed_optimiser(self._optimiser)
        tensors = {name: one.contiguous().clone() for name, one in tensors.items()}
        state = {
            "identity": self._identity,
            "step": self._step,
            "loss_sum": self._loss_sum,
            "waited": self._waited,
            "best_loss": self._best_loss,
            "history": [asdict(one) for one in self._history],
        }
        try:
            write_checkpoint(self._folder, Checkpoint(tensors, state))
        except OutputError as error:
            self._warn(f"{error} Training goes on.")

    def _resume(self) -> None:
        """Go on where the newest whole checkpoint was.

        Raises:
            TuningError: It is of another training; what differs is listed.
        """
        if self._folder is None:
            return
        found, problem = read_checkpoint(self._folder)
        if problem:
            self._warn(problem)
        if found is None:
            return
        theirs, ours = found.state["identity"], json.loads(json.dumps(self._identity))
        differing = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
        if differing:
            listed = "; ".join(
                f"{key} was {theirs.get(key)!r}, is {ours.get(key)!r}" for key in differing
            )
            raise TuningError(
                f"'{self._folder}' is a checkpoint of another training: {listed}. "
                "Give the same options, or start anew without --resume."
            )
        tensors = found.tensors
        own = {name: tensors[f"own.{name}"] for name in self.network.learnt()}
        self.network.put(own)
        self._average = {name: tensors[f"average.{name}"].clone() for name in own}
        self._best = {name: tensors[f"best.{name}"].clone() for name in own}
        unpack_optimiser(self._optimiser, tensors)
        state = found.state
        self._step, self._loss_sum = state["step"], state["loss_sum"]
        self._waited, self._best_loss = state["waited"], state["best_loss"]
        self._history = [Epoch(**one) for one in state["history"]]
