"""Rounds of training: learn from most of the images, and measure on the rest with the frozen model.

Which head the tuned model is read with, and whether it is kept, is decided afterwards.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from torch import Tensor

from headstart.arrays import Rows, Scores
from headstart.heads.fitted import LinearModel, MLPModel
from headstart.tuning.job import Reading
from headstart.tuning.readers import Reader, fit_probe, scores_of, starting_head
from headstart.tuning.rivals import PROBE
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.loop import INTERRUPTED, Loop, Trained, Watch
from headstart.tuning.training.network import HeadedNetwork
from headstart.tuning.workbench import Workbench


@dataclass(frozen=True)
class Round:
    """One training.

    Attributes:
        held_out: Numbers of the images held out.
        trained: What the loop did.
        seconds: That it took.
        heads: By their names, see `rivals`; none where no epoch was finished.
        scores: Of the images held out, by each of them and by the frozen model's head.
        weights: Of the backbone afterwards, on the CPU.
    """

    held_out: Rows
    trained: Trained
    seconds: float
    heads: dict[str, Reading]
    scores: dict[str, Scores]
    weights: dict[str, Tensor]


def train_rounds(bench: Workbench, clear: Callable[[Sequence[Round]], bool]) -> list[Round]:
    """Train the rounds that there have to be, and more while it is unclear and there is time.

    Args:
        bench: What they share.
        clear: Returns whether the rounds so far decide.

    Returns:
        At least one; without any held-out images, one that learnt from everything.
    """
    images, rounds = bench.job.images, list[Round]()
    for number, (train, held_out) in enumerate(images.rounds or (images.everything,)):
        if rounds and (rounds[-1].trained.stopped == INTERRUPTED or _spent(bench, rounds)):
            break
        left = max(1, images.least) - number
        deadline = _share(bench, left + images.final) if left > 0 else _spare(bench, rounds)
        if left <= 0 and (deadline is None or clear(rounds)):
            break
        rounds.append(_train(bench, f"round-{number}", (train, held_out), deadline=deadline))
    return rounds


def train_finally(bench: Workbench, rounds: Sequence[Round]) -> Round | None:
    """Train on all images for as many epochs as was best; return None where there is no time."""
    if any(one.trained.stopped == INTERRUPTED for one in rounds):
        return None
    epochs, expected = _finally(bench, rounds)
    deadline = bench.job.deadline
    if deadline and time.perf_counter() + expected > deadline:
        bench.job.warn("No time is left to learn from the held-out images as well.")
        return None
    everything = bench.job.images.everything
    return _train(bench, "final", everything, epochs=epochs, deadline=deadline)


def _train(
    bench: Workbench,
    name: str,
    sides: tuple[Rows, Rows],
    *,
    epochs: int | None = None,
    deadline: float | None = None,
) -> Round:
    """Train once from the original weights and a head fitted on what is learnt from."""
    begin, job, (train, held_out) = time.perf_counter(), bench.job, sides
    bench.backbone.reset()
    probe = fit_probe(bench, train)
    start = starting_head(bench, probe.reading, train)
    assert isinstance(start.head, (LinearModel, MLPModel))
    columns = job.heads.layout.columns(start.features)
    dropout = bench.recipe.dropout
    network = HeadedNetwork(bench.boundary.above, start.head, columns, dropout=dropout)
    trained = _loop(bench, network, name, sides, deadline).run(epochs=epochs)
    heads, scores = dict[str, Reading](), dict[str, Scores]()
    if trained.best_epoch:  # Else it diverged or was cut off: everything is as at the start.
        reader = Reader(bench, network, train, held_out, start.features, probe.settled)
        heads = reader.heads()
        scores = reader.scores(heads)
    weights, seconds = bench.backbone.weights(), time.perf_counter() - begin
    scores[PROBE] = scores_of(bench, probe.reading, job.features[held_out])
    return Round(held_out, trained, seconds, heads, scores, weights)


def _loop(
    bench: Workbench,
    network: HeadedNetwork,
    name: str,
    sides: tuple[Rows, Rows],
    deadline: float | None,
) -> Loop:
    """Return the loop that trains a network at this bench."""
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
    watch = Watch(deadline, job.options.listeners, job.progress, job.warn)
    backbone = bench.backbone.network
    return Loop(network, backbone, examples, bench.recipe, bench.setting, checkpoints, watch)


def _share(bench: Workbench, parts: int) -> float | None:
    """Return the deadline of the next of several trainings that share the time that is left."""
    if bench.job.deadline is None:
        return None
    now = time.perf_counter()
    return now + max(0.0, bench.job.deadline - now) / parts


def _spent(bench: Workbench, rounds: Sequence[Round]) -> bool:
    """Return whether another round like the last would end after the deadline."""
    after = time.perf_counter() + rounds[-1].seconds
    return bench.job.deadline is not None and after > bench.job.deadline


def _spare(bench: Workbench, rounds: Sequence[Round]) -> float | None:
    """Return the deadline of another round, if there is time for that and the final training.

    Without minutes from the user, no more rounds are trained than have to be.
    """
    if bench.job.deadline is None:
        return None
    finished = [one for one in rounds if one.trained.best_epoch]
    latest = bench.job.deadline - _finally(bench, finished or rounds)[1]
    return latest if time.perf_counter() + rounds[-1].seconds < latest else None


def _finally(bench: Workbench, rounds: Sequence[Round]) -> tuple[int, float]:
    """Return the epochs of the final training, as many as were best, and the seconds expected."""
    epochs = max(1, round(median(one.trained.best_epoch for one in rounds)))
    each = max(_seconds_of_an_image(one, bench, epochs) for one in rounds)
    return epochs, each * len(bench.job.images)


def _seconds_of_an_image(one: Round, bench: Workbench, epochs: int) -> float:
    """Return the seconds of an image in a round of so many epochs, heads and measuring included."""
    images = len(bench.job.images) - len(one.held_out)
    training = sum(epoch.seconds for epoch in one.trained.history)
    each = training / max(1, len(one.trained.history))
    return (one.seconds - training + each * epochs) / max(1, images)
