"""Step 6 for galleries: tune the last layers so that images of the same label are near each other.

The loss is proxy anchor (Kim et al., 2020), by pytorch-metric-learning: each label has a learned
point, to which its images are drawn and from which others are pushed. What is learnt is judged on
labels that were not learnt from, as those of a gallery are not known yet. They also decide how far
the weights go from the pretrained towards the tuned ones (Wortsman et al., 2022), as halfway they
often do better on what is new. If that helps, a final training learns from all labels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from headstart.arrays import Features, Rows, Scores
from headstart.backbones.layout import FeatureLayout
from headstart.errors import DataError, OptionError
from headstart.evaluation.intervals import paired_difference
from headstart.galleries.embedding import Embedding
from headstart.galleries.retrieval import Retrieval, retrieve
from headstart.record import MetricTuning
from headstart.tuning.boundary.store import OutOfTime
from headstart.tuning.events.events import recorded
from headstart.tuning.job import Job
from headstart.tuning.pacing.session import Session
from headstart.tuning.training.checkpoint import Checkpoints
from headstart.tuning.training.examples import Examples
from headstart.tuning.training.loop import (
    INTERRUPTED,
    OUT_OF_TIME,
    Loop,
    Monitoring,
    TrainingResult,
)
from headstart.tuning.training.network import TrainedNetwork
from headstart.tuning.training.setup import Setup
from headstart.tuning.trainings import FINAL, mark_finished, round_name, training_folder
from headstart.tuning.unfreezing import unfrozen
from headstart.tuning.workbench import Workbench, identity_of, open_workbench
from headstart.watching import name_step

LEAST_LABELS = 4
"""With fewer labels, none can be held out and told from another one."""

_HELD_OUT, _MOST_OF_FEW = 0.2, 20
# The points of labels begin anywhere, while the features are those of a trained network.
_PROXY_RATE = 20.0
_RATE = 3e-4
_STEPS = (0.25, 0.5, 0.75, 1.0)
_ROUND = "round-0"
# Reasons to stop after which a training can be resumed.
_CUT_OFF = (INTERRUPTED, OUT_OF_TIME)


@dataclass(frozen=True)
class MetricOutcome:
    """The outcome of metric tuning.

    Attributes:
        record: What was found on labels that were not learnt from.
        weights: Weights of the tuned network, on the CPU; None if the network stays frozen.
        folder: Folder with the checkpoints and events of this training, or None.
    """

    record: MetricTuning
    weights: dict[str, Tensor] | None
    folder: Path | None


class Proxies(nn.Module):
    """Passes features on, and knows a point for each label that is learnt from.

    Args:
        width: Width of the features.
        labels: The numbers of the labels that are learnt from.
        classes: The number of all labels.
        seed: Seed of the first points.
    """

    def __init__(self, width: int, labels: Rows, classes: int, seed: int) -> None:
        from pytorch_metric_learning.losses import ProxyAnchorLoss

        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.anchors = ProxyAnchorLoss(len(labels), width)
        places = torch.full((classes,), -1)
        places[torch.from_numpy(labels)] = torch.arange(len(labels))
        self.register_buffer("places", places, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features

    def loss(self, features: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of features, (images, width), with encoded labels."""
        places: Tensor = self.get_buffer("places")
        loss: Tensor = self.anchors(features, places[truth.argmax(dim=1)])
        return loss


@dataclass(frozen=True, eq=False)
class Likeness:
    """To draw images of a label together, see `Objective`.

    Attributes:
        proxies: The points of the labels.
        targets: The label of each image.
        groups: The number of each image's group; images of its own are not found.
    """

    proxies: Proxies
    targets: Rows
    groups: Rows
    guessing: float = float("inf")

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """See `Objective.loss`."""
        return self.proxies.loss(outputs, truth)

    def measure(self, outputs: Scores, images: Rows) -> tuple[float, float]:
        """Return 1 - mAP@R and recall@1 of looking up the images among each other."""
        points = outputs - outputs.mean(axis=0)
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        found = retrieve(
            points.astype(np.float32),
            self.targets[images],
            self.groups[images],
            np.arange(len(images)),
        )
        return 1 - found.map_at_r, found.recall(1)


def require_metric_learning() -> None:
    """Check that the package with the loss is installed.

    Raises:
        OptionError: It is not.
    """
    if find_spec("pytorch_metric_learning") is None:
        raise OptionError("For metric tuning, run pip install 'headstart[metric]'.")


def tune_metric(job: Job, part: str) -> MetricOutcome | None:
    """Tune a part of the backbone for galleries; the job's own backbone does not change.

    Args:
        job: The frozen model, the images and the options. Its images have one label each.
        part: "all", "stages:N" or "layers:N".

    Returns:
        The outcome; None if the time limit was reached before training began.

    Raises:
        DataError: There are too few labels.
        OptionError: There is no such part, or pytorch-metric-learning is not installed.
        TuningError: Only trainings with other options can be resumed, or the same training is
            already running.
    """
    require_metric_learning()
    learnt, held_out = split_labels(np.asarray(job.images.targets), job.images.seed)
    options: dict[str, object] = identity_of(job, part) | {"objective": "metric"}
    with (
        training_folder(job.folder, options, resume=job.resume, warn=job.warn) as folder,
        unfrozen(job.extractor.backbone, job.extractor.device) as backbone,
    ):
        job = replace(job, folder=folder)
        name_step(job.progress, "preparing")
        session = Session.read(folder) if job.resume else None
        try:
            bench = open_workbench(job, part, session, backbone)
        except OutOfTime:
            job.warn("The time limit was reached before training could begin.")
            return None
        recipe = replace(
            bench.recipe,
            head_rate=_PROXY_RATE,
            learning_rate=job.options.learning_rate or _RATE,
        )
        bench = replace(bench, recipe=recipe, identity=options)
        outcome = _tune(bench, learnt, held_out)
        if outcome.record.stopped not in _CUT_OFF:
            mark_finished(folder)
        return outcome


def split_labels(targets: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return the rows of images whose labels are learnt from, and of those that are held out.

    Args:
        targets: The number of each image's label.
        seed: Random seed of the choice.

    Raises:
        DataError: There are too few labels that have two images.
    """
    labels, counts = np.unique(targets, return_counts=True)
    labels = labels[counts > 1]
    if len(labels) < LEAST_LABELS:
        raise DataError(
            f"Metric tuning is judged on labels that it has not learnt from, so it needs at least "
            f"{LEAST_LABELS} labels with two images or more. There are {len(labels)}."
        )
    order = np.random.default_rng(seed).permutation(labels)
    # Few labels are told apart so easily that nothing can be gained.
    count = max(round(_HELD_OUT * len(labels)), min(len(labels) // 2, _MOST_OF_FEW))
    apart = np.isin(targets, order[:count])
    return np.flatnonzero(~apart), np.flatnonzero(apart)


def _tune(bench: Workbench, learnt: Rows, held_out: Rows) -> MetricOutcome:
    """Train without the held-out labels, judge, and train on all labels if it helps."""
    frozen = _best_retrieval(bench, bench.job.features[held_out], held_out)
    trained = _train(bench, _ROUND, learnt, held_out)
    step, tuned = 0.0, frozen
    if trained.result.best_epoch:
        name_step(bench.job.progress, "judging on the held-out labels")
        step, tuned = _best_step(bench, trained, held_out)
    better = _better(tuned, frozen)
    weights = _weights(bench, trained, step) if better else None
    results = [trained.result]
    if better and trained.result.stopped not in _CUT_OFF:
        recipe = replace(bench.recipe, epochs=trained.result.best_epoch)
        everything, none = bench.job.images.everything
        final = _train(replace(bench, recipe=recipe), FINAL, everything, none)
        results.append(final.result)
        if final.result.stopped is None:
            weights = _weights(bench, final, step)
    record = _record(bench, held_out, frozen, tuned, results, step=step, kept=better)
    return MetricOutcome(record, weights, bench.job.folder)


def _better(tuned: Retrieval, frozen: Retrieval) -> bool:
    """Return whether tuning helps; where the frozen network finds all, nothing shows that."""
    return tuned.recall(1) > frozen.recall(1) and tuned.map_at_r >= frozen.map_at_r


@dataclass(frozen=True, eq=False)
class _Trained:
    """A trained network.

    Attributes:
        network: The network.
        start: What was trained, before the training.
        end: The same after it.
        result: The result of the training.
    """

    network: TrainedNetwork
    start: dict[str, Tensor]
    end: dict[str, Tensor]
    result: TrainingResult

    def go(self, step: float) -> None:
        """Load the weights that are so far from the pretrained to the tuned ones, 0 to 1."""
        self.network.load_trained_state(
            {
                name: torch.lerp(self.start[name], end, step) if end.is_floating_point() else end
                for name, end in self.end.items()
            }
        )


def _best_step(bench: Workbench, trained: _Trained, held_out: Rows) -> tuple[float, Retrieval]:
    """Return how far to go from the pretrained to the tuned weights, and what is found then."""
    found: dict[float, Retrieval] = {}
    for step in _STEPS:
        trained.go(step)
        features = _features(bench, trained.network, held_out)
        found[step] = _best_retrieval(bench, features, held_out)
    best = max(found, key=lambda step: found[step].recall(1) + found[step].map_at_r)
    return best, found[best]


def _weights(bench: Workbench, trained: _Trained, step: float) -> dict[str, Tensor]:
    trained.go(step)
    return bench.backbone.weights()


def _train(bench: Workbench, name: str, learnt: Rows, held_out: Rows) -> _Trained:
    """Train once, from the original weights."""
    job = bench.job
    bench.backbone.reset()
    columns, targets = job.extractor.layout.columns("last"), np.asarray(job.images.targets)
    proxies = Proxies(
        columns.stop, np.unique(targets[learnt]), job.heads.classes, bench.recipe.seed
    ).to(job.extractor.device)
    network = TrainedNetwork(bench.boundary.above, proxies, columns)
    start = network.copy_trained_state()
    examples = Examples(
        *(bench.boundary.source, job.heads.task, job.images.targets, job.heads.classes),
        *(learnt, held_out),
        names=job.images.names,
        views=bench.plan.views,
        measured_views=job.orientations,
    )
    checkpoints = None
    if job.folder:
        checkpoints = Checkpoints(job.folder / name, bench.identity, job.resume)
    deadline = job.deadline
    if deadline and name != FINAL:  # Half of the time is left for the training on all labels.
        deadline = (deadline + time.perf_counter()) / 2
    monitoring = Monitoring(
        deadline, job.options.listeners, job.progress, job.warn, round_name(name)
    )
    objective = Likeness(proxies, targets, _numbers(job))
    backbone = bench.backbone.network
    setup = Setup(network, backbone, examples, bench.recipe, bench.setting, checkpoints)
    result = Loop(setup, monitoring, objective).run()
    return _Trained(network, start, network.copy_trained_state(), result)


def _features(bench: Workbench, network: TrainedNetwork, images: Rows) -> Features:
    """Return the features of all stages that were read, (images, width), by a tuned network."""
    return np.asarray(bench.predict(network.above, images).numpy(), dtype=np.float32)


def _best_retrieval(bench: Workbench, features: Features, images: Rows) -> Retrieval:
    """Look up images among each other by the features that find most of them.

    Args:
        bench: Everything that trainings share.
        features: Features of the images, (images, width).
        images: Their numbers.
    """
    layout = bench.job.extractor.layout
    targets, groups = np.asarray(bench.job.images.targets)[images], _numbers(bench.job)[images]
    found = [
        retrieve(embedding.of_features(features), targets, groups, np.arange(len(images)))
        for embedding in _embeddings(features, layout)
    ]
    return max(found, key=lambda one: (one.recall(1), one.map_at_r))


def _embeddings(features: Features, layout: FeatureLayout) -> Iterator[Embedding]:
    for kind in layout.kinds:
        if kind != "flatten" and layout.columns(kind).stop <= features.shape[1]:
            yield Embedding.of(features, layout, kind, "centred")


def _numbers(job: Job) -> Rows:
    groups = np.array(job.images.groups, dtype=object).astype(str)
    return np.unique(groups, return_inverse=True)[1]


def _record(
    bench: Workbench,
    held_out: Rows,
    frozen: Retrieval,
    tuned: Retrieval,
    results: list[TrainingResult],
    *,
    step: float,
    kept: bool,
) -> MetricTuning:
    known = frozen.rank > 0
    return MetricTuning(
        part=bench.part,
        kept=kept,
        step=step,
        labels=len(np.unique(np.asarray(bench.job.images.targets)[held_out])),
        images=int(known.sum()),
        frozen_recall_at_1=frozen.recall(1),
        tuned_recall_at_1=tuned.recall(1),
        gain_ci95=paired_difference((tuned.rank == 1)[known], (frozen.rank == 1)[known]),
        frozen_map_at_r=frozen.map_at_r,
        tuned_map_at_r=tuned.map_at_r,
        best_epoch=results[0].best_epoch,
        learning_rate=bench.recipe.learning_rate,
        seconds=time.perf_counter() - bench.job.begin,
        stopped=next((one.stopped for one in results if one.stopped in _CUT_OFF), None),
        epochs=tuple(map(recorded, results[0].history)),
    )
