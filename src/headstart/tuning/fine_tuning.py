"""Step 6: fine-tune the last layers from the fitted head, and roll back unless results improve.

Training starts from the fitted linear head (LP-FT: Kumar et al., 2022). A round trains on most of
the training images and compares the tuned with the frozen model on the rest. If tuning wins, the
final model is trained on all images.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from headstart.answers import Thresholds
from headstart.arrays import Probabilities, Targets, Temperature
from headstart.errors import DataError, OptionError
from headstart.heads.fitted import FittedHead
from headstart.options import PART, ScalesOption
from headstart.record import StepTiming, Tuning
from headstart.tuning.boundary.store import OutOfTime
from headstart.tuning.candidates import BLEND
from headstart.tuning.events.events import recorded
from headstart.tuning.events.listeners import check_listeners
from headstart.tuning.job import Job
from headstart.tuning.pacing.session import Session
from headstart.tuning.planning import plan_for
from headstart.tuning.rounds import Round, train_final, train_rounds
from headstart.tuning.training.loop import INTERRUPTED, OUT_OF_TIME
from headstart.tuning.trainings import Training, mark_finished, training_folder
from headstart.tuning.unfreezing import Unfrozen, unfrozen
from headstart.tuning.verdict import Verdict
from headstart.tuning.workbench import Workbench, identity_of, open_workbench
from headstart.watching import name_place, name_step

# Reasons to stop after which a training can be resumed.
_CUT_OFF = (INTERRUPTED, OUT_OF_TIME)

Keep = Literal["better", "always"]


@dataclass(frozen=True)
class TunedModel:
    """A tuned model.

    Attributes:
        weights: Weights of the backbone's network, on the CPU.
        head: Head fitted on the features of that network.
        features: Which features the head uses.
        temperature: Divisor of the scores that calibrates the model.
        thresholds: The operating point; None if the most probable class is predicted.
        held_out: Calibrated probabilities of the held-out images, (images, classes), and their
            encoded labels; None if nothing was held out.
    """

    weights: dict[str, Tensor]
    head: FittedHead
    features: str
    temperature: Temperature
    thresholds: Thresholds | None
    held_out: tuple[Probabilities, Targets] | None


@dataclass(frozen=True)
class Outcome:
    """The outcome of fine-tuning.

    Attributes:
        record: The record of the training and its results.
        tuned: The tuned model, or None if it was rolled back.
        folder: Folder with the checkpoints and events of this training, or None.
    """

    record: Tuning
    tuned: TunedModel | None
    folder: Path | None


def check_choices(part: str, keep: str) -> None:
    """Check the names of a part and of a rule for keeping the tuned model.

    Raises:
        OptionError: There is no such part or rule.
    """
    if keep not in get_args(Keep):
        raise OptionError(f"keep must be better or always. Got '{keep}'.")
    if not re.fullmatch(PART, part):
        raise OptionError(
            f"unfreeze must be auto, all, stages:N or layers:N, N from 1. Got '{part}'."
        )


def check_scales(scales: ScalesOption) -> None:
    """Check that features have one scale, as training has.

    Raises:
        OptionError: They have two.
    """
    if scales != "one":
        raise OptionError(
            f"Fine-tuning trains at one scale, so it cannot start from scales '{scales}'. "
            "Use scales 'one', or do not fine-tune."
        )


def fine_tune(job: Job, part: str, *, keep: Keep = "better") -> Outcome | None:
    """Fine-tune a part of the backbone; the job's own backbone does not change.

    Args:
        job: The frozen model, the images and the options.
        part: "all", "stages:N", "layers:N", or "auto" for two stages, or what fits into the time.
        keep: "better" keeps the tuned model only if it beats the frozen one; "always" always
            keeps it.

    Returns:
        The outcome, or None if nothing was trained: no part fits into the time, the time limit was
        reached, or there are too few images.

    Raises:
        OptionError: There is no such part, or features have two scales.
        TuningError: Only trainings with other options can be resumed, or the same training is
            already running.
    """
    _check_folder(job)
    check_scales(job.extractor.preprocess.scales)
    check_listeners(job.options.listeners)
    extractor, options = job.extractor, _training_identity(job, part, keep)
    with (
        training_folder(job.folder, options, resume=job.resume, warn=job.warn) as folder,
        unfrozen(extractor.backbone, extractor.device) as backbone,
    ):
        if job.resume and folder and (earlier := Training.read(folder)):
            name_place(job.progress, earlier.place)
        return _tune(replace(job, folder=folder), part, backbone, keep)


def _training_identity(job: Job, part: str, keep: Keep) -> dict[str, object]:
    """Return everything the outcome depends on; trainings share checkpoints only if it is equal.

    The time limit is not part of it, so that a training can be resumed with more time, except for
    "auto", whose plan depends on it.
    """
    planned = {"minutes": job.options.minutes} if part == "auto" else {}
    return identity_of(job, part) | {"keep": keep} | planned


def _check_folder(job: Job) -> None:
    if job.folder is None and job.options.log:
        raise OptionError("log needs a folder to write to. Pass checkpoints=FOLDER too.")
    if job.folder is None and job.resume:
        raise OptionError("resume needs a folder with checkpoints. Pass checkpoints=FOLDER too.")


def _tune(job: Job, part: str, backbone: Unfrozen, keep: Keep) -> Outcome | None:
    """Plan, prepare and train; return None if there is too little time or data."""
    name_step(job.progress, "preparing")
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
        job.warn(
            "The time limit was reached before training could begin, so the backbone stays frozen. "
            "Pass --minutes (minutes=) with a higher limit."
        )
        return None
    try:
        return _train_and_decide(bench, keep)
    except DataError as error:
        job.warn(f"Too few images are left for training without the held-out ones. {error}")
        return None


def _train_and_decide(bench: Workbench, keep: Keep) -> Outcome:
    """Train the rounds, decide, and train the final model on all images."""
    job, always = bench.job, keep == "always"
    rounds = train_rounds(bench, lambda rounds: always or _verdict(job, rounds).conclusive)
    finished, verdict = _finished(rounds), _verdict(job, rounds, always=always)
    if verdict.doubts and not always:
        job.warn(verdict.doubts)
    final = train_final(bench, finished) if verdict.kept and job.images.final else None
    if _complete(job, rounds, verdict, final):
        mark_finished(job.folder)
    kept_round = _kept_round(finished or rounds, final)
    if verdict.kept and job.images.final and kept_round is not final and not always:
        verdict = verdict.without_final()
    record = _record(bench, rounds, verdict, kept_round, final)
    if not verdict.kept:
        return Outcome(record, None, job.folder)
    chosen = verdict.choose(kept_round.heads)
    held_out = _held_out(job, finished, verdict)
    tuned = TunedModel(
        kept_round.weights,
        chosen.head,
        chosen.features,
        verdict.temperature,
        held_out and job.heads.task.thresholds(*held_out, job.heads.operating_point),
        held_out,
    )
    return Outcome(record, tuned, job.folder)


def _held_out(
    job: Job, rounds: Sequence[Round], verdict: Verdict
) -> tuple[Probabilities, Targets] | None:
    """Return the tuned model's probabilities of the held-out images, and their labels."""
    if verdict.best is None:
        return None
    held_out = np.concatenate([training.held_out for training in rounds])
    return verdict.best.probabilities, job.images.targets[held_out]


def _finished(rounds: Sequence[Round]) -> list[Round]:
    """Return the rounds that completed an epoch."""
    return [training for training in rounds if training.result.best_epoch]


def _complete(job: Job, rounds: Sequence[Round], verdict: Verdict, final: Round | None) -> bool:
    """Return whether nothing was cut off or skipped, so that resuming would add nothing."""
    if len(rounds) < job.images.min_rounds or (verdict.kept and job.images.final and final is None):
        return False
    trainings = [*rounds, final] if final else rounds
    return all(training.result.stopped not in _CUT_OFF for training in trainings)


def _verdict(job: Job, rounds: Sequence[Round], *, always: bool = False) -> Verdict:
    targets = job.images.targets
    return Verdict.of(
        _finished(rounds), targets, job.heads.task, blend=job.may_blend, always=always
    )


def _kept_round(rounds: Sequence[Round], final: Round | None) -> Round:
    """Return the training whose weights are kept: the last that was not cut off."""
    if final is not None and final.result.stopped is None:
        return final
    complete = [training for training in rounds if training.result.stopped not in _CUT_OFF]
    return (complete or list(rounds))[-1]


def _record(
    bench: Workbench,
    rounds: Sequence[Round],
    verdict: Verdict,
    kept_round: Round,
    final: Round | None,
) -> Tuning:
    setting, probe, best = bench.setting, verdict.probe, verdict.best
    results = [training.result for training in rounds] + ([final.result] if final else [])
    return Tuning(
        part=bench.part,
        kept=verdict.kept,
        why_not=verdict.why_not,
        rounds=sum(len(training.held_out) > 0 for training in rounds),
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
        computing=min(result.computing for result in results),
        store_bytes=bench.boundary.store_bytes,
        head=_name_head(verdict, kept_round),
        final=kept_round is final,
        stopped=_first([result.stopped for result in results]),
        epochs=tuple(map(recorded, rounds[0].result.history)),
    )


def _name_head(verdict: Verdict, kept_round: Round) -> str:
    """Return the kind of the tuned model's head; "blend" for an average with the trained head."""
    if verdict.name in ("", BLEND):
        return verdict.name
    return verdict.choose(kept_round.heads).head.kind


def _first(reasons: Sequence[str | None]) -> str | None:
    """Return why training stopped early; an interruption takes precedence."""
    given = [reason for reason in reasons if reason]
    return INTERRUPTED if INTERRUPTED in given else next(iter(given), None)
