"""Step 6: unfreeze the last layers, go on from the fitted head, and keep that only if it helps.

The fitted linear head is where training starts (LP-FT: Kumar et al., 2022). A round learns from
most of the training images and is judged by the rest, beside the frozen model; if tuning wins, the
model that is kept learns from all of them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from headstart.data.checks import Progress
from headstart.errors import OptionError
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import Array, FittedHead, LinearModel
from headstart.options import TuneOptions
from headstart.tuning.listeners import require_listeners
from headstart.tuning.loop import INTERRUPTED, TIME_WAS_UP, Warn
from headstart.tuning.network import HeadedNetwork
from headstart.tuning.plan import Workload, costs, deepest
from headstart.tuning.recipe import Recipe
from headstart.tuning.report import TuneReport
from headstart.tuning.rounds import Bench, Reading, train_finally, train_rounds
from headstart.tuning.session import Session, forget
from headstart.tuning.setting import Setting, candidates, fastest
from headstart.tuning.sources import Cut, cut_open
from headstart.tuning.task import Task
from headstart.tuning.verdict import Verdict
from headstart.tuning.views import OutOfTime, ViewPlan

Keep = Literal["better", "always"]


@dataclass(frozen=True)
class Outcome:
    """What fine-tuning gave; the backbone holds the weights that are to be used.

    Attributes:
        head: To be used from now on, or None if the frozen model stays.
        features: Which columns it reads.
        temperature: That calibrates it.
        report: What was done and measured.
    """

    head: FittedHead | None
    features: str
    temperature: float
    report: TuneReport


def fine_tune(
    extractor: FeatureExtractor,
    heads: HeadChoice,
    fitted: Reading,
    features: Array,
    task: Task,
    part: str,
    options: TuneOptions,
    *,
    keep: Keep = "better",
    checkpoints: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> Outcome | None:
    """Tune a part of the backbone, and leave in it the weights that are to be used.

    Args:
        extractor: With the backbone, frozen.
        heads: What the frozen model's head was chosen from.
        fitted: That head, fitted on all images.
        features: Of all images by the frozen backbone, shape (images, width).
        task: What is to be learnt.
        part: "all", "stages:N", "layers:N", or "auto": what fits into the minutes.
        options: How.
        keep: "better" keeps the tuned model only if it is surely better; "always" in any case.
        checkpoints: Where the state is kept, or None.
        resume: Go on from there.
        progress: Called with steps done and steps in all.
        warn: Told what the user should know.

    Returns:
        What came of it, or None where "auto" found that no part fits into the time.

    Raises:
        OptionError: There is no such part.
        TuningError: The checkpoint is of another training.
    """
    if options.log and checkpoints is None:
        raise OptionError("log needs a folder to write to. Pass checkpoints=FOLDER as well.")
    require_listeners(options.listeners)
    begin, warn = time.perf_counter(), warn or (lambda text: None)
    network = extractor.backbone.network
    frozen = {name: one.clone() for name, one in network.state_dict().items()}
    outcome = None
    try:
        session = Session.read(checkpoints) if resume else None
        if not resume:
            forget(checkpoints)
        recipe = _recipe(options, task)
        chosen: str | None = part
        if part == "auto":
            planned = None if session else _planned(extractor, heads, features, task, options, warn)
            chosen = session.part if session else planned
        if chosen is None:
            return None
        deadline = begin + 60 * options.minutes if options.minutes else None
        plan = ViewPlan(task.files, options.augment, options.views_kept, task.seed)
        identity = _identity(extractor, heads, chosen, recipe, plan, task)
        cut = cut_open(
            extractor,
            plan,
            chosen,
            options,
            reads="last" if heads.kinds == ("last",) else extractor.reads,
            warn=warn,
            progress=progress,
            deadline=deadline,
        )
        setting = session.setting if session else _timed(extractor, cut, heads, task, recipe)
        Session(chosen, setting).write(checkpoints)
        bench = Bench(
            extractor=extractor,
            heads=heads,
            fitted=fitted,
            features=features,
            task=task,
            recipe=recipe,
            options=options,
            plan=plan,
            cut=cut,
            setting=setting,
            frozen=frozen,
            folder=checkpoints,
            resume=resume,
            identity=identity,
            deadline=deadline,
            warn=warn,
            progress=progress,
        )
        outcome = _outcome(bench, chosen, keep, begin)
        return outcome
    except OutOfTime:
        warn("The time was up before training could begin, so the backbone stays frozen.")
        return None
    finally:
        if outcome is None or outcome.head is None:
            network.load_state_dict(frozen)
        network.to(memory_format=torch.contiguous_format)
        extractor.backbone.freeze()


def _first(reasons: Sequence[str | None]) -> str | None:
    """Give why training ended early: that somebody asked for it counts most."""
    told = [reason for reason in reasons if reason]
    return INTERRUPTED if INTERRUPTED in told else next(iter(told), None)


def _recipe(options: TuneOptions, task: Task) -> Recipe:
    kind = Recipe.tutorial() if options.recipe == "tutorial" else Recipe(mixup=options.mixup)
    return replace(
        kind,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=min(options.batch_size, len(task.labels)),
        seed=task.seed,
    )


def _planned(
    extractor: FeatureExtractor,
    heads: HeadChoice,
    features: Array,
    task: Task,
    options: TuneOptions,
    warn: Warn,
) -> str | None:
    """Choose the deepest part that fits into the minutes."""
    start = heads.linear().fit(features, task.labels, task.groups)
    assert isinstance(start.head, LinearModel)
    learnt = sum(len(learn) for learn, _ in task.rounds) + (len(task.labels) if task.final else 0)
    judged = sum(len(judge) for _, judge in task.rounds)
    work = Workload(
        views=len(task.files) * options.views_kept,
        learnt=learnt * options.epochs,
        judged=judged * (options.epochs + 2) + len(task.files) * len(task.rounds),
        batch_size=min(options.batch_size, len(task.labels)),
    )
    found = costs(
        extractor,
        start.head,
        extractor.layout.columns(start.features),
        work,
        candidates(device=extractor.device, bf16=extractor.may_use_bf16),
        enough=60 * (options.minutes or 0),
    )
    return deepest(found, options.minutes or 0, warn)


def _identity(
    extractor: FeatureExtractor,
    heads: HeadChoice,
    part: str,
    recipe: Recipe,
    plan: ViewPlan,
    task: Task,
) -> dict[str, Any]:
    """Give what a checkpoint must have in common with the training that goes on from it."""
    return {
        "weights": extractor.fingerprint.key,
        "part": part,
        "head": repr(heads.head),
        "features": list(heads.kinds),
        "balanced": heads.balanced,
        **recipe.__dict__,
        "augment": plan.preset,
        "views": plan.views,
        "images": task.digest(),
    }


def _timed(
    extractor: FeatureExtractor, cut: Cut, heads: HeadChoice, task: Task, recipe: Recipe
) -> Setting:
    """Find the fastest way to take a step, with a head of the right size."""
    width, classes = heads.layout.columns(heads.kinds[-1]).stop, heads.classes
    zeros = np.zeros((width, classes), dtype=np.float32)
    ones = np.ones(width, dtype=np.float32)
    head = LinearModel(0 * ones, ones, zeros, zeros[0])
    batch = np.arange(recipe.batch_size)
    rows, labels = cut.source.rows(batch, 0), torch.from_numpy(task.labels[batch])
    network = HeadedNetwork(cut.above, head, slice(0, width))
    ways = candidates(device=extractor.device, bf16=extractor.may_use_bf16)
    return fastest(network, rows, labels, ways)


def _outcome(bench: Bench, part: str, keep: Keep, begin: float) -> Outcome:
    """Train round after round, decide, and train what is kept on everything."""
    rounds = train_rounds(bench)
    verdict = Verdict.of(rounds, bench.task.labels, always=keep == "always")
    again = verdict.kept and bench.task.final
    final = train_finally(bench, rounds) if again else None
    whole = final is not None and final.trained.stopped is None
    cut_off = (INTERRUPTED, TIME_WAS_UP)
    finished = [one for one in rounds if one.trained.stopped not in cut_off] or rounds
    used = final if final is not None and whole else finished[-1]
    reasons = [one.trained.stopped for one in [*rounds, *([final] if final else [])]]
    report = TuneReport(
        part=part,
        kept=verdict.kept,
        rounds=sum(len(one.judge) > 0 for one in rounds),
        **verdict.numbers(),
        seconds=time.perf_counter() - begin,
        setting={"name": bench.setting.name, "images_per_second": bench.setting.images_per_second},
        first_probe_accuracy=verdict.first_probe_accuracy,
        computing=min(one.trained.computing for one in [*rounds, used]),
        store_bytes=bench.cut.store_bytes,
        alpha=used.alpha if bench.options.wise else None,
        head=used.heads[verdict.name].head.kind,
        final=whole,
        stopped=_first(reasons),
        epochs=tuple(rounds[0].trained.history),
    )
    if not verdict.kept:
        return Outcome(None, "", verdict.temperature, report)
    used.put(bench.extractor.backbone)
    read = used.heads[verdict.name]
    return Outcome(read.head, read.features, verdict.temperature, report)
