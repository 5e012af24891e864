"""What the first worker of a training and the command tell each other. It imports no PyTorch."""

import time
from typing import Any, cast

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Message = tuple[str, tuple[Any, ...]]
"""The name of what a worker reports, and its values."""

EVERY = 0.1
"""Seconds between two exchanges."""


class Mailbox:
    """Keeps messages of the first worker, which may be another process after a failure."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._interrupted = False
        self._error: Exception | None = None

    def post(self, messages: list[Message]) -> bool:
        """Take messages of the worker, and return whether it should stop."""
        self._messages += messages
        return self._interrupted

    def collect(self) -> list[Message]:
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def interrupt(self) -> None:
        """Let the worker stop after its step."""
        self._interrupted = True

    def fail(self, error: Exception) -> None:
        """Take an error that is not the death of another worker, so it would be raised again."""
        self._error = error

    def error(self) -> Exception | None:
        """Return that error, if there was one."""
        return self._error


def open_mailbox() -> Any:  # noqa: ANN401
    """Return a mailbox in a process on this node."""
    here = ray.get_runtime_context().get_node_id()
    placed = NodeAffinitySchedulingStrategy(here, soft=False)
    return cast(Any, ray.remote)(num_cpus=0, scheduling_strategy=placed)(Mailbox).remote()


class Line:
    """A worker's line to a mailbox, which collects messages between exchanges."""

    def __init__(self, mailbox: Any) -> None:  # noqa: ANN401
        self._mailbox, self._messages = mailbox, list[Message]()
        self._exchanged, self._interrupted = 0.0, False

    def post(self, name: str, *values: object) -> None:
        """Report something at the next exchange."""
        self._messages.append((name, values))

    def exchange(self) -> None:
        """Send the messages, and learn whether to stop."""
        messages, self._messages = self._messages, []
        self._interrupted = ray.get(self._mailbox.post.remote(messages))
        self._exchanged = time.monotonic()

    def interrupted(self) -> bool:
        """Return whether to stop."""
        if time.monotonic() - self._exchanged > EVERY:
            self.exchange()
        return self._interrupted
