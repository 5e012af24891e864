"""temporary"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class StepEvent:
    step: int
    epoch: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class EpochEvent:
    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


class Listener(Protocol):
    def step(self, event: StepEvent) -> None: ...
    def epoch(self, event: EpochEvent) -> None: ...
    def close(self) -> None: ...
