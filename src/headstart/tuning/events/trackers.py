"""Listeners that send events to TensorBoard and MLflow, if these are installed."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from headstart.errors import OptionError
from headstart.files import write_atomically
from headstart.record import Epoch
from headstart.tuning.events.events import StepEvent

# Points per request, so that a remote server does not slow down each step.
_BATCH = 50


class TensorBoard:
    """Writes scalars for TensorBoard.

    Raises:
        OptionError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, resumed_step: int = 0) -> None:
        writer = require_tensorboard()
        # Hides points that an earlier process wrote after this step, because they are repeated.
        self._writer = writer(str(folder), purge_step=resumed_step + 1)

    def step(self, event: StepEvent) -> None:
        """See `Listener.step`."""
        self._add(event.step, _scalars("step", event))

    def epoch(self, event: Epoch) -> None:
        """See `Listener.epoch`."""
        self._add(event.step, _scalars("epoch", event))
        self._writer.flush()

    def close(self, *, finished: bool = True) -> None:
        """See `Listener.close`."""
        self._writer.close()

    def _add(self, step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)


class MLflow:
    """Sends metrics to the MLflow server that the user has set.

    Args:
        experiment: Name of the experiment, which is created if needed.
        run: Name of the run.
        id_file: File that stores the id of the run, so that a resumed training continues the run.
        resumed_step: Step from which the training is resumed; 0 creates a new run.

    Raises:
        OptionError: MLflow is not installed, or no server is set.
    """

    def __init__(self, experiment: str, run: str, id_file: Path, *, resumed_step: int = 0) -> None:
        mlflow = require_mlflow()
        self._missing: type[Exception] = mlflow.MlflowException
        self._client: Any = mlflow.MlflowClient()
        self._entities = mlflow.entities
        self._pending: list[Any] = []
        self._reachable = True
        self._run_id = self._resume_run(id_file) if resumed_step else None
        if self._run_id is None:
            self._run_id = self._create_run(experiment, run)
            write_atomically(id_file, self._run_id)
        # Points cannot be deleted. Repeated steps have the same values, so they are not sent again.
        self._sent = {
            "step": self._last_step("step/loss"),
            "epoch": self._last_step("epoch/seconds"),
        }

    def step(self, event: StepEvent) -> None:
        """See `Listener.step`."""
        self._add("step", event)

    def epoch(self, event: Epoch) -> None:
        """See `Listener.epoch`."""
        self._add("epoch", event)
        self._send()

    def close(self, *, finished: bool = True) -> None:
        """See `Listener.close`."""
        if self._reachable:  # The library retries for minutes; once is enough.
            self._send()
            self._client.set_terminated(self._run_id, "FINISHED" if finished else "KILLED")

    def _add(self, kind: str, event: StepEvent | Epoch) -> None:
        if event.step <= self._sent[kind]:
            return
        now = int(1000 * time.time())
        self._pending += [
            self._entities.Metric(name, value, now, event.step)
            for name, value in _scalars(kind, event).items()
        ]
        if len(self._pending) >= _BATCH:
            self._send()

    def _send(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            self._reachable = False
            self._client.log_batch(self._run_id, metrics=pending)
            self._reachable = True

    def _resume_run(self, id_file: Path) -> str | None:
        """Return the run of the resumed training, if the server still has it."""
        with suppress(OSError, self._missing):
            run_id = id_file.read_text(encoding="utf-8").strip()
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        return None

    def _create_run(self, experiment: str, run: str) -> str:
        existing = self._client.get_experiment_by_name(experiment)
        number = existing.experiment_id if existing else self._client.create_experiment(experiment)
        return str(self._client.create_run(number, run_name=run).info.run_id)

    def _last_step(self, name: str) -> int:
        points = self._client.get_metric_history(self._run_id, name)
        return max((point.step for point in points), default=0)


def require_tensorboard() -> type[Any]:
    """Return the class that writes TensorBoard's files.

    Raises:
        OptionError: It is not installed.
    """
    with _installed("TensorBoard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter


def require_mlflow() -> ModuleType:
    """Return the MLflow library, if a server is set.

    Raises:
        OptionError: It is not installed, or no server is set.
    """
    silence_mlflow()
    with _installed("MLflow"):
        import mlflow
    # Without a server, MLflow would create a database in the current folder.
    if not mlflow.is_tracking_uri_set():
        raise OptionError(
            "No MLflow server is set. Set MLFLOW_TRACKING_URI, for example to "
            "http://localhost:5000."
        )
    return mlflow  # type: ignore[no-any-return]


def silence_mlflow() -> None:
    """Switch MLflow's telemetry off, which it reads when it is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@contextmanager
def _installed(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise OptionError(
            f"{name} is not installed. Run: pip install 'headstart[{name.lower()}]'"
        ) from None


def _scalars(kind: str, event: StepEvent | Epoch) -> dict[str, float]:
    """Return the values to plot over the steps: "step/loss", "epoch/val_loss", …"""
    values = {name: value for name, value in asdict(event).items() if value is not None}
    return {f"{kind}/{name}": values[name] for name in values if name not in {"step", "epoch"}}
