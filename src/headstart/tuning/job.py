"""What fine-tuning is given: the frozen model, the images, and how the user wants it done."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from headstart.arrays import Floats
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import FittedHead
from headstart.heads.specs import AutoHead
from headstart.options import TuneOptions
from headstart.tuning.loop import Warn
from headstart.tuning.task import Task
from headstart.watching import Progress


@dataclass(frozen=True)
class Reading:
    """A head, and which features it reads."""

    head: FittedHead
    features: str


def _nobody(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Job:
    """One fine-tuning, before anything is done.

    Attributes:
        extractor: With the backbone, frozen.
        heads: What the frozen model's head was chosen from.
        fitted: That head, fitted on all images.
        features: Of all images by the frozen backbone, shape (images, width).
        task: What is to be learnt.
        options: How.
        folder: Where the state is kept, or None.
        resume: Go on from there.
        warn: Told what the user should know.
        progress: Called with steps done and steps in all.
        begin: When it was given, by `time.perf_counter`.
    """

    extractor: FeatureExtractor
    heads: HeadChoice
    fitted: Reading
    features: Floats
    task: Task
    options: TuneOptions
    folder: Path | None = None
    resume: bool = False
    warn: Warn = _nobody
    progress: Progress | None = None
    begin: float = field(default_factory=time.perf_counter)

    @property
    def deadline(self) -> float | None:
        """When to be done, by `time.perf_counter`, if there is such a time."""
        minutes = self.options.minutes
        return self.begin + 60 * minutes if minutes else None

    @property
    def may_blend(self) -> bool:
        """Whether two heads may be averaged: one that was asked for stays of its kind."""
        return isinstance(self.heads.head, AutoHead)
