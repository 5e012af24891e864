"""Rounds of training: train on most images, and evaluate tuned and frozen model on the rest.

Which head is used with the tuned network, and whether it is kept, is decided later.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from torch import Tensor

from headstart.arrays import Rows, Scores
from headstart.heads.fitted import LinearModel, MLPModel
from headstart.tuning.candidates import PROBE
from headstart.tuning.job import ClassifierHead
from headstart.tuning.round_heads import RoundHeads, fit_probe, scores_of, starting_head
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.loop import INTERRUPTED, Monitoring, TrainingResult
from headstart.tuning.training.network import HeadedNetwork
from headstart.tuning.training.setup import Setup
from headstart.tuning.trainings import FINAL, round_name
from headstart.tuning.workbench import Workbench
from headstart.watching import name_step

# The training on all images, which is planned to fit into the time limit, may exceed it by this
# share before it is given up.
_OVERRUN = 0.1


@dataclass(frozen=True)
class Round:
    """One training.

    Attributes:
        held_out: Indices of the held-out images.
        result: The result of the training loop.
        seconds: Duration, heads and evaluation included.
        heads: Heads by name, see `candidates`; empty if no epoch was completed.
        scores: Scores of the held-out images, by each head and by the frozen model's head.
        weights: Weights of the tuned backbone, on the CPU.
    """

    held_out: Rows
    result: TrainingResult
    seconds: float
    heads: dict[str, ClassifierHead]
    scores: dict[str, Scores]
    weights: dict[str, Tensor]


def train_rounds(bench: Workbench, conclusive: Callable[[Sequence[Round]], bool]) -> list[Round]:
    """Train the required rounds, and more while results are inconclusive and there is time.

    Args:
        bench: Everything that the rounds share.
        conclusive: Function that returns whether the results so far are conclusive.

    Returns:
        At least one round. Without held-out images there is one round, trained on all images.
    """
    images, rounds = bench.job.images, list[Round]()
    for number, (train, held_out) in enumerate(images.rounds or (images.everything,)):
        if rounds and (
            rounds[-1].result.stopped == INTERRUPTED or _no_time_for_another(bench, rounds)
        ):
            break
        remaining = max(1, images.min_rounds) - number
        deadline = (
            _shared_deadline(bench, remaining + images.final)
            if remaining > 0
            else _spare_deadline(bench, rounds)
        )
        if remaining <= 0 and (deadline is None or conclusive(rounds)):
            break
        rounds.append(_train(bench, f"round-{number}", (train, held_out), deadline))
    return rounds


def train_final(bench: Workbench, rounds: Sequence[Round]) -> Round | None:
    """Train on all images for the best number of epochs, or as many as there is time for.

    The learning rate falls to 0 within these epochs, even if a round had planned more of them.

    Returns:
        The training; None if it was interrupted before, or if there is no time for one epoch.
    """
    if any(training.result.stopped == INTERRUPTED for training in rounds):
        return None
    deadline = bench.job.deadline
    epochs = _plan_final(bench, rounds).epochs_until(deadline)
    if not epochs:
        bench.job.warn("The time limit leaves no time to train on the held-out images too.")
        return None
    if deadline:
        deadline += _OVERRUN * (deadline - bench.job.begin)
    bench = replace(bench, recipe=replace(bench.recipe, epochs=epochs))
    return _train(bench, FINAL, bench.job.images.everything, deadline)


def _train(bench: Workbench, name: str, sides: tuple[Rows, Rows], deadline: float | None) -> Round:
    """Train once from the original weights and a head fitted on the training images."""
    begin, job, (train, held_out) = time.perf_counter(), bench.job, sides
    called = _name_for_user(bench, name)
    name_step(job.progress, f"{called}, fitting its first head")
    bench.backbone.reset()
    probe = fit_probe(bench, train)
    start = starting_head(bench, probe.head, train)
    assert isinstance(start.head, (LinearModel, MLPModel))
    columns = job.heads.layout.columns(start.features)
    dropout = bench.recipe.dropout
    network = HeadedNetwork(bench.boundary.above, start.head, columns, dropout=dropout)
    setup = _setup(bench, network, name, sides)
    monitoring = Monitoring(deadline, job.options.listeners, job.progress, job.warn, called)
    result = job.train(setup, monitoring)
    name_step(job.progress, f"{called}, fitting its last heads")
    heads, scores = dict[str, ClassifierHead](), dict[str, Scores]()
    if result.best_epoch:  # Otherwise it diverged or was cut off, and the weights are unchanged.
        round_heads = RoundHeads(bench, network, train, held_out, start.features, probe.choice)
        heads = round_heads.fit()
        scores = round_heads.scores(heads)
    weights, seconds = bench.backbone.weights(), time.perf_counter() - begin
    scores[PROBE] = _frozen_scores(bench, probe.head, held_out)
    return Round(held_out, result, seconds, heads, scores, weights)


def _frozen_scores(bench: Workbench, probe: ClassifierHead, held_out: Rows) -> Scores:
    """Return the frozen model's scores of the held-out images.

    Where the head was chosen on the same folds, they are those of its choice, so that there is one
    estimate of the frozen model, not two.
    """
    job = bench.job
    known = job.chosen.held_out_scores(held_out) if job.chosen else None
    return scores_of(bench, probe, job.features[held_out]) if known is None else known


def _setup(bench: Workbench, network: HeadedNetwork, name: str, sides: tuple[Rows, Rows]) -> Setup:
    """Return what the training of a round starts from."""
    job = bench.job
    examples = Examples(
        bench.boundary.source,
        job.heads.task,
        job.images.targets,
        job.heads.classes,
        *sides,
        names=job.images.names,
        views=bench.plan.views,
        measured_views=job.orientations,
    )
    checkpoints = None
    if job.folder:
        checkpoints = Checkpoints(job.folder / name, bench.identity, job.resume)
    backbone = bench.backbone.network
    return Setup(network, backbone, examples, bench.recipe, bench.setting, checkpoints)


def _name_for_user(bench: Workbench, name: str) -> str:
    """Return the name of a training for the user, such as "round 2 of 3"."""
    images, called = bench.job.images, round_name(name)
    if name == FINAL or not images.rounds:
        return called
    total = max(1, images.min_rounds)
    if bench.job.deadline is not None and total < len(images.rounds):
        return f"{called} of at most {len(images.rounds)}"
    return f"{called} of {total}"


def _shared_deadline(bench: Workbench, trainings: int) -> float | None:
    """Return the deadline of the next of several trainings that share the remaining time."""
    if bench.job.deadline is None:
        return None
    now = time.perf_counter()
    return now + max(0.0, bench.job.deadline - now) / trainings


def _no_time_for_another(bench: Workbench, rounds: Sequence[Round]) -> bool:
    """Return whether another round like the last would end after the deadline."""
    end = time.perf_counter() + rounds[-1].seconds
    return bench.job.deadline is not None and end > bench.job.deadline


def _spare_deadline(bench: Workbench, rounds: Sequence[Round]) -> float | None:
    """Return the deadline of an additional round; None if there is no time for it.

    The final training has to fit too. Without a time limit there are no additional rounds.
    """
    if bench.job.deadline is None:
        return None
    finished = [training for training in rounds if training.result.best_epoch]
    latest = bench.job.deadline - _plan_final(bench, finished or rounds).seconds
    return latest if time.perf_counter() + rounds[-1].seconds < latest else None


@dataclass(frozen=True)
class FinalPlan:
    """The plan of the training on all images.

    Attributes:
        epochs: The median of the rounds' best epochs, at least 1.
        epoch_seconds: The expected duration of an epoch.
        other_seconds: The expected duration of everything else, such as fitting heads.
    """

    epochs: int
    epoch_seconds: float
    other_seconds: float

    @property
    def seconds(self) -> float:
        """The expected duration."""
        return self.other_seconds + self.epochs * self.epoch_seconds

    def epochs_until(self, deadline: float | None) -> int:
        """Return how many of the epochs fit before a deadline, by `time.perf_counter`."""
        if deadline is None:
            return self.epochs
        time_left = deadline - time.perf_counter() - self.other_seconds
        return max(0, min(self.epochs, int(time_left / max(self.epoch_seconds, 1e-9))))


def _plan_final(bench: Workbench, rounds: Sequence[Round]) -> FinalPlan:
    """Expect that an image takes as long as in the slowest round."""
    epochs = max(1, round(median(training.result.best_epoch for training in rounds)))
    images = len(bench.job.images)
    costs = [_seconds_per_image(training, images) for training in rounds]
    epoch_seconds, other_seconds = (images * max(column) for column in zip(*costs, strict=True))
    return FinalPlan(epochs, epoch_seconds, other_seconds)


def _seconds_per_image(training: Round, images: int) -> tuple[float, float]:
    """Return the seconds per image of an epoch, and of heads and evaluation."""
    epochs = [epoch.seconds for epoch in training.result.history]
    trained = max(1, images - len(training.held_out))
    per_epoch = sum(epochs) / max(1, len(epochs))
    return per_epoch / trained, (training.seconds - sum(epochs)) / trained
