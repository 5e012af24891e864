"""What fine-tuning is asked to do: the frozen model, the images, and the user's options."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from headstart.arrays import Features
from headstart.data.orientations import orientation_count
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import FittedHead
from headstart.heads.specs import AutoHead
from headstart.options import TuneOptions
from headstart.tuning.held_out import LearningSet
from headstart.watching import Progress, Warn, no_warning


@dataclass(frozen=True)
class Reading:
    """A head, and which features it reads."""

    head: FittedHead
    features: str


@dataclass(frozen=True)
class Job:
    """One fine-tuning, before anything is done.

    Attributes:
        extractor: With the backbone, frozen.
        heads: What the frozen model's head was chosen from, and the task.
        fitted: That head, fitted on all images.
        features: Of all images by the frozen backbone, shape (images, width).
        images: What to learn from, and what to hold out.
        options: How.
        folder: Where trainings keep their state, or None; while one runs, the folder of its own.
        resume: Go on from there.
        warn: Called with what the user should know.
        progress: Called with images done and images in all.
        begin: When the user asked, by `time.perf_counter`.
    """

    extractor: FeatureExtractor
    heads: HeadChoice
    fitted: Reading
    features: Features
    images: LearningSet
    options: TuneOptions
    folder: Path | None = None
    resume: bool = False
    warn: Warn = no_warning
    progress: Progress | None = None
    begin: float = field(default_factory=time.perf_counter)

    @property
    def deadline(self) -> float | None:
        """When to be done, by `time.perf_counter`, if there is such a time."""
        minutes = self.options.minutes
        return self.begin + 60 * minutes if minutes else None

    @property
    def may_blend(self) -> bool:
        """Whether two heads may be averaged: a kind of head that was asked for is kept."""
        return isinstance(self.heads.head, AutoHead)

    @property
    def orientations(self) -> int:
        """Over how many orientations the features of an image are averaged."""
        return orientation_count(self.extractor.backbone.preprocess.orientations)

    @property
    def head_width(self) -> int:
        """The most columns that a head may read."""
        return int(self.heads.layout.columns(self.heads.kinds[-1]).stop)
