"""Rounds of training: learn from most of the images, judge by the rest beside the frozen model."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

import numpy as np
import torch
from torch import Tensor

from headstart.arrays import Floats, Rows
from headstart.backbones.backbone import Backbone
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import LinearModel, MLPModel
from headstart.heads.specs import KernelHead, NearestHead
from headstart.task import Task
from headstart.tuning.bench import Bench
from headstart.tuning.job import Reading
from headstart.tuning.loop import INTERRUPTED, Lesson, Loop, Trained
from headstart.tuning.network import SHARES, HeadedNetwork, between
from headstart.tuning.rivals import ALONG, PROBE, REFITTED, rivals_of

_VIEWS_FITTED = 2


@dataclass(frozen=True)
class Round:
    """One training.

    Attributes:
        judge: Numbers of the images held out.
        trained: What the loop gave.
        seconds: What it took.
        alpha: Share of the tuned weights, if they were interpolated; else 1.
        heads: By their names, see `rivals`; none where no epoch was finished.
        scores: Of the images held out, by each of them and by the frozen model's.
        weights: Of the backbone.
    """

    judge: Rows
    trained: Trained
    seconds: float
    alpha: float
    heads: dict[str, Reading]
    scores: dict[str, Floats]
    weights: dict[str, Tensor]

    def put(self, backbone: Backbone) -> None:
        """Put the round's weights into the backbone."""
        backbone.network.load_state_dict(self.weights)


def train_rounds(bench: Bench, clear: Callable[[Sequence[Round]], bool]) -> list[Round]:
    """Train the rounds that there have to be, and more while it is unclear and there is time.

    Args:
        bench: What they share.
        clear: Tells whether the rounds so far decide.

    Returns:
        At least one; without any to judge by, one that learnt from everything.
    """
    task, rounds = bench.job.task, list[Round]()
    everything = np.arange(len(task.labels))
    sides = task.rounds or ((everything, everything[:0]),)
    for number, (learn, judge) in enumerate(sides):
        if rounds and (rounds[-1].trained.stopped == INTERRUPTED or _spent(bench, rounds)):
            break
        left = max(1, task.least) - number
        deadline = _share(bench, left + task.final) if left > 0 else _spare(bench, rounds)
        if left <= 0 and (deadline is None or clear(rounds)):
            break
        rounds.append(_train(bench, f"round-{number}", learn, judge, deadline=deadline))
    return rounds


def train_finally(bench: Bench, rounds: Sequence[Round]) -> Round | None:
    """Train on all images for as many epochs as was best, if there is time; else give None."""
    if any(one.trained.stopped == INTERRUPTED for one in rounds):
        return None
    everything = np.arange(len(bench.job.task.labels))
    epochs, expected = _finally(bench, rounds)
    if bench.job.deadline and time.perf_counter() + expected > bench.job.deadline:
        bench.job.warn("No time is left to learn from the held-out images as well.")
        return None
    alpha = float(np.mean([one.alpha for one in rounds]))
    return _train(
        bench,
        "final",
        everything,
        everything[:0],
        epochs=epochs,
        alpha=alpha,
        deadline=bench.job.deadline,
    )


def _train(
    bench: Bench,
    name: str,
    learn: Rows,
    judge: Rows,
    *,
    epochs: int | None = None,
    alpha: float = 1.0,
    deadline: float | None = None,
) -> Round:
    """Train once from the frozen weights and a head fitted on what is learnt from."""
    begin, job = time.perf_counter(), bench.job
    backbone = job.extractor.backbone
    backbone.network.load_state_dict(bench.frozen)
    settled, probe = _probe(bench, learn)
    start = _start(bench, probe, learn)
    assert isinstance(start.head, (LinearModel, MLPModel))
    columns = job.heads.layout.columns(start.features)
    network = HeadedNetwork(bench.cut.above, start.head, columns, dropout=bench.recipe.dropout)
    lesson = Lesson(job.task.labels, learn, judge, job.heads.task, job.task.names, epochs)
    loop = _loop(bench, network, name, lesson, deadline)
    before = network.copied()
    trained = loop.run(resume=job.resume)
    tuned = _Tuned(alpha, {}, {})
    if trained.best_epoch:  # Else it diverged or was cut off: everything is as at the start.
        reader = _Reader(bench, network, lesson, start.features, settled)
        choose = job.options.wise and len(judge) > 0
        tuned = reader.best(before, SHARES if choose else (alpha,))
    weights = {key: one.clone() for key, one in backbone.network.state_dict().items()}
    seconds = time.perf_counter() - begin
    scores = tuned.scores | {PROBE: _scores(bench, probe, job.features[judge])}
    return Round(judge, trained, seconds, tuned.alpha, tuned.heads, scores, weights)


@dataclass(frozen=True)
class _Tuned:
    """A share of the tuned weights, and the heads that read what they give."""

    alpha: float
    heads: dict[str, Reading]
    scores: dict[str, Floats]

    def with_refitted(self, head: Reading, scores: Floats) -> Self:
        """Give the same with a head that was fitted anew."""
        heads = self.heads | {REFITTED: head}
        return replace(self, heads=heads, scores=self.scores | {REFITTED: scores})

    def log_loss(self, labels: Rows, task: Task, blend: bool) -> float:
        """Give that of the best head on the images held out."""
        rivals = rivals_of(self.scores, labels, task, blend=blend).values()
        return min(one.log_loss for one in rivals)


@dataclass(frozen=True)
class _Reader:
    """Gives the heads that read what a trained network gives.

    Attributes:
        bench: What all rounds share.
        network: The trained one.
        lesson: What it learnt from, and what is held out.
        features: Which columns the head reads that was trained along.
        settled: How the frozen model's head was chosen to be fitted.
    """

    bench: Bench
    network: HeadedNetwork
    lesson: Lesson
    features: str
    settled: HeadChoice

    def best(self, before: dict[str, Tensor], shares: Sequence[float]) -> _Tuned:
        """Interpolate from the weights before, and leave what images held out like best.

        Judged by the heads that would be used, since the one that was trained along fits its own
        weights alone.
        """
        after = self.network.copied()
        tried = []
        for share in shares:
            self.network.put(between(before, after, share))
            tried.append(self._read(share))
        labels = self.bench.job.task.labels[self.lesson.judge]
        task, blend = self.bench.job.heads.task, self.bench.job.may_blend
        best = tried[0]
        if len(tried) > 1:
            best = min(tried, key=lambda one: one.log_loss(labels, task, blend))
        self.network.put(between(before, after, best.alpha))
        return best

    def _along(self, alpha: float) -> _Tuned:
        """Give the head that was trained along, where such a kind may be used."""
        if isinstance(self.bench.job.heads.head, (KernelHead, NearestHead)):
            return _Tuned(alpha, {}, {})
        head = Reading(self.network.top.head(), self.features)
        scores = self.bench.judged(self.network, self.lesson.judge).numpy()
        return _Tuned(alpha, {ALONG: head}, {ALONG: scores})

    def _read(self, alpha: float) -> _Tuned:
        tuned = self._along(alpha)
        return tuned.with_refitted(*self._refitted()) if self.bench.recipe.choose else tuned

    def _refitted(self) -> tuple[Reading, Floats]:
        """Fit the head anew on the tuned features, as the frozen one was chosen to be fitted.

        Choosing again would be misled: these know the labels of every fold's held-out images.
        """
        bench, learn, judge = self.bench, self.lesson.learn, self.lesson.judge
        reading = _fit(bench, self.settled, bench.judged(self.network.above, learn).numpy(), learn)
        if not len(judge):
            return reading, np.zeros((0, bench.job.heads.classes), dtype=np.float32)
        held = bench.judged(self.network.above, judge).numpy()
        return reading, _scores(bench, reading, held)


def _loop(
    bench: Bench, network: HeadedNetwork, name: str, lesson: Lesson, deadline: float | None
) -> Loop:
    """Give the loop that trains a network at this bench."""
    job = bench.job
    return Loop(
        network,
        job.extractor.backbone.network,
        bench.cut.source,
        lesson,
        bench.recipe,
        bench.setting,
        views=bench.plan.views,
        judged_views=bench.averaged,
        read_after=len(SHARES) if job.options.wise and len(lesson.judge) else 1,
        folder=job.folder / name if job.folder else None,
        identity=bench.identity,
        deadline=deadline,
        told=job.options.listeners,
        warn=job.warn,
        progress=job.progress,
    )


def _probe(bench: Bench, learn: Rows) -> tuple[HeadChoice, Reading]:
    """Give the frozen model's head for what is learnt from, and what was settled by choosing it."""
    job = bench.job
    if not bench.recipe.choose and len(learn) == len(job.task.labels):
        return job.heads, job.fitted
    groups = [job.task.groups[row] for row in learn]
    fit = job.heads.fit(job.features[learn], job.task.labels[learn], groups)
    return job.heads.settled(fit), Reading(fit.head, fit.features)


def _start(bench: Bench, probe: Reading, learn: Rows) -> Reading:
    """Give the head that training starts from: one that can be trained, and that knows views."""
    if isinstance(probe.head, MLPModel):
        return probe
    if bench.plan.views > 1:
        return _fit_on_views(bench, learn)
    if isinstance(probe.head, LinearModel):
        return probe
    return _fit(bench, bench.job.heads.linear(), bench.job.features[learn], learn)


def _fit_on_views(bench: Bench, learn: Rows) -> Reading:
    """Fit a linear head on views as training sees them.

    One that was fitted on the images as they are would meet features that it does not know in the
    first step, and what the network knows would be spoilt before the two agree.
    """
    views = bench.plan.views
    some = {view: learn[(learn - view) % views < _VIEWS_FITTED] for view in range(views)}
    some = {view: images for view, images in some.items() if len(images)}
    seen = [bench.seen(bench.cut.above, images, view) for view, images in some.items()]
    rows = np.concatenate(list(some.values()))
    return _fit(bench, bench.job.heads.linear(), torch.cat(seen).numpy(), rows)


def _fit(bench: Bench, heads: HeadChoice, features: Floats, rows: Rows) -> Reading:
    groups = [bench.job.task.groups[row] for row in rows]
    fit = heads.fit(features, bench.job.task.labels[rows], groups)
    return Reading(fit.head, fit.features)


def _scores(bench: Bench, reading: Reading, features: Floats) -> Floats:
    """Give scores of some images, by features of shape (images, width)."""
    return reading.head.logits(features[:, bench.job.heads.layout.columns(reading.features)])


def _share(bench: Bench, parts: int) -> float | None:
    """Give the deadline of the next of some trainings that have to share what time is left."""
    if bench.job.deadline is None:
        return None
    now = time.perf_counter()
    return now + max(0.0, bench.job.deadline - now) / parts


def _spent(bench: Bench, rounds: Sequence[Round]) -> bool:
    """Tell whether another round like the last would end after the deadline."""
    after = time.perf_counter() + rounds[-1].seconds
    return bench.job.deadline is not None and after > bench.job.deadline


def _spare(bench: Bench, rounds: Sequence[Round]) -> float | None:
    """Give the deadline of another round, if there is time for that and for what is final.

    Without a deadline nobody has granted any time for rounds that need not be.
    """
    if bench.job.deadline is None:
        return None
    learnt = [one for one in rounds if one.trained.best_epoch]
    latest = bench.job.deadline - _finally(bench, learnt or rounds)[1]
    return latest if time.perf_counter() + rounds[-1].seconds < latest else None


def _finally(bench: Bench, rounds: Sequence[Round]) -> tuple[int, float]:
    """Give the epochs of the final training, as many as were best, and the seconds to expect."""
    epochs = max(1, round(median(one.trained.best_epoch for one in rounds)))
    each = max(_seconds_of_an_image(one, bench, epochs) for one in rounds)
    return epochs, each * len(bench.job.task.labels)


def _seconds_of_an_image(one: Round, bench: Bench, epochs: int) -> float:
    """Give what one image would cost in a round of so many epochs, heads and judging included."""
    images = len(bench.job.task.labels) - len(one.judge)
    training = sum(epoch.seconds for epoch in one.trained.history)
    each = training / max(1, len(one.trained.history))
    return (one.seconds - training + each * epochs) / max(1, images)
