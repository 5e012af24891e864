"""Everything that all rounds share: the backbone cut at the boundary, its rows, the setting."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

import numpy as np
from torch import Tensor, nn

from headstart.arrays import Rows
from headstart.backbones.layout import Reads
from headstart.tuning.boundary.rows import Boundary, open_boundary, predict_rows
from headstart.tuning.boundary.store import OutOfTime
from headstart.tuning.boundary.views import ViewPlan, views_of
from headstart.tuning.job import Job
from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting, candidate_settings, fastest_setting
from headstart.tuning.training.network import HeadedNetwork, zero_head
from headstart.tuning.training.recipe import Recipe, learning_rate_of
from headstart.tuning.tutorial import RECIPE as TUTORIAL
from headstart.tuning.unfreezing import Unfrozen
from headstart.watching import name_step

# Shortened hashes, which users see in lists of differences.
_DIGITS = 16


@dataclass(frozen=True)
class Workbench:
    """Everything that all rounds share.

    Attributes:
        job: The fine-tuning job.
        part: The part to train: "all", "stages:N" or "layers:N".
        recipe: Hyperparameters.
        plan: The views of the images.
        boundary: The backbone above the boundary, and its rows.
        setting: How training steps are computed.
        backbone: The complete backbone, unfrozen.
        identity: Everything that must be equal for a training to be resumed from a checkpoint.
    """

    job: Job
    part: str
    recipe: Recipe
    plan: ViewPlan
    boundary: Boundary
    setting: Setting
    backbone: Unfrozen
    identity: dict[str, object]

    def predict(self, network: nn.Module, images: Rows) -> Tensor:
        """Return a network's output for some images, (images, width), as in prediction."""
        return self.predict_views(network, images, range(self.job.orientations))

    def predict_views(self, network: nn.Module, images: Rows, views: Sequence[int]) -> Tensor:
        """Return a network's output for some images, averaged over some views."""
        return predict_rows(network, self.boundary.source, images, self.setting, views)


def open_workbench(job: Job, part: str, session: Session | None, backbone: Unfrozen) -> Workbench:
    """Cut the backbone, fill the boundary store, and find the fastest setting.

    Args:
        job: The fine-tuning job.
        part: The part to train.
        session: Earlier decisions based on timing, from a plan or a resumed training.
        backbone: The backbone to train.

    Raises:
        OptionError: There is no such part.
        OutOfTime: The deadline passed before the store was filled and steps were timed.
    """
    recipe = recipe_of(job)
    if recipe.batch_size < job.options.batch_size:
        job.warn(f"There are only {recipe.batch_size} images, so each batch contains all of them.")
    plan = _plan_of(job)
    backbone.unfreeze(part)
    name_step(job.progress, "storing the output of the frozen layers")
    reads: Reads = "last" if job.heads.kinds == ("last",) else job.extractor.reads
    boundary = open_boundary(
        job.extractor,
        plan,
        part,
        reads=reads,
        store_gb=job.options.store_gb,
        warn=job.warn,
        note=job.note,
        progress=job.progress,
        deadline=job.deadline,
    )
    setting = session.setting if session else _time_setting(job, boundary, recipe)
    setting.apply_layout(
        boundary.above
    )  # As after timing, so that a resumed run computes the same.
    if job.deadline and time.perf_counter() > job.deadline:
        raise OutOfTime
    Session(part, recipe.epochs, setting).write(job.folder)
    identity = identity_of(job, part)
    return Workbench(job, part, recipe, plan, boundary, setting, backbone, identity)


def recipe_of(job: Job) -> Recipe:
    """Return the recipe, which follows from the options and the images."""
    options, images = job.options, job.images
    train_images = len(images) if images.final or not images.rounds else len(images.rounds[0][0])
    base = TUTORIAL if options.recipe == "tutorial" else Recipe(mixup=options.mixup)
    return replace(
        base,
        epochs=options.epochs,
        learning_rate=options.learning_rate
        or learning_rate_of(job.extractor.backbone.architecture, train_images),
        batch_size=min(options.batch_size, len(images)),
        seed=images.seed,
    )


def time_step(job: Job, network: nn.Module, rows: Tensor) -> Setting:
    """Return the fastest setting for a training step with a batch of rows."""
    classes = job.heads.classes
    truth = job.heads.task.encode(job.images.targets[: len(rows)], classes)
    settings = candidate_settings(device=job.extractor.device, bf16=job.extractor.allows_bf16)
    if job.options.deterministic:
        return settings[0]
    truth = truth.to(job.extractor.device)
    return fastest_setting(
        network, rows, lambda scores: job.heads.task.training_loss(scores, truth), settings
    )


def _time_setting(job: Job, boundary: Boundary, recipe: Recipe) -> Setting:
    head = zero_head(job.head_width, job.heads.classes)
    network = HeadedNetwork(boundary.above, head, slice(0, job.head_width))
    name_step(job.progress, "timing training steps")
    return time_step(job, network, boundary.source.rows(np.arange(recipe.batch_size), 0))


def _plan_of(job: Job) -> ViewPlan:
    preset, views = views_of(job.options, job.extractor.backbone.preprocess.orientations)
    return ViewPlan(job.images.files, preset, views, job.images.seed)


def identity_of(job: Job, part: str) -> dict[str, object]:
    """Return everything that the weights of a training depend on, the images included."""
    plan, preprocess = _plan_of(job), job.extractor.backbone.preprocess.to_dict()
    return {
        "headstart": version("headstart"),
        "task": job.heads.task.name,
        "backbone": job.extractor.backbone.architecture,
        **{f"preprocess {name}": value for name, value in preprocess.items()},
        "precision": job.extractor.precision,
        "device": job.extractor.device,
        "weights": job.extractor.fingerprint.key[:_DIGITS],
        "part": part,
        "head": repr(job.heads.head),
        "features": list(job.heads.kinds),
        "deterministic": job.options.deterministic,
        "balanced": job.heads.balanced,
        **asdict(recipe_of(job)),
        "augment": plan.preset,
        "views": plan.views,
        "number of images": len(job.images),
        "images": job.images.digest()[:_DIGITS],
    }
