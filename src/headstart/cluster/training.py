"""Train on a cluster with Ray Train: the loop of one machine, in a worker per GPU or node."""

import io
import os
import queue
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, cast

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer

from headstart.cluster.mailbox import EVERY, Line, open_mailbox
from headstart.cluster.mapping import WorkerSize
from headstart.cluster.nodes import enter
from headstart.cores import cores, use_share
from headstart.errors import ClusterError
from headstart.tuning.training.interruption import catch_interruption
from headstart.tuning.training.loop import Loop, Monitoring, TrainingResult
from headstart.tuning.training.setup import Setup
from headstart.tuning.training.workers import Disconnected, Workers
from headstart.watching import StageProgress, name_step, no_step

_FAILURES = 8
"""Times that workers may die in a training."""


def run(
    setup: Setup, monitoring: Monitoring, size: WorkerSize, restarted: Callable[[int], None]
) -> TrainingResult:
    """Train in workers, after which the network of the setup has the trained weights.

    If a worker dies, all of them are started again, as many as there is room for, and go on from
    the newest checkpoint.

    Args:
        setup: What the training starts from. All nodes see its files and its checkpoints.
        monitoring: Time limit, listeners and callbacks. Callbacks are called in this process, and
            listeners are called by the first worker.
        size: The size and the largest number of workers.
        restarted: Called with the number of workers when they were started again.

    Raises:
        ClusterError: Workers died too often.
        Exception: What a worker raised, with its traceback as a note.
    """
    name_step(monitoring.progress, f"{monitoring.name}, starting workers")
    mailbox = open_mailbox()
    job = _Job(
        _packed(_for_workers(setup, size.cpus)),
        size.cpus,
        str(Path.cwd()),
        monitoring.name,
        tuple(monitoring.listeners),
        _on_clock(monitoring.deadline),
        {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")},
    )
    with tempfile.TemporaryDirectory() as storage:
        trainer = _trainer(partial(_work, job, mailbox), size, storage)
        returned = _follow(trainer, mailbox, monitoring, restarted)
    if isinstance(returned, Exception):
        raise returned
    result: TrainingResult
    result, weights = _unpacked(returned)
    setup.network.load_trained_state(weights)
    return result


def _trainer(work: Callable[[], object], size: WorkerSize, storage: str) -> TorchTrainer:
    """Return what runs work in workers: as many as there are, as nodes die or join."""
    scaling: dict[str, Any] = {  # Ray's types are those of an earlier version.
        "num_workers": (1, size.workers) if size.workers > 1 else 1,
        "use_gpu": size.gpus > 0,
        "resources_per_worker": {"CPU": size.cpus} | ({"GPU": 1} if size.gpus else {}),
    }
    return TorchTrainer(
        cast(Any, work),
        torch_config=TorchConfig() if size.workers > 1 else _Unconnected(),
        scaling_config=ScalingConfig(**scaling),
        run_config=RunConfig(
            storage_path=storage, failure_config=FailureConfig(max_failures=_FAILURES)
        ),
    )


class _Unconnected(TorchConfig):
    """The configuration of one worker, which needs no connections.

    PyTorch would listen on all interfaces, but a local cluster is for this machine only.
    """

    backend_cls = Backend


@dataclass(frozen=True)
class _Job:
    """What workers are given.

    Attributes:
        setup: See `_packed`.
        cpus: Cores of a worker.
        folder: The folder that relative paths begin at.
        name: The name of the training.
        listeners: Names of the listeners.
        deadline: Time limit by `time.time`, or None.
        environment: Variables that listeners need.
    """

    setup: bytes
    cpus: int
    folder: str
    name: str
    listeners: tuple[str, ...]
    deadline: float | None
    environment: Mapping[str, str]


def _work(job: _Job, mailbox: Any) -> bytes | Exception:  # noqa: ANN401
    """Train in a worker; return the result and the trained weights, or an error of an earlier try.

    Ray starts all workers again whatever one of them raised.
    """
    error: Exception | None = ray.get(mailbox.error.remote())
    if error is not None:
        return error
    use_share(job.cpus)
    enter(job.folder)
    os.environ.update(job.environment)
    workers, line, monitoring = Workers.connected(), Line(mailbox), Monitoring()
    if workers.leads:
        monitoring = _monitoring(job, line)
        line.post("started", workers.size)
        line.exchange()
    try:
        setup: Setup = _unpacked(job.setup)
        result = Loop(setup, monitoring, workers=workers).run()
    except Disconnected:
        raise
    except Exception as raised:
        raised.add_note(f"In a worker of the cluster:\n{traceback.format_exc()}")
        ray.get(mailbox.fail.remote(raised))
        raise
    line.exchange()
    return _packed((result, setup.network.copy_trained_state()))


def _monitoring(job: _Job, line: Line) -> Monitoring:
    """Return the monitoring of the first worker, whose callbacks are called by the command."""
    deadline = job.deadline and time.perf_counter() + job.deadline - time.time()
    progress = StageProgress(partial(line.post, "progress"), partial(line.post, "step"), no_step)
    warn = partial(line.post, "warn")
    return Monitoring(deadline, job.listeners, progress, warn, job.name, line.interrupted)


def _follow(
    trainer: TorchTrainer,
    mailbox: Any,  # noqa: ANN401
    monitoring: Monitoring,
    restarted: Callable[[int], None],
) -> Any:  # noqa: ANN401
    """Report what the first worker says, and pass on Ctrl-C; return what it returns."""
    ended = queue.SimpleQueue[Any]()
    starts = 0
    # A thread that nothing waits for, so that a second Ctrl-C ends this process at once.
    Thread(target=lambda: ended.put(_outcome(trainer)), daemon=True).start()
    with catch_interruption() as interruption:
        while True:
            done = not ended.empty()
            for name, values in ray.get(mailbox.collect.remote()):
                if name == "started":
                    starts += 1
                    if starts > 1:
                        restarted(*values)
                else:
                    _deliver(name, values, monitoring)
            if interruption.requested:
                mailbox.interrupt.remote()
            if done:
                break
            time.sleep(EVERY)
    outcome = ended.get()
    if isinstance(outcome, TrainingFailedError):
        raise ClusterError(
            f"Workers died {_FAILURES + 1} times in this training; the last time: {outcome}"
        ) from outcome
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _outcome(trainer: TorchTrainer) -> Any:  # noqa: ANN401
    try:
        return cast(Any, trainer.fit()).return_value
    except BaseException as error:
        return error


def _deliver(name: str, values: tuple[Any, ...], monitoring: Monitoring) -> None:
    progress = monitoring.progress
    if name == "warn":
        monitoring.warn(*values)
    elif progress is not None and name == "step":
        name_step(progress, *values)
    elif progress is not None and name == "progress":
        progress(*values)


def _for_workers(setup: Setup, cpus: int) -> Setup:
    """Return the setup of workers, which have so many cores.

    They resume: there are checkpoints only if workers have died, or if the user resumes.
    """
    threads = max(1, setup.setting.threads * cpus // cores())
    checkpoints = setup.checkpoints and replace(setup.checkpoints, resume=True)
    return replace(setup, setting=replace(setup.setting, threads=threads), checkpoints=checkpoints)


def _packed(value: object) -> bytes:
    """Return a value as bytes; parameters that its networks share stay shared."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _unpacked(packed: bytes) -> Any:  # noqa: ANN401
    """Return a value with its tensors on the CPU."""
    return torch.load(io.BytesIO(packed), map_location="cpu", weights_only=False)


def _on_clock(deadline: float | None) -> float | None:
    """Return a deadline by `time.perf_counter` by `time.time`, which machines have in common."""
    return deadline and time.time() + deadline - time.perf_counter()
