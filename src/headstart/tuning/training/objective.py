"""What a training lowers, and how its held-out images are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from headstart.arrays import Rows, Scores, Targets
from headstart.evaluation.comparison import measure_held_out
from headstart.task import Task


class Objective(Protocol):
    """What a training lowers, and how its held-out images are measured."""

    @property
    def guessing(self) -> float:
        """The loss of an uninformed guess, by which a training that diverges is known."""
        ...

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            outputs: What the network returns, (images, width).
            truth: The encoded targets, (images, classes).
        """
        ...

    def measure(self, outputs: Scores, images: Rows) -> tuple[float, float]:
        """Return what the best epoch has least of, and a share that is right, 0 to 1.

        Args:
            outputs: What the network returns for held-out images, (images, width).
            images: The numbers of these images.
        """
        ...


@dataclass(frozen=True, eq=False)
class Classification:
    """To predict the classes of images.

    Attributes:
        task: The kind of label.
        targets: Targets of all images.
        classes: Number of classes.
        smoothing: Share of the target that is spread over all classes.
    """

    task: Task
    targets: Targets
    classes: int
    smoothing: float

    @property
    def guessing(self) -> float:
        """See `Objective.guessing`."""
        return self.task.uninformed_loss(self.classes)

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """See `Objective.loss`."""
        return self.task.training_loss(outputs, truth, smoothing=self.smoothing)

    def measure(self, outputs: Scores, images: Rows) -> tuple[float, float]:
        """Return calibrated log loss and accuracy.

        Calibrated, because label smoothing makes a network less confident than the initial one.
        """
        result = measure_held_out(outputs, self.targets[images], self.task)
        return result.log_loss, result.accuracy
