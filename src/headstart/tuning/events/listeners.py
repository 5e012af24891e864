"""Which listeners a training has, and what happens when one of them fails."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from headstart.errors import OptionError, suggestion
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
"""The listeners that there are: the file events.jsonl, MLflow and TensorBoard."""


class Listeners:
    """Passes events on to several listeners; one that fails is reported once, and dropped.

    A full disk or an unreachable server must not cost hours of training.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._listening: dict[str, Listener] = {}

    def add(self, name: str, make: Callable[[], Listener]) -> None:
        """Add a listener.

        Raises:
            OptionError: It is not available at all.
        """
        try:
            self._listening[name] = make()
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
        self._listening.clear()

    def _notify(self, send: Callable[[Listener], None]) -> None:
        for name, listener in list(self._listening.items()):
            try:
                send(listener)
            except Exception as error:  # Of a foreign library: it can be anything.
                del self._listening[name]
                with suppress(Exception):
                    listener.close(finished=False)
                self._report(name, error)

    def _report(self, name: str, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self._warn(
            f"Events no longer go to {name}: {reason.rstrip('.')}. Training goes on without it."
        )


@contextmanager
def listeners(
    names: Sequence[str], folder: Path, resumed_step: int, *, warn: Warn | None = None
) -> Iterator[Listener]:
    """Open listeners for as long as a training lasts.

    Args:
        names: Of `NAMES`.
        folder: Of the training, where they write; its name is the name of the MLflow run.
        resumed_step: Where the training is resumed; 0 for a new one.
        warn: Called with a sentence when a listener fails.

    Raises:
        OptionError: A name is unknown, its library is not installed, or no server is set.
    """
    require_listeners(names)
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
    several = Listeners(warn or (lambda text: None))
    finished = False
    try:
        for name in dict.fromkeys(names):
            several.add(*makers[name])
        yield several
        finished = True
    finally:
        several.close(finished=finished)


def require_listeners(names: Sequence[str]) -> None:
    """Refuse listeners that are not available, before any work is done.

    Raises:
        OptionError: A name is unknown, its library is not installed, or no server is set.
    """
    for name in names:
        if name not in NAMES:
            hint = suggestion(name, NAMES) or f" There are {', '.join(NAMES)}."
            raise OptionError(f"Nothing called '{name}' can be told of events.{hint}")
        if name == "mlflow":
            require_mlflow()
        if name == "tensorboard":
            require_tensorboard()
