"""Rounds of training: learn from most of the images, judge by the rest beside the frozen model."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.data.checks import Progress
from headstart.data.splits import Rows
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import Array, FittedHead, LinearModel, MLPModel
from headstart.options import TuneOptions
from headstart.tuning.loop import INTERRUPTED, Lesson, Loop, Trained, Warn, judged
from headstart.tuning.network import HeadedNetwork, between
from headstart.tuning.recipe import Recipe
from headstart.tuning.setting import Setting
from headstart.tuning.sources import Cut
from headstart.tuning.task import Task
from headstart.tuning.views import ViewPlan

_ALPHAS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Reading:
    """A head, and which features it reads."""

    head: FittedHead
    features: str


@dataclass(frozen=True)
class Bench:
    """Everything that all rounds share.

    Attributes:
        extractor: With the backbone.
        heads: What the frozen model's head was chosen from.
        fitted: The frozen model's head, fitted on all images.
        features: Of all images by the frozen backbone, shape (images, width).
        task: What is to be learnt.
        recipe: How to train.
        options: Of fine-tuning.
        plan: Which views of which images.
        cut: The backbone above the boundary, and its rows.
        setting: How steps are taken.
        frozen: Weights of the backbone that every round starts from.
        folder: Of the checkpoints.
        resume: Go on from them.
        identity: What they must have in common with this training.
        deadline: When to be done, by `time.perf_counter`.
        warn: Told what the user should know.
        progress: Called with steps done and steps in all.
    """

    extractor: FeatureExtractor
    heads: HeadChoice
    fitted: Reading
    features: Array
    task: Task
    recipe: Recipe
    options: TuneOptions
    plan: ViewPlan
    cut: Cut
    setting: Setting
    frozen: dict[str, Tensor]
    folder: Path | None
    resume: bool
    identity: dict[str, Any]
    deadline: float | None
    warn: Warn
    progress: Progress | None


@dataclass(frozen=True)
class Round:
    """One training.

    Attributes:
        judge: Numbers of the images held out.
        trained: What the loop gave.
        seconds: What it took.
        alpha: Share of the tuned weights, if they were interpolated; else 1.
        heads: "tuned", the one trained along, and "refitted" on the tuned features.
        scores: Of the images held out, by each of them and by the frozen model, "probe".
        weights: Of the backbone.
    """

    judge: Rows
    trained: Trained
    seconds: float
    alpha: float
    heads: dict[str, Reading]
    scores: dict[str, Array]
    weights: dict[str, Tensor]

    def put(self, backbone: Backbone) -> None:
        """Put the round's weights into the backbone."""
        backbone.network.load_state_dict(self.weights)


def train_rounds(bench: Bench) -> list[Round]:
    """Train every round that the time allows; without any, train once on everything."""
    task, rounds = bench.task, list[Round]()
    everything = np.arange(len(task.labels))
    sides = task.rounds or ((everything, everything[:0]),)
    for number, (learn, judge) in enumerate(sides):
        if rounds and (rounds[-1].trained.stopped == INTERRUPTED or _spent(bench, rounds)):
            break
        parts = len(sides) - number + task.final
        rounds.append(_train(bench, f"round-{number}", learn, judge, deadline=_share(bench, parts)))
    return rounds


def train_finally(bench: Bench, rounds: Sequence[Round]) -> Round | None:
    """Train on all images for as many epochs as was best, if there is time; else give None."""
    if any(one.trained.stopped == INTERRUPTED for one in rounds):
        return None
    epochs = max(1, round(median(one.trained.best_epoch for one in rounds)))
    everything = np.arange(len(bench.task.labels))
    expected = max(_seconds_of_an_image(one, bench) for one in rounds) * epochs * len(everything)
    if bench.deadline and time.perf_counter() + expected > bench.deadline:
        bench.warn("No time is left to learn from the held-out images as well.")
        return None
    alpha = float(np.mean([one.alpha for one in rounds]))
    return _train(bench, "final", everything, everything[:0], epochs=epochs, alpha=alpha)


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
    begin, backbone = time.perf_counter(), bench.extractor.backbone
    backbone.network.load_state_dict(bench.frozen)
    probe, start = _heads_before(bench, learn)
    assert isinstance(start.head, (LinearModel, MLPModel))
    columns = bench.heads.layout.columns(start.features)
    network = HeadedNetwork(bench.cut.above, start.head, columns, dropout=bench.recipe.dropout)
    before = network.copied()
    loop = Loop(
        network,
        backbone.network,
        bench.cut.source,
        Lesson(bench.task.labels, learn, judge, bench.task.names, epochs),
        bench.recipe,
        bench.setting,
        views=bench.plan.views,
        folder=bench.folder / name if bench.folder else None,
        identity=bench.identity,
        deadline=deadline,
        told=bench.options.listeners,
        warn=bench.warn,
        progress=bench.progress,
    )
    trained = loop.run(resume=bench.resume)
    if bench.options.wise and len(judge):
        alpha = _best_alpha(bench, network, before, judge)
    if alpha < 1:
        network.put(between(before, network.copied(), alpha))
    heads = {"tuned": Reading(network.top.head(), start.features)}
    scores = {"probe": _scores(bench, probe, bench.features[judge])}
    scores["tuned"] = judged(network, bench.cut.source, judge, bench.setting).numpy()
    diverged = trained.stopped is not None and trained.best_epoch == 0
    if bench.recipe.choose and not diverged:
        heads["refitted"], scores["refitted"] = _refitted(bench, network, learn, judge)
    weights = {key: one.clone() for key, one in backbone.network.state_dict().items()}
    seconds = time.perf_counter() - begin
    return Round(judge, trained, seconds, alpha, heads, scores, weights)


def _heads_before(bench: Bench, learn: Rows) -> tuple[Reading, Reading]:
    """Give the frozen model's head for what is learnt from, and the one to start from."""
    probe = bench.fitted
    if len(learn) < len(bench.task.labels):
        probe = _fit(bench, bench.heads, bench.features[learn], learn)
    if isinstance(probe.head, (LinearModel, MLPModel)):
        return probe, probe
    return probe, _fit(bench, bench.heads.linear(), bench.features[learn], learn)


def _fit(bench: Bench, heads: HeadChoice, features: Array, rows: Rows) -> Reading:
    groups = [bench.task.groups[row] for row in rows]
    fit = heads.fit(features, bench.task.labels[rows], groups)
    return Reading(fit.head, fit.features)


def _scores(bench: Bench, reading: Reading, features: Array) -> Array:
    """Give scores of some images, by features of shape (images, width)."""
    return reading.head.logits(features[:, bench.heads.layout.columns(reading.features)])


def _best_alpha(
    bench: Bench, network: HeadedNetwork, before: dict[str, Tensor], judge: Rows
) -> float:
    """Interpolate between start and end, and take what the held-out images like best."""
    after = network.copied()
    labels = bench.task.labels[judge]
    losses = {}
    for alpha in _ALPHAS:
        network.put(between(before, after, alpha))
        scores = judged(network, bench.cut.source, judge, bench.setting)
        losses[alpha] = float(nn.functional.cross_entropy(scores, torch.from_numpy(labels)))
    network.put(after)
    return min(losses, key=losses.__getitem__)


def _refitted(
    bench: Bench, network: HeadedNetwork, learn: Rows, judge: Rows
) -> tuple[Reading, Array]:
    """Fit the head anew, on the tuned features."""
    source, setting = bench.cut.source, bench.setting
    features = judged(network.above, source, learn, setting).numpy()
    reading = _fit(bench, bench.heads, features, learn)
    if not len(judge):
        return reading, np.zeros((0, bench.heads.classes), dtype=np.float32)
    held = judged(network.above, source, judge, setting).numpy()
    return reading, _scores(bench, reading, held)


def _share(bench: Bench, parts: int) -> float | None:
    """Give the deadline of the next of some trainings that have to share what time is left."""
    if bench.deadline is None:
        return None
    now = time.perf_counter()
    return now + max(0.0, bench.deadline - now) / parts


def _spent(bench: Bench, rounds: Sequence[Round]) -> bool:
    """Tell whether another round like the last would end after the deadline."""
    after = time.perf_counter() + rounds[-1].seconds
    return bench.deadline is not None and after > bench.deadline


def _seconds_of_an_image(one: Round, bench: Bench) -> float:
    """Give what one image cost in one epoch of a round."""
    images = len(bench.task.labels) - len(one.judge)
    return sum(epoch.seconds for epoch in one.trained.history) / max(
        1, images * len(one.trained.history)
    )
