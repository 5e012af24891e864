"""The bench that all rounds work at: the backbone cut open, its rows, and how steps are taken."""

import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.arrays import Rows
from headstart.data.orientations import count_of
from headstart.errors import OptionError
from headstart.options import AugmentOption, OrientationsOption, TuneOptions
from headstart.tuning.checkpoint import read_checkpoint, require_same
from headstart.tuning.job import Job
from headstart.tuning.network import HeadedNetwork, untrained
from headstart.tuning.recipe import Recipe, learning_rate_of
from headstart.tuning.session import Session
from headstart.tuning.setting import Setting, candidates, fastest
from headstart.tuning.sources import Cut, cut_open, judged
from headstart.tuning.views import OutOfTime, ViewPlan

_PRESETS: dict[str, AugmentOption] = {"mirror": "flip", "dihedral": "dihedral"}


@dataclass(frozen=True)
class Bench:
    """Everything that all rounds share.

    Attributes:
        job: What was asked for.
        part: What is trained: "all", "stages:N" or "layers:N".
        recipe: How to train.
        plan: Which views of which images.
        cut: The backbone above the boundary, and its rows.
        setting: How steps are taken.
        frozen: Weights of the backbone that every round starts from.
        identity: What checkpoints must have in common with this training.
    """

    job: Job
    part: str
    recipe: Recipe
    plan: ViewPlan
    cut: Cut
    setting: Setting
    frozen: dict[str, Tensor]
    identity: dict[str, Any]

    @property
    def averaged(self) -> int:
        """Over how many views the features of an image are averaged."""
        return count_of(self.job.extractor.backbone.preprocess.orientations)

    def judged(self, network: nn.Module, images: Rows) -> Tensor:
        """Give what a network makes of rows of some images, (images, width), as it will be read."""
        return judged(network, self.cut.source, images, self.setting, range(self.averaged))

    def seen(self, network: nn.Module, images: Rows, view: int) -> Tensor:
        """Give what a network makes of rows of one view of some images, (images, width)."""
        return judged(network, self.cut.source, images, self.setting, (view,))


def open_bench(job: Job, part: str, session: Session | None, frozen: dict[str, Tensor]) -> Bench:
    """Cut the backbone open, fill the boundary store, and find the fastest way to take a step.

    Args:
        job: What was asked for.
        part: What is trained.
        session: What timing has found before, for a plan or for the training that is resumed.
        frozen: Weights of the backbone.

    Raises:
        OptionError: There is no such part.
        TuningError: The checkpoints are of another training.
        OutOfTime: The boundary store was not filled and no step timed before the deadline.
    """
    recipe = _recipe(job)
    if recipe.batch_size < job.options.batch_size:
        job.warn(f"There are {recipe.batch_size} images, so a step takes all of them.")
    plan = _plan(job)
    identity = _identity(job, part, recipe, plan)  # Names the weights: before any of them learns.
    if job.resume and job.folder:
        _require_resumable(job, identity)
    cut = cut_open(
        job.extractor,
        plan,
        part,
        job.options,
        reads="last" if job.heads.kinds == ("last",) else job.extractor.reads,
        warn=job.warn,
        progress=job.progress,
        deadline=job.deadline,
    )
    setting = session.setting if session else _timed(job, cut, recipe)
    setting.laid_out(cut.above)  # As after timing, so that a resumed run computes alike.
    if job.deadline and time.perf_counter() > job.deadline:
        raise OutOfTime
    Session(part, recipe.epochs, setting).write(job.folder)
    return Bench(job, part, recipe, plan, cut, setting, frozen, identity)


def _plan(job: Job) -> ViewPlan:
    orientations = job.extractor.backbone.preprocess.orientations
    preset, views = views_of(job.options, orientations)
    return ViewPlan(job.task.files, preset, views, job.task.seed)


def views_of(options: TuneOptions, orientations: OrientationsOption) -> tuple[AugmentOption, int]:
    """Say which views are kept: an image that is read in many orientations is learnt from in all.

    Raises:
        OptionError: The views that were asked for are others.
    """
    if orientations == "one":
        return options.augment, options.views_kept
    preset = _PRESETS[orientations]
    if options.augment not in (preset, "flip"):  # flip is the default.
        raise OptionError(
            f"Images are read in orientations '{orientations}', and fine-tuning learns from "
            f"those. Leave augment '{options.augment}' out."
        )
    return preset, count_of(orientations)


def _require_resumable(job: Job, identity: dict[str, Any]) -> None:
    """Refuse another training before anything is computed for it."""
    for folder in sorted(job.folder.glob("*/")) if job.folder else []:
        found, _ = read_checkpoint(folder)
        if found:
            require_same(found.state["identity"], identity, folder)


def _recipe(job: Job) -> Recipe:
    options, task = job.options, job.task
    learnt = len(task.labels) if task.final or not task.rounds else len(task.rounds[0][0])
    kind = Recipe.tutorial() if options.recipe == "tutorial" else Recipe(mixup=options.mixup)
    return replace(
        kind,
        epochs=options.epochs,
        learning_rate=options.learning_rate
        or learning_rate_of(job.extractor.backbone.architecture, learnt),
        batch_size=min(options.batch_size, len(task.labels)),
        seed=task.seed,
    )


def _identity(job: Job, part: str, recipe: Recipe, plan: ViewPlan) -> dict[str, Any]:
    return {
        "headstart": version("headstart"),
        "backbone": job.extractor.backbone.architecture,
        "preprocess": job.extractor.backbone.preprocess.to_dict(),
        "precision": job.extractor.precision,
        "device": job.extractor.device,
        "weights": job.extractor.fingerprint.key,
        "part": part,
        "head": repr(job.heads.head),
        "features": list(job.heads.kinds),
        "balanced": job.heads.balanced,
        **recipe.__dict__,
        "augment": plan.preset,
        "views": plan.views,
        "number of images": len(job.task.labels),
        "images": job.task.digest(),
    }


def _timed(job: Job, cut: Cut, recipe: Recipe) -> Setting:
    """Find the fastest way to take a step, with a head of the right size."""
    width = job.heads.layout.columns(job.heads.kinds[-1]).stop
    head = untrained(width, job.heads.classes)
    batch = np.arange(recipe.batch_size)
    rows, labels = cut.source.rows(batch, 0), torch.from_numpy(job.task.labels[batch])
    network = HeadedNetwork(cut.above, head, slice(0, width))
    ways = candidates(device=job.extractor.device, bf16=job.extractor.may_use_bf16)
    return fastest(network, rows, labels, ways)
