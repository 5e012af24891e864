"""Step 6: unfreeze the last layers, go on from the fitted head, and keep that only if it helps.

The fitted linear head is where training starts (LP-FT: Kumar et al., 2022). A round learns from
most of the training images and is judged by the rest, beside the frozen model; if tuning wins, the
model that is kept learns from all of them.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from headstart.backbones.backbone import Backbone
from headstart.errors import DataError, OptionError
from headstart.heads.fitted import FittedHead
from headstart.tuning.bench import Bench, open_bench
from headstart.tuning.job import Job
from headstart.tuning.listeners import require_listeners
from headstart.tuning.loop import INTERRUPTED, TIME_WAS_UP
from headstart.tuning.plan import plan_for
from headstart.tuning.report import TuneReport
from headstart.tuning.rounds import Round, train_finally, train_rounds
from headstart.tuning.session import Session, alone, forget
from headstart.tuning.verdict import Verdict
from headstart.tuning.views import OutOfTime

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


def fine_tune(job: Job, part: str, *, keep: Keep = "better") -> Outcome | None:
    """Tune a part of the backbone, and leave in it the weights that are to be used.

    Args:
        job: The frozen model, the images, and how.
        part: "all", "stages:N", "layers:N", or "auto": what fits into the minutes.
        keep: "better" keeps the tuned model only if it beats the frozen one; "always" in any case.

    Returns:
        What came of it, or None where no part fits into the time.

    Raises:
        OptionError: There is no such part.
        TuningError: The checkpoint is of another training, or another training is using the folder.
    """
    _require_folder(job)
    require_listeners(job.options.listeners)
    with alone(job.folder), _lent(job.extractor.backbone, job.extractor.device) as loan:
        outcome = _tried(job, part, loan.weights, keep)
        loan.kept = outcome is not None and outcome.head is not None
    return outcome


def _require_folder(job: Job) -> None:
    if job.folder is None and job.options.log:
        raise OptionError("log needs a folder to write to. Pass checkpoints=FOLDER as well.")
    if job.folder is None and job.resume:
        raise OptionError("resume needs a folder to go on from. Pass checkpoints=FOLDER as well.")


def _tried(job: Job, part: str, frozen: dict[str, Tensor], keep: Keep) -> Outcome | None:
    """Plan, cut the backbone open and train; None where there is no time or too little data."""
    session = _session(job)
    if part == "auto":
        session = session or plan_for(job)
        if session is None:
            return None
        part, epochs = session.part, session.epochs
        job = replace(job, options=job.options.model_copy(update={"epochs": epochs}))
    try:
        bench = open_bench(job, part, session, frozen)
    except OutOfTime:
        job.warn("The time was up before training could begin, so the backbone stays frozen.")
        return None
    try:
        return _outcome(bench, keep)
    except DataError as error:
        job.warn(f"What is held out leaves too little to learn from. {error}")
        return None


def _session(job: Job) -> Session | None:
    """Give what the training that is resumed decided, or clear the way for a new one."""
    if job.resume:
        session = Session.read(job.folder)
        if session is None:
            job.warn(f"There is no training in '{job.folder}' to go on with, so it starts anew.")
        return session
    forget(job.folder)
    return None


@dataclass
class _Loan:
    """A backbone while it is trained.

    Attributes:
        weights: As they were before.
        kept: Whether what is in the backbone now stays in it.
    """

    weights: dict[str, Tensor]
    kept: bool = False


@contextmanager
def _lent(backbone: Backbone, device: str) -> Iterator[_Loan]:
    """Lend a backbone for training on a device.

    It comes back frozen, to where it was, and unchanged unless it was kept.
    """
    network = backbone.network
    home = next(network.parameters()).device
    network.to(device)
    loan = _Loan({name: one.clone() for name, one in network.state_dict().items()})
    try:
        yield loan
    finally:
        if not loan.kept:
            network.load_state_dict(loan.weights)
        network.to(home, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        backbone.freeze()


def _outcome(bench: Bench, keep: Keep) -> Outcome:
    """Train round after round, decide, and train what is kept on everything."""
    job, always = bench.job, keep == "always"
    rounds = train_rounds(bench, lambda some: always or _verdict(job, some).clear)
    learnt, verdict = _learnt(rounds), _verdict(job, rounds, always=always)
    final = train_finally(bench, learnt) if verdict.kept and job.task.final else None
    used = _used(learnt or rounds, final)
    report = _report(bench, rounds, verdict, used, final)
    if not verdict.kept:
        return Outcome(None, "", verdict.temperature, report)
    used.put(job.extractor.backbone)
    read = verdict.reading(used.heads)
    return Outcome(read.head, read.features, verdict.temperature, report)


def _learnt(rounds: Sequence[Round]) -> list[Round]:
    """Give those that came to the end of an epoch."""
    return [one for one in rounds if one.trained.best_epoch]


def _verdict(job: Job, rounds: Sequence[Round], *, always: bool = False) -> Verdict:
    return Verdict.of(
        _learnt(rounds), job.task.labels, job.heads.task, blend=job.may_blend, always=always
    )


def _used(rounds: Sequence[Round], final: Round | None) -> Round:
    """Give the training whose weights are kept: the last one that came to its end."""
    if final is not None and final.trained.stopped is None:
        return final
    cut_off = (INTERRUPTED, TIME_WAS_UP)
    finished = [one for one in rounds if one.trained.stopped not in cut_off]
    return (finished or list(rounds))[-1]


def _report(
    bench: Bench, rounds: Sequence[Round], verdict: Verdict, used: Round, final: Round | None
) -> TuneReport:
    setting = bench.setting
    trained = [one.trained for one in rounds] + ([final.trained] if final else [])
    return TuneReport(
        part=bench.part,
        kept=verdict.kept,
        why_not=verdict.why_not,
        rounds=sum(len(one.judge) > 0 for one in rounds),
        **verdict.numbers(),
        seconds=time.perf_counter() - bench.job.begin,
        learning_rate=bench.recipe.learning_rate,
        setting={"name": setting.name, "images_per_second": setting.images_per_second},
        first_probe_accuracy=verdict.first_probe_accuracy,
        computing=min(one.computing for one in trained),
        store_bytes=bench.cut.store_bytes,
        alpha=used.alpha if bench.job.options.wise else None,
        head=verdict.reading(used.heads).head.kind if verdict.name else "",
        final=used is final,
        stopped=_first([one.stopped for one in trained]),
        epochs=tuple(rounds[0].trained.history),
    )


def _first(reasons: Sequence[str | None]) -> str | None:
    """Give why training ended early: that somebody asked for it counts most."""
    told = [reason for reason in reasons if reason]
    return INTERRUPTED if INTERRUPTED in told else next(iter(told), None)
