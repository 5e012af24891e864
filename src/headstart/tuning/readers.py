"""The heads of a round: the frozen model's, the one to start from, and those that read the result.

Nothing is chosen on tuned features: they know the labels of the images that a fold would hold out,
so the frozen model's choices are fitted again as they are.
"""

from dataclasses import dataclass

import numpy as np
import torch

from headstart.arrays import Features, Rows, Scores
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import LinearModel, MLPModel
from headstart.heads.specs import KernelHead, NearestHead
from headstart.tuning.job import Reading
from headstart.tuning.rivals import ALONG, REFITTED
from headstart.tuning.training.network import HeadedNetwork
from headstart.tuning.workbench import Workbench

_VIEWS_FITTED = 2


@dataclass(frozen=True)
class Probe:
    """The frozen model's head, fitted on what a round learns from.

    Attributes:
        reading: The head.
        settled: How it was chosen to be fitted.
    """

    reading: Reading
    settled: HeadChoice


def fit_probe(bench: Workbench, rows: Rows) -> Probe:
    """Fit the frozen model's head on some of the images."""
    job = bench.job
    if not bench.recipe.choose and len(rows) == len(job.images):
        return Probe(job.fitted, job.heads)
    groups = [job.images.groups[row] for row in rows]
    fit = job.heads.fit(job.features[rows], job.images.targets[rows], groups)
    return Probe(Reading(fit.head, fit.features), job.heads.with_fixed_choice(fit))


def starting_head(bench: Workbench, probe: Reading, rows: Rows) -> Reading:
    """Return the head that training starts from: one that can be trained, and that knows views."""
    if isinstance(probe.head, MLPModel):
        return probe
    if bench.plan.views > 1:
        return _fit_on_views(bench, rows)
    if isinstance(probe.head, LinearModel):
        return probe
    return _fit(bench, bench.job.heads.with_linear_head(), bench.job.features[rows], rows)


@dataclass(frozen=True)
class Reader:
    """Reads a trained network's features with the heads that may be used.

    Attributes:
        bench: What all rounds share.
        network: The trained one.
        train: Numbers of the images that it learnt from.
        held_out: Numbers of those that it did not.
        features: Which columns the head reads that was trained along.
        settled: How the frozen model's head was chosen to be fitted.
    """

    bench: Workbench
    network: HeadedNetwork
    train: Rows
    held_out: Rows
    features: str
    settled: HeadChoice

    def heads(self) -> dict[str, Reading]:
        """Return the heads by their names, see `rivals`."""
        heads = {}
        # A kind of head that was asked for and cannot be trained along is only fitted again.
        if not isinstance(self.bench.job.heads.head, (KernelHead, NearestHead)):
            heads[ALONG] = Reading(self.network.top.head(), self.features)
        if self.bench.recipe.choose:
            features = self.bench.predict(self.network.above, self.train).numpy()
            heads[REFITTED] = _fit(self.bench, self.settled, features, self.train)
        return heads

    def scores(self, heads: dict[str, Reading]) -> dict[str, Scores]:
        """Return each head's scores of the images held out."""
        scores: dict[str, Scores] = {}
        if ALONG in heads:
            scores[ALONG] = self.bench.predict(self.network, self.held_out).numpy()
        if REFITTED in heads and len(self.held_out):
            features = self.bench.predict(self.network.above, self.held_out).numpy()
            scores[REFITTED] = scores_of(self.bench, heads[REFITTED], features)
        return scores


def scores_of(bench: Workbench, reading: Reading, features: Features) -> Scores:
    """Return a head's scores of some images, by features of shape (images, width)."""
    return reading.head.logits(features[:, bench.job.heads.layout.columns(reading.features)])


def _fit_on_views(bench: Workbench, rows: Rows) -> Reading:
    """Fit a linear head on views as training sees them.

    One that was fitted on the images as they are would meet features that it does not know in the
    first step, and what the network knows would be spoilt before the two agree.
    """
    views = bench.plan.views
    some = {view: rows[(rows - view) % views < _VIEWS_FITTED] for view in range(views)}
    some = {view: images for view, images in some.items() if len(images)}
    above = bench.boundary.above
    seen = [bench.predict_views(above, images, (view,)) for view, images in some.items()]
    images = np.concatenate(list(some.values()))
    return _fit(bench, bench.job.heads.with_linear_head(), torch.cat(seen).numpy(), images)


def _fit(bench: Workbench, heads: HeadChoice, features: Features, rows: Rows) -> Reading:
    groups = [bench.job.images.groups[row] for row in rows]
    fit = heads.fit(features, bench.job.images.targets[rows], groups)
    return Reading(fit.head, fit.features)
