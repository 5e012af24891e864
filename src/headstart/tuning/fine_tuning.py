"""Step 6: unfreeze the last layers, go on from the fitted head, and keep that only if it helps.

The fitted linear head is where training starts (LP-FT: Kumar et al., 2022). A round learns from
most of the training images and is measured on the rest, beside the frozen model; if tuning wins,
the model that is kept learns from all of them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from headstart.errors import DataError, OptionError
from headstart.heads.fitted import FittedHead
from headstart.record import StepTiming, Tuning
from headstart.tuning.boundary.store import OutOfTime
from headstart.tuning.events.events import recorded
from headstart.tuning.events.listeners import require_listeners
from headstart.tuning.job import Job
from headstart.tuning.pacing.session import Session
from headstart.tuning.planning import plan_for
from headstart.tuning.rounds import Round, train_finally, train_rounds
from headstart.tuning.training.loop import INTERRUPTED, TIME_WAS_UP
from headstart.tuning.trainings import finish, own_folder
from headstart.tuning.unfreezing import Unfrozen, unfrozen
from headstart.tuning.verdict import Verdict
from headstart.tuning.workbench import Workbench, identity_of, open_workbench

# Why a training ends although more of it could be done.
_CUT_OFF = (INTERRUPTED, TIME_WAS_UP)

Keep = Literal["better", "always"]


@dataclass(frozen=True)
class Tuned:
    """A tuned model.

    Attributes:
        weights: Of the backbone's network, on the CPU.
        head: Fitted on its features.
        features: Which columns the head reads.
        temperature: That calibrates it.
    """

    weights: dict[str, Tensor]
    head: FittedHead
    features: str
    temperature: float


@dataclass(frozen=True)
class Outcome:
    """What came of fine-tuning.

    Attributes:
        record: What was done and measured.
        tuned: The model to use from now on, or None if that is the frozen one.
        folder: With the checkpoints and events of this training, or None.
    """

    record: Tuning
    tuned: Tuned | None
    folder: Path | None


def fine_tune(job: Job, part: str, *, keep: Keep = "better") -> Outcome | None:
    """Tune a part of the backbone; the job's own backbone is unchanged afterwards.

    Args:
        job: The frozen model, the images, and how.
        part: "all", "stages:N", "layers:N", or "auto": what fits into the minutes.
        keep: "better" keeps the tuned model only if it beats the frozen one; "always" in any case.

    Returns:
        What came of it, or None where no part fits into the time.

    Raises:
        OptionError: There is no such part.
        TuningError: Only trainings of other options can be resumed, or this one is running.
    """
    _require_folder(job)
    require_listeners(job.options.listeners)
    extractor, options = job.extractor, _what_matters(job, part, keep)
    with (
        own_folder(job.folder, options, resume=job.resume, warn=job.warn) as folder,
        unfrozen(extractor.backbone, extractor.device) as backbone,
    ):
        return _tried(replace(job, folder=folder), part, backbone, keep)


def _what_matters(job: Job, part: str, keep: Keep) -> dict[str, object]:
    """Return what the outcome depends on: trainings that differ in it never share checkpoints.

    Minutes only end a training, so that it can be resumed with more; but "auto" plans by them.
    """
    planned = {"minutes": job.options.minutes} if part == "auto" else {}
    return identity_of(job, part) | {"keep": keep} | planned


def _require_folder(job: Job) -> None:
    if job.folder is None and job.options.log:
        raise OptionError("log needs a folder to write to. Pass checkpoints=FOLDER as well.")
    if job.folder is None and job.resume:
        raise OptionError("resume needs a folder to go on from. Pass checkpoints=FOLDER as well.")


def _tried(job: Job, part: str, backbone: Unfrozen, keep: Keep) -> Outcome | None:
    """Plan, open the workbench and train; None where there is no time or too little data."""
    session = Session.read(job.folder) if job.resume else None
    if part == "auto":
        session = session or plan_for(job, backbone)
        if session is None:
            return None
        part = session.part
        job = replace(job, options=job.options.model_copy(update={"epochs": session.epochs}))
    try:
        bench = open_workbench(job, part, session, backbone)
    except OutOfTime:
        job.warn("The time was up before training could begin, so the backbone stays frozen.")
        return None
    try:
        return _outcome(bench, keep)
    except DataError as error:
        job.warn(f"What is held out leaves too little to learn from. {error}")
        return None


def _outcome(bench: Workbench, keep: Keep) -> Outcome:
    """Train round after round, decide, and train what is kept on everything."""
    job, always = bench.job, keep == "always"
    rounds = train_rounds(bench, lambda some: always or _verdict(job, some).clear)
    finished, verdict = _finished(rounds), _verdict(job, rounds, always=always)
    final = train_finally(bench, finished) if verdict.kept and job.images.final else None
    if _complete(job, rounds, verdict, final):
        finish(job.folder)
    used = _used(finished or rounds, final)
    record = _record(bench, rounds, verdict, used, final)
    if not verdict.kept:
        return Outcome(record, None, job.folder)
    read = verdict.reading(used.heads)
    tuned = Tuned(used.weights, read.head, read.features, verdict.temperature)
    return Outcome(record, tuned, job.folder)


def _finished(rounds: Sequence[Round]) -> list[Round]:
    """Return those that came to the end of an epoch."""
    return [one for one in rounds if one.trained.best_epoch]


def _complete(job: Job, rounds: Sequence[Round], verdict: Verdict, final: Round | None) -> bool:
    """Return whether nothing was cut off or left out, so that resuming has nothing to add."""
    if len(rounds) < job.images.least or (verdict.kept and job.images.final and final is None):
        return False
    trained = [*rounds, final] if final else rounds
    return all(one.trained.stopped not in _CUT_OFF for one in trained)


def _verdict(job: Job, rounds: Sequence[Round], *, always: bool = False) -> Verdict:
    targets = job.images.targets
    return Verdict.of(
        _finished(rounds), targets, job.heads.task, blend=job.may_blend, always=always
    )


def _used(rounds: Sequence[Round], final: Round | None) -> Round:
    """Return the training whose weights are kept: the last one that came to its end."""
    if final is not None and final.trained.stopped is None:
        return final
    complete = [one for one in rounds if one.trained.stopped not in _CUT_OFF]
    return (complete or list(rounds))[-1]


def _record(
    bench: Workbench, rounds: Sequence[Round], verdict: Verdict, used: Round, final: Round | None
) -> Tuning:
    setting, probe, best = bench.setting, verdict.probe, verdict.best
    trained = [one.trained for one in rounds] + ([final.trained] if final else [])
    return Tuning(
        part=bench.part,
        kept=verdict.kept,
        why_not=verdict.why_not,
        rounds=sum(len(one.held_out) > 0 for one in rounds),
        images=verdict.images,
        probe_accuracy=probe.accuracy if probe else None,
        tuned_accuracy=best.accuracy if best else None,
        gain_ci95=verdict.gain_ci95,
        probe_log_loss=probe.log_loss if probe else None,
        tuned_log_loss=best.log_loss if best else None,
        loss_gain_errors=verdict.loss_gain_errors,
        first_probe_accuracy=verdict.first_probe_accuracy,
        seconds=time.perf_counter() - bench.job.begin,
        learning_rate=bench.recipe.learning_rate,
        setting=StepTiming(setting.name, setting.images_per_second),
        computing=min(one.computing for one in trained),
        store_bytes=bench.boundary.store_bytes,
        head=verdict.reading(used.heads).head.kind if verdict.name else "",
        final=used is final,
        stopped=_first([one.stopped for one in trained]),
        epochs=tuple(map(recorded, rounds[0].trained.history)),
    )


def _first(reasons: Sequence[str | None]) -> str | None:
    """Return why training ended early: an interruption comes before other reasons."""
    given = [reason for reason in reasons if reason]
    return INTERRUPTED if INTERRUPTED in given else next(iter(given), None)
