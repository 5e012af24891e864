"""The heads of a round: the probe, the initial head, and the heads for the tuned network.

There is no model selection on tuned features: the network was trained on the labels of images that
a fold would hold out. Instead, the frozen model's choices are reused.
"""

from dataclasses import dataclass

import numpy as np
import torch

from headstart.arrays import Features, Rows, Scores
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import LinearModel, MLPModel
from headstart.heads.specs import KernelHead, NearestHead
from headstart.tuning.candidates import REFITTED, TRAINED
from headstart.tuning.job import ClassifierHead
from headstart.tuning.training.network import HeadedNetwork
from headstart.tuning.workbench import Workbench

_VIEWS_FITTED = 2


@dataclass(frozen=True)
class Probe:
    """The frozen model's head, fitted on the training images of a round.

    Attributes:
        head: The fitted head.
        choice: Its features and hyperparameters.
    """

    head: ClassifierHead
    choice: HeadChoice


def fit_probe(bench: Workbench, rows: Rows) -> Probe:
    """Fit the frozen model's head on some of the images."""
    job = bench.job
    if not bench.recipe.choose and len(rows) == len(job.images):
        return Probe(job.fitted, job.heads)
    groups = [job.images.groups[row] for row in rows]
    fit = job.heads.fit(job.features[rows], job.images.targets[rows], groups)
    return Probe(ClassifierHead(fit.head, fit.features), job.heads.with_fixed_choice(fit))


def starting_head(bench: Workbench, probe: ClassifierHead, rows: Rows) -> ClassifierHead:
    """Return the initial head for training: a trainable head, fitted on augmented views."""
    if isinstance(probe.head, MLPModel):
        return probe
    if bench.plan.views > 1:
        return _fit_on_views(bench, rows)
    if isinstance(probe.head, LinearModel):
        return probe
    if not bench.recipe.choose:
        bench.job.warn(
            "The recipe trains the head together with the layers, so a linear head replaces the "
            f"{probe.head.kind} head."
        )
    return _fit(bench, bench.job.heads.with_linear_head(), bench.job.features[rows], rows)


@dataclass(frozen=True)
class RoundHeads:
    """The candidate heads for a tuned network.

    Attributes:
        bench: Everything that all rounds share.
        network: The tuned network.
        train: Indices of its training images.
        held_out: Indices of the held-out images.
        features: Which features the jointly trained head uses.
        choice: Features and hyperparameters of the frozen model's head.
    """

    bench: Workbench
    network: HeadedNetwork
    train: Rows
    held_out: Rows
    features: str
    choice: HeadChoice

    def fit(self) -> dict[str, ClassifierHead]:
        """Return the heads by name, see `candidates`."""
        heads, choose = {}, self.bench.recipe.choose
        # A kind of head that was chosen by the user and cannot be trained is only refitted.
        if not choose or not isinstance(self.bench.job.heads.head, (KernelHead, NearestHead)):
            heads[TRAINED] = ClassifierHead(self.network.top.head(), self.features)
        if choose:
            features = self.bench.predict(self.network.above, self.train).numpy()
            heads[REFITTED] = _fit(self.bench, self.choice, features, self.train)
        return heads

    def scores(self, heads: dict[str, ClassifierHead]) -> dict[str, Scores]:
        """Return each head's scores of the held-out images."""
        scores: dict[str, Scores] = {}
        if TRAINED in heads:
            scores[TRAINED] = self.bench.predict(self.network, self.held_out).numpy()
        if REFITTED in heads and len(self.held_out):
            features = self.bench.predict(self.network.above, self.held_out).numpy()
            scores[REFITTED] = scores_of(self.bench, heads[REFITTED], features)
        return scores


def scores_of(bench: Workbench, head: ClassifierHead, features: Features) -> Scores:
    """Return a head's scores of some images from features of shape (images, width)."""
    return head.head.logits(features[:, bench.job.heads.layout.columns(head.features)])


def _fit_on_views(bench: Workbench, rows: Rows) -> ClassifierHead:
    """Fit a linear head on augmented views, as in training.

    For a head that was fitted on unchanged images, the features of the first step would be
    unfamiliar, and large gradients would spoil the network before the head adapts.
    """
    views = bench.plan.views
    images_by_view = {view: rows[(rows - view) % views < _VIEWS_FITTED] for view in range(views)}
    images_by_view = {view: images for view, images in images_by_view.items() if len(images)}
    above = bench.boundary.above
    features = [
        bench.predict_views(above, images, (view,)) for view, images in images_by_view.items()
    ]
    images = np.concatenate(list(images_by_view.values()))
    return _fit(bench, bench.job.heads.with_linear_head(), torch.cat(features).numpy(), images)


def _fit(bench: Workbench, heads: HeadChoice, features: Features, rows: Rows) -> ClassifierHead:
    groups = [bench.job.images.groups[row] for row in rows]
    fit = heads.fit(features, bench.job.images.targets[rows], groups)
    return ClassifierHead(fit.head, fit.features)
