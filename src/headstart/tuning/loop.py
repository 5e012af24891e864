"""The training loop: epochs over rows, with everything that can be resumed at any step."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from headstart.errors import OutputError
from headstart.evaluation.comparison import rival
from headstart.features.extraction import in_order
from headstart.task import Task
from headstart.tuning.checkpoint import (
    Checkpoint,
    packed_optimiser,
    read_checkpoint,
    require_same,
    unpack_optimiser,
    write_checkpoint,
)
from headstart.tuning.events import EpochEvent, Listener, StepEvent
from headstart.tuning.interruption import noticed
from headstart.tuning.listeners import Listeners, listeners
from headstart.tuning.network import HeadedNetwork
from headstart.tuning.recipe import Recipe, optimiser_of, schedule_of
from headstart.tuning.setting import Setting, moved
from headstart.tuning.sources import RowSource, judged
from headstart.tuning.views import Indices

Warn = Callable[[str], None]
Weights = dict[str, Tensor]

_AHEAD = 2
SAVE_EVERY = 200
# Of a step's time, where nothing was judged yet.
_FORWARD = 0.35
# Times the loss of guessing. Training starts from a fitted head, which is below it.
_DIVERGED = 3
INTERRUPTED = "it was interrupted"
TIME_WAS_UP = "the time was up"


@dataclass(frozen=True)
class Lesson:
    """What is learnt from and what is judged by.

    Attributes:
        labels: Class numbers of all images.
        learn: Numbers of the images to learn from.
        judge: Numbers of the images held out; none if nothing is to be chosen.
        task: The kind of label.
        names: How the user calls each image.
        epochs: After how many to stop, if that was found before; the schedule stays the recipe's.
    """

    labels: Indices
    learn: Indices
    judge: Indices
    task: Task
    names: Sequence[str] = ()
    epochs: int | None = None


@dataclass
class Trained:
    """What the loop gives back; the network holds the weights.

    Attributes:
        best_epoch: Whose weights were kept, counted from 1; 0 for the weights of the start.
        history: One for each epoch.
        stopped: Why it ended before its epochs were over, if it did.
        computing: Share of the time in which nobody waited for rows, 0 to 1.
    """

    best_epoch: int
    history: list[EpochEvent] = field(default_factory=list)
    stopped: str | None = None
    computing: float = 1.0


@dataclass
class _Progress:
    """Where a training is: what a checkpoint holds besides tensors."""

    step: int = 0
    loss_sum: float = 0.0
    waited: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    micro_batch: int = 1024
    history: list[EpochEvent] = field(default_factory=list)


class Loop:
    """Trains a network on rows and keeps its best weights."""

    def __init__(
        self,
        network: HeadedNetwork,
        backbone: nn.Module,
        source: RowSource,
        lesson: Lesson,
        recipe: Recipe,
        setting: Setting,
        *,
        views: int,
        judged_views: int = 1,
        read_after: int = 1,
        folder: Path | None = None,
        identity: dict[str, Any] | None = None,
        deadline: float | None = None,
        told: Sequence[str] = (),
        warn: Warn | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        setting.laid_out(network)
        self.network, self.source, self.lesson = network, source, lesson
        self.recipe, self.setting = recipe, setting
        self._labels = torch.from_numpy(lesson.labels)
        self._views, self._judged_views, self._read_after = views, judged_views, read_after
        self._folder, self._identity = folder, identity or {}
        self._deadline, self._told = deadline, told if folder else ()
        self._warn, self._progress = warn or (lambda text: None), progress
        self._steps = max(1, math.ceil(len(lesson.learn) / recipe.batch_size))
        self._optimiser = optimiser_of(network, backbone, recipe)
        self._scheduler = schedule_of(self._optimiser, recipe, self._steps * recipe.epochs)
        self._average = ModelEmaV3(
            network, decay=recipe.average, use_warmup=recipe.average > 0, warmup_power=0.9
        )
        self._best = network.copied()
        self._at = _Progress(micro_batch=setting.micro_batch)
        self._listener: Listener = Listeners(self._warn)
        self._forward = 0.0  # Seconds of an image.
        self._waiting = 0.0

    def run(self, *, resume: bool = False) -> Trained:
        """Train to the end, to the deadline, to a Ctrl-C, or until nothing improves any more.

        Raises:
            TuningError: The checkpoint is of another training.
        """
        # Leaves the caller's random numbers and threads alone.
        devices = [torch.cuda.current_device()] if self.setting.device == "cuda" else []
        with torch.random.fork_rng(devices), self.setting.threaded():
            if resume:
                self._resume()
            start = time.perf_counter()
            with listeners(
                self._told, self._folder or Path(), self._at.step, warn=self._warn
            ) as self._listener:
                stopped = self._epochs()
            computing = 1 - self._waiting / max(time.perf_counter() - start, 1e-9)
            if not self._chooses:
                self._keep(len(self._at.history))
            self.network.put(self._best)
        return Trained(self._at.best_epoch, self._at.history, stopped, computing)

    def _epochs(self) -> str | None:
        """Train epoch after epoch; give the reason if it ends early."""
        total = self._steps * min(self.recipe.epochs, self.lesson.epochs or self.recipe.epochs)
        with noticed() as interruption:
            while self._at.step < total and not self._hopeless:
                begin = time.perf_counter()
                epoch, place = divmod(self._at.step, self._steps)
                for batch, rows in self._batches(epoch, place):
                    if problem := self._learn(batch, rows, epoch):
                        return problem
                    if self._progress:
                        size = self.recipe.batch_size
                        self._progress(self._at.step * size, total * size)
                    if self._at.step % self._steps == 0:
                        break
                    if interruption.asked or self._time_is_up():
                        self._save()
                        return INTERRUPTED if interruption.asked else TIME_WAS_UP
                    if self._at.step % SAVE_EVERY == 0:
                        self._save()
                self._end_epoch(epoch, time.perf_counter() - begin)
                self._save()
                if interruption.asked:
                    return INTERRUPTED
                if self._time_is_up() and self._at.step < total:
                    return TIME_WAS_UP
        return self._hopeless

    @property
    def _hopeless(self) -> str | None:
        """Give the reason why more epochs would not help, if there is one."""
        if self._at.waited >= self.recipe.patience:
            return f"held-out images did not improve for {self._at.waited} epochs"
        last = self._at.history[-1] if self._at.history else None
        guessing = math.log(self.network.top.bias.shape[0])
        if last and self.recipe.choose and last.train_loss > _DIVERGED * guessing:
            return (
                f"the loss rose to {last.train_loss:.1f} in epoch {last.epoch}, where guessing has "
                f"{guessing:.1f}: the learning rate is too high for these images "
                f"({self.recipe.learning_rate:.0e} at its highest)"
            )
        return None

    def _time_is_up(self) -> bool:
        """Tell whether only the time is left that judging at the end needs."""
        left = math.inf if self._deadline is None else self._deadline - time.perf_counter()
        return left < self._seconds_after()

    def _seconds_after(self) -> float:
        """Guess how long judging this epoch and what follows the last one will take.

        Afterwards, once or for each share of weights that is tried, the held-out images are judged
        twice and the head is refitted on the features of all images; each passes forward only.
        """
        learn, judge = len(self.lesson.learn), len(self.lesson.judge)
        images = judge + self._read_after * (2 * judge + learn)
        return self._forward * self._judged_views * images

    def _batches(self, epoch: int, place: int) -> Iterator[tuple[Indices, Tensor]]:
        """Give batches and their rows from some place on, read while the one before is learnt.

        The order depends on the epoch's number and the seed alone.
        """
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(self.lesson.learn)
        size = self.recipe.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        if len(batches) > 1 and len(batches[-1]) == 1:  # Batch norm needs two.
            batches[-1] = np.concatenate([batches[-1], order[:1]])

        def drawn(batch: Indices) -> Tensor:  # Every epoch has views of all kinds.
            return self.source.rows(batch, (batch + epoch) % self._views)

        if not self.source.background:
            yield from ((batch, drawn(batch)) for batch in batches[place:])
            return
        with ThreadPoolExecutor(1) as pool:
            read = in_order(pool, drawn, batches[place:], ahead=_AHEAD)
            for batch in batches[place:]:
                begin = time.perf_counter()
                rows = next(read)
                self._waiting += time.perf_counter() - begin
                yield batch, rows

    def _learn(self, batch: Indices, rows: Tensor, epoch: int) -> str | None:
        """Take one step; give the reason if training cannot go on."""
        if self._scheduler:
            self._scheduler.step_update(self._at.step)
        loss = self._gradients(batch, rows)
        if not math.isfinite(loss):
            named = ", ".join(str(self.lesson.names[image]) for image in batch[:3])
            return f"the loss was {loss} in epoch {epoch + 1}, at images {named} and others"
        if self.recipe.clip:
            learning = [one for one in self.network.parameters() if one.requires_grad]
            nn.utils.clip_grad_norm_(learning, self.recipe.clip)
        self._optimiser.step()
        self._at.step += 1
        self._at.loss_sum += loss
        self._average.update(self.network, step=self._at.step + 1)
        self._listener.step(StepEvent(self._at.step, epoch + 1, loss, self._rate()))
        return None

    def _gradients(self, batch: Indices, rows: Tensor) -> float:
        """Run forward and backward, in smaller parts if memory is short; give the loss."""
        targets = nn.functional.one_hot(self._labels[batch], self.network.top.bias.shape[0]).float()
        if self.recipe.mixup > 0:
            draw = np.random.default_rng([self.recipe.seed, self._at.step])
            share = float(draw.beta(self.recipe.mixup, self.recipe.mixup))
            rows = torch.lerp(rows.flip(0).float(), rows.float(), share)
            targets = torch.lerp(targets.flip(0), targets, share)
        while True:
            self._optimiser.zero_grad(set_to_none=True)
            enter_training(self.network, statistics=self.recipe.statistics)
            torch.manual_seed(self.recipe.seed * 1_000_003 + self._at.step)
            try:
                return self._accumulated(rows, targets)
            except (RuntimeError, MemoryError) as error:
                if not _short_of_memory(error) or self._at.micro_batch < 2:
                    raise
                self._at.micro_batch = min(self._at.micro_batch, len(rows)) // 2
                self._warn(
                    "Memory was short, so gradients are now accumulated over parts of "
                    f"{self._at.micro_batch} images."
                )

    def _accumulated(self, rows: Tensor, targets: Tensor) -> float:
        total = 0.0
        parts = zip(
            torch.split(rows, self._at.micro_batch),
            torch.split(targets, self._at.micro_batch),
            strict=True,
        )
        for part, truth in parts:
            with self.setting.autocast():
                scores = self.network(moved(part, self.setting))
            loss = nn.functional.cross_entropy(
                scores, moved(truth, self.setting), label_smoothing=self.recipe.label_smoothing
            )
            share = len(part) / len(rows)
            (loss * share).backward()  # type: ignore[no-untyped-call]
            total += loss.item() * share
        return total

    def _rate(self) -> float:
        return max(float(group["lr"]) for group in self._optimiser.param_groups)

    def _end_epoch(self, epoch: int, seconds: float) -> None:
        """Judge the epoch and keep its weights if they are the best so far."""
        begin = time.perf_counter()
        loss, accuracy = self._judged()
        if judge := len(self.lesson.judge) * self._judged_views:
            self._forward = (time.perf_counter() - begin) / judge
        elif not self._forward:
            self._forward = _FORWARD * seconds / len(self.lesson.learn)
        mean, self._at.loss_sum = self._at.loss_sum / self._steps, 0.0
        step, rate = self._at.step, self._rate()
        event = EpochEvent(step, epoch + 1, mean, loss, accuracy, rate, seconds)
        self._at.history.append(event)
        self._listener.epoch(event)
        if not self._chooses:
            return
        # Among trained epochs: whether the frozen model is better is decided afterwards, with the
        # heads that would be used.
        best = math.inf if self._at.best_loss is None else self._at.best_loss
        if loss < best:
            self._at.best_loss, self._at.waited = loss, 0
            self._keep(epoch + 1)
        else:
            self._at.waited += 1

    @property
    def _chooses(self) -> bool:
        """Whether the best epoch is kept, or the last one."""
        return self.recipe.choose and len(self.lesson.judge) > 0

    def _keep(self, epoch: int) -> None:
        state = self._average.module.state_dict()
        best = {name: state[name].clone() for name in self._best}
        if all(bool(one.isfinite().all()) for one in best.values()):
            self._best, self._at.best_epoch = best, epoch

    def _judged(self) -> tuple[float, float]:
        """Give log loss, calibrated, and accuracy of the average on the images held out.

        Calibrated, because label smoothing alone makes a network less sure than its start.
        """
        judge, average = self.lesson.judge, self._average.module
        if not len(judge):
            return math.nan, math.nan
        scores = judged(average, self.source, judge, self.setting, range(self._judged_views))
        found = rival(scores.numpy(), self.lesson.labels[judge], self.lesson.task)
        return found.log_loss, found.accuracy

    def _save(self) -> None:
        """Write a checkpoint; a full disk is said, and training goes on."""
        if self._folder is None:
            return
        average = self._average.module.state_dict()
        own = self.network.learnt()
        tensors = {f"own.{name}": one.detach() for name, one in own.items()}
        tensors |= {f"average.{name}": average[name] for name in own}
        tensors |= {f"best.{name}": one for name, one in self._best.items()}
        tensors |= packed_optimiser(self._optimiser)
        tensors = {name: one.contiguous().clone() for name, one in tensors.items()}
        state = asdict(self._at) | {"identity": self._identity}
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
        require_same(found.state["identity"], self._identity, self._folder)
        tensors, state = found.tensors, found.state
        own = self.network.learnt()
        self.network.put({name: tensors[f"own.{name}"] for name in own})
        average = {name: tensors[f"average.{name}"] for name in own}
        self._average.module.load_state_dict(average, strict=False)
        self._best = {name: tensors[f"best.{name}"].clone() for name in own}
        unpack_optimiser(self._optimiser, tensors)
        names = ("step", "loss_sum", "waited", "best_loss", "best_epoch", "micro_batch")
        history = [EpochEvent(**one) for one in state["history"]]
        self._at = _Progress(**{name: state[name] for name in names}, history=history)


def enter_training(network: nn.Module, *, statistics: bool) -> None:
    """Enter training mode, batch norms only if they are to gather statistics."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not statistics:
            module.eval()


def _short_of_memory(error: BaseException) -> bool:
    text = str(error)
    signs = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)
