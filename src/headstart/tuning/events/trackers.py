"""Listeners that send events to other tools: TensorBoard and MLflow, where installed."""

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

# One request for so many points: a server that is far away must not slow each step down.
_BATCH = 50


class TensorBoard:
    """Writes scalars that TensorBoard draws.

    Raises:
        OptionError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, resumed_step: int = 0) -> None:
        writer = require_tensorboard()
        # What an earlier process wrote from here on is hidden, as it is going to come again.
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
        experiment: Made if there is none of that name.
        run: Name of the run.
        remembered: File that holds the run's id, so that a resumed training goes on with it.
        resumed_step: Where the training goes on; 0 makes a new run.

    Raises:
        OptionError: MLflow is not installed, or no server is set.
    """

    def __init__(
        self, experiment: str, run: str, remembered: Path, *, resumed_step: int = 0
    ) -> None:
        mlflow = require_mlflow()
        self._missing: type[Exception] = mlflow.MlflowException
        self._client: Any = mlflow.MlflowClient()
        self._entities = mlflow.entities
        self._waiting: list[Any] = []
        self._reached = True
        self._run_id = self._found(remembered) if resumed_step else None
        if self._run_id is None:
            self._run_id = self._made(experiment, run)
            write_atomically(remembered, self._run_id)
        # Points cannot be taken back. What comes again is the same number, so it is left out.
        self._sent = {"step": self._last("step/loss"), "epoch": self._last("epoch/seconds")}

    def step(self, event: StepEvent) -> None:
        """See `Listener.step`."""
        self._add("step", event)

    def epoch(self, event: Epoch) -> None:
        """See `Listener.epoch`."""
        self._add("epoch", event)
        self._send()

    def close(self, *, finished: bool = True) -> None:
        """See `Listener.close`."""
        if self._reached:  # The library tries for minutes; once is enough.
            self._send()
            self._client.set_terminated(self._run_id, "FINISHED" if finished else "KILLED")

    def _add(self, kind: str, event: StepEvent | Epoch) -> None:
        if event.step <= self._sent[kind]:
            return
        now = int(1000 * time.time())
        self._waiting += [
            self._entities.Metric(name, value, now, event.step)
            for name, value in _scalars(kind, event).items()
        ]
        if len(self._waiting) >= _BATCH:
            self._send()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._reached = False
            self._client.log_batch(self._run_id, metrics=waiting)
            self._reached = True

    def _found(self, remembered: Path) -> str | None:
        """Return the run of the training that is resumed, if the server still has it."""
        with suppress(OSError, self._missing):
            run_id = remembered.read_text(encoding="utf-8").strip()
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        return None

    def _made(self, experiment: str, run: str) -> str:
        known = self._client.get_experiment_by_name(experiment)
        number = known.experiment_id if known else self._client.create_experiment(experiment)
        return str(self._client.create_run(number, run_name=run).info.run_id)

    def _last(self, name: str) -> int:
        points = self._client.get_metric_history(self._run_id, name)
        return max((point.step for point in points), default=0)


def require_tensorboard() -> type[Any]:
    """Return the class that writes what TensorBoard reads.

    Raises:
        OptionError: It is not installed.
    """
    with _installed("TensorBoard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter


def require_mlflow() -> ModuleType:
    """Return the library, if events can be sent with it.

    Raises:
        OptionError: It is not installed, or no server is set.
    """
    with _installed("MLflow"):
        import mlflow
    # Without one, MLflow would start a database in the current folder.
    if not mlflow.is_tracking_uri_set():
        raise OptionError(
            "No MLflow server is set. Set MLFLOW_TRACKING_URI, for example to "
            "http://localhost:5000."
        )
    return mlflow  # type: ignore[no-any-return]


@contextmanager
def _installed(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise OptionError(
            f"{name} is not installed. Run: pip install 'headstart[{name.lower()}]'"
        ) from None


def _scalars(kind: str, event: StepEvent | Epoch) -> dict[str, float]:
    """Return what can be drawn over the steps: "step/loss", "epoch/val_loss", …"""
    values = {name: one for name, one in asdict(event).items() if one is not None}
    return {f"{kind}/{name}": values[name] for name in values if name not in {"step", "epoch"}}
