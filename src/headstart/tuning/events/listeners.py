"""The listeners of a training, and what happens if one of them fails."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from headstart.errors import OptionError, reason_of, suggestion
from headstart.record import Epoch
from headstart.tuning.events.events import EventFile, Listener, StepEvent
from headstart.tuning.events.trackers import (
    MLflow,
    TensorBoard,
    require_mlflow,
    require_tensorboard,
)
from headstart.watching import Warn

EVENTS = "events.jsonl"

NAMES = ("events", "mlflow", "tensorboard")
"""Names of the available listeners: the file events.jsonl, MLflow and TensorBoard."""


class ListenerGroup:
    """Forwards events to several listeners; a listener that fails is reported once and removed.

    A full disk or an unreachable server must not cost hours of training.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._listeners: dict[str, Listener] = {}

    def add(self, name: str, make: Callable[[], Listener]) -> None:
        """Add a listener.

        Raises:
            OptionError: It is not available.
        """
        try:
            self._listeners[name] = make()
        except OptionError:
            raise
        except Exception as error:
            self._report(name, error)

    def step(self, event: StepEvent) -> None:
        """See `Listener.step`."""
        self._notify(lambda listener: listener.step(event))

    def epoch(self, event: Epoch) -> None:
        """See `Listener.epoch`."""
        self._notify(lambda listener: listener.epoch(event))

    def close(self, *, finished: bool = True) -> None:
        """See `Listener.close`."""
        self._notify(lambda listener: listener.close(finished=finished))
        self._listeners.clear()

    def _notify(self, send: Callable[[Listener], None]) -> None:
        for name, listener in list(self._listeners.items()):
            try:
                send(listener)
            except Exception as error:  # External libraries may raise anything.
                del self._listeners[name]
                with suppress(Exception):
                    listener.close(finished=False)
                self._report(name, error)

    def _report(self, name: str, error: Exception) -> None:
        self._warn(
            f"Events are no longer sent to {name}: {reason_of(error).rstrip('.')}. "
            "Training continues without it."
        )


@contextmanager
def listeners(
    names: Sequence[str], folder: Path, resumed_step: int, *, warn: Warn | None = None
) -> Iterator[Listener]:
    """Open listeners for the duration of a training.

    Args:
        names: Names from `NAMES`.
        folder: Folder of the training; its name becomes the name of the MLflow run.
        resumed_step: Step from which the training is resumed; 0 for a new training.
        warn: Called with a sentence when a listener fails.

    Raises:
        OptionError: A name is unknown, its library is not installed, or no MLflow server is set.
    """
    check_listeners(names)
    makers: dict[str, tuple[str, Callable[[], Listener]]] = {
        "events": (
            f"'{folder / EVENTS}'",
            lambda: EventFile(folder / EVENTS, resumed_step=resumed_step),
        ),
        "mlflow": (
            "MLflow",
            lambda: MLflow(
                "headstart", folder.name, folder / "mlflow-run", resumed_step=resumed_step
            ),
        ),
        "tensorboard": (
            "TensorBoard",
            lambda: TensorBoard(folder / "tensorboard", resumed_step=resumed_step),
        ),
    }
    group = ListenerGroup(warn or (lambda text: None))
    finished = False
    try:
        for name in dict.fromkeys(names):
            group.add(*makers[name])
        yield group
        finished = True
    finally:
        group.close(finished=finished)


def check_listeners(names: Sequence[str]) -> None:
    """Check that listeners are available, before any work is done.

    Raises:
        OptionError: A name is unknown, its library is not installed, or no MLflow server is set.
    """
    for name in names:
        if name not in NAMES:
            hint = suggestion(name, NAMES) or f" Available: {', '.join(NAMES)}."
            raise OptionError(f"Unknown listener '{name}'.{hint}")
        if name == "mlflow":
            require_mlflow()
        if name == "tensorboard":
            require_tensorboard()
