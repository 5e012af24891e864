"""The training of a detector's head on stored maps, with checkpoints after each epoch."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from headstart.boxes import Detections
from headstart.data.placement import Placement
from headstart.detection.examples import DetectionExamples
from headstart.detection.recipe import DetectionRecipe, optimiser_of
from headstart.errors import TuningError
from headstart.evaluation.boxes.coco_metrics import CocoMetrics
from headstart.heads.boxes.detections import detections_of, merge_tiles
from headstart.heads.boxes.losses import detection_loss
from headstart.heads.boxes.points import Points
from headstart.record import DetectionEpoch
from headstart.tuning.boundary.rows import predict_rows
from headstart.tuning.pacing.timing import Setting, to_device
from headstart.tuning.training.checkpoint import (
    Checkpoint,
    Checkpoints,
    check_same_training,
    packed_optimiser,
    read_checkpoint,
    unpack_optimiser,
    write_checkpoint,
)
from headstart.watching import Progress, Warn, name_place, no_warning

_SEED_STEP = 100_000
"""How far apart the seeds of two trainings are, so that each of their epochs has its own."""

Measure = Callable[[Sequence[Detections]], CocoMetrics]
"""Measures detections in the held-out images."""


class Diverged(TuningError):
    """The loss was not finite in the first epoch."""


@dataclass
class _State:
    """What changes during a training, except for tensors."""

    epoch: int = 0
    best_epoch: int = 0
    best_map: float = -1.0
    history: list[DetectionEpoch] = field(default_factory=list)


class DetectionTraining:
    """Trains a head, and keeps its weights of the best epoch.

    Args:
        head: The head, which is trained, or stages of the backbone with a head.
        points: The points of its pyramid.
        examples: The training images.
        held_out: Images that are measured after each epoch, to keep the best; None or none to
            keep the last.
        recipe: Hyperparameters.
        setting: How training steps are computed.
        measure: Measures the detections in the held-out images.
        checkpoints: Where checkpoints are saved; None for none.
        deadline: Time limit, by `time.perf_counter`, after which only a first epoch begins.
        progress: Called with the numbers of images done and of all images.
        warn: Called with warnings.

    Attributes:
        head: The head.
        recipe: Hyperparameters.
        setting: How training steps are computed.
        history: The epochs so far.
        best_epoch: The epoch whose weights are kept, from 1.
    """

    def __init__(
        self,
        head: nn.Module,
        points: Points,
        examples: DetectionExamples,
        held_out: DetectionExamples | None,
        recipe: DetectionRecipe,
        setting: Setting,
        *,
        measure: Measure,
        checkpoints: Checkpoints | None = None,
        deadline: float | None = None,
        progress: Progress | None = None,
        warn: Warn = no_warning,
    ) -> None:
        setting.apply_layout(head)
        self.head, self._points = head, points
        self._examples, self._held_out = examples, held_out
        self.recipe, self.setting, self._measure = recipe, setting, measure
        self._checkpoints, self._deadline = checkpoints, deadline
        self._progress, self._warn = progress, warn
        self._optimiser = optimiser_of(head, recipe)
        self._average = ModelEmaV3(head, decay=recipe.average, use_warmup=True)
        self._best = _copy(head)
        self._state = _State()

    @property
    def history(self) -> tuple[DetectionEpoch, ...]:
        """The epochs so far."""
        return tuple(self._state.history)

    @property
    def best_map(self) -> float:
        """mAP50-95 of that epoch on the held-out images; 0 without any."""
        return self._state.best_map

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are kept, from 1."""
        return self._state.best_epoch

    def run(self) -> None:
        """Train until all epochs are done or the time is up; the head gets the best weights.

        Raises:
            TuningError: The checkpoint belongs to another training.
            Diverged: The loss was not finite in the first epoch.
        """
        with self.setting.use_threads(), torch.random.fork_rng(devices=[]):
            self._resume()
            while self._state.epoch < self.recipe.epochs and not self._time_is_up():
                if problem := self._epoch():
                    if not self._state.best_epoch:
                        raise Diverged(f"{problem} Use a lower --learning-rate.")
                    self._warn(f"Training ended early: {problem} The best epoch so far is kept.")
                    break
                self._save()
        self.head.load_state_dict(self._best)
        self.head.eval()

    def detect(self, examples: DetectionExamples) -> list[Detections]:
        """Return the detections of the head in whole images; none if there are no images."""
        return detect(self.head, self._points, examples, self.setting) if len(examples) else []

    def _epoch(self) -> str | None:
        """Train for an epoch; return why if that is impossible."""
        begin, steps = time.perf_counter(), self._examples.steps(self.recipe.batch_size)
        # Dropout depends on seed and epoch only, so that a resumed training is the same.
        torch.manual_seed(self.recipe.seed * _SEED_STEP + self._state.epoch)
        total, losses, images = steps * self.recipe.epochs, [], 0
        self.head.train()
        batches = self._examples.batches(
            self._state.epoch, self.recipe.batch_size, self.recipe.seed
        )
        for number, (rows, truth) in enumerate(batches, self._state.epoch * steps):
            for group in self._optimiser.param_groups:
                group["lr"] = self.recipe.rate(number, total) * group["scale"]
            with self.setting.autocast():
                outputs = self.head(to_device(rows, self.setting))
            loss = detection_loss(outputs.cpu(), self._points, truth)
            if not math.isfinite(value := float(loss.detach())):
                return f"The loss was {value} in epoch {self._state.epoch + 1}."
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.head.parameters(), self.recipe.clip)
            self._optimiser.step()
            self._optimiser.zero_grad(set_to_none=True)
            self._average.update(self.head, step=number + 1)
            losses.append(value)
            images += len(rows)
            if self._progress:
                done = self._state.epoch * len(self._examples) + images
                self._progress(done, self.recipe.epochs * len(self._examples))
        self._end_epoch(sum(losses) / len(losses), time.perf_counter() - begin)
        return None

    def _end_epoch(self, loss: float, seconds: float) -> None:
        state = self._state
        state.epoch += 1
        measured, measured50 = None, None
        if held_out := self._held_out:
            found = detect(self._average.module, self._points, held_out, self.setting)
            metrics = self._measure(found)
            measured, measured50 = metrics.map or 0.0, metrics.map50 or 0.0
        state.history.append(DetectionEpoch(state.epoch, loss, measured, measured50, seconds))
        if measured is None or measured >= state.best_map:
            state.best_map, state.best_epoch = measured or 0.0, state.epoch
            self._best = _copy(self._average.module)

    def _time_is_up(self) -> bool:
        if self._deadline is None or not self._state.epoch:  # Untrained, it finds nothing.
            return False
        return time.perf_counter() > self._deadline

    def _save(self) -> None:
        if self._checkpoints is None:
            return
        parts = {"own": self.head.state_dict(), "average": self._average.module.state_dict()}
        parts["best"] = self._best
        tensors = {
            f"{part}.{name}": tensor
            for part, state in parts.items()
            for name, tensor in state.items()
        }
        tensors |= packed_optimiser(self._optimiser)
        # Some have the channels-last layout, which safetensors does not write.
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        # Read by `Training`, as checkpoints are written between epochs: "step 0".
        step = {"step": 0}
        state = asdict(self._state) | {"identity": dict(self._checkpoints.identity)} | step
        self._checkpoints.folder.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self._checkpoints.folder, Checkpoint(tensors, state))

    def _resume(self) -> None:
        if self._checkpoints is None or not self._checkpoints.resume:
            return
        found, problem = read_checkpoint(self._checkpoints.folder)
        if problem:
            self._warn(problem)
        if found is None:
            return
        check_same_training(
            found.state["identity"], self._checkpoints.identity, self._checkpoints.folder
        )
        tensors, state = found.tensors, found.state
        self.head.load_state_dict(_of_part(tensors, "own"))
        self._average.module.load_state_dict(_of_part(tensors, "average"))
        self._best = _of_part(tensors, "best")
        unpack_optimiser(self._optimiser, tensors)
        history = [DetectionEpoch(**values) for values in state["history"]]
        self._state = _State(state["epoch"], state["best_epoch"], state["best_map"], history)
        name_place(self._progress, f"epoch {state['epoch'] + 1} of {self.recipe.epochs}")


def detect(
    head: nn.Module, points: Points, examples: DetectionExamples, setting: Setting
) -> list[Detections]:
    """Return the detections of a head in whole images."""
    plan = examples.plan
    outputs = predict_rows(head, examples.source, examples.tiles, setting)
    found: dict[int, list[tuple[Detections, Placement]]] = {image: [] for image in examples.images}
    for tile, output in zip(examples.tiles.tolist(), outputs, strict=True):
        placement = plan.placement(tile)
        part = detections_of(output, points, placement)
        found[plan.image_of[tile]].append((part, placement))
    return [merge_tiles(*zip(*parts, strict=True)) for parts in found.values()]


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _of_part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
