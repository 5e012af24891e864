"""How long each step of a command takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Clock:
    """Measures the duration of each step."""

    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)

    @classmethod
    def since(cls, begin: float | None) -> Self:
        """Return a clock that began earlier; the time until now is the step "start"."""
        if begin is None:
            return cls()
        return cls({"start": round(time.perf_counter() - begin, 3)}, begin)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step, or a further part of it."""
        begin = time.perf_counter()
        yield
        spent = self.seconds.get(name, 0.0) + time.perf_counter() - begin
        self.seconds[name] = round(spent, 3)

    def total(self) -> dict[str, float]:
        """Return the duration of each finished step, and the total so far."""
        return self.seconds | {"total": round(time.perf_counter() - self.start, 3)}
