"""A fine-tuning job: the frozen model, the images, and the user's options."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from headstart.arrays import Features
from headstart.data.orientations import orientation_count
from headstart.features.extractor import FeatureExtractor
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import FittedHead
from headstart.heads.problem import HeadFit
from headstart.heads.specs import AutoHead
from headstart.options import TuneOptions
from headstart.tuning.held_out import LearningSet
from headstart.tuning.training.loop import Train, train_here
from headstart.watching import Note, Progress, Warn, no_note, no_warning


@dataclass(frozen=True)
class ClassifierHead:
    """A fitted head, and which features it uses."""

    head: FittedHead
    features: str


@dataclass(frozen=True)
class Job:
    """A fine-tuning job, before it is run.

    Attributes:
        extractor: Extractor with the frozen backbone.
        heads: The choice of heads of the frozen model.
        fitted: The frozen model's head, fitted on all images.
        chosen: How the frozen model's head was chosen on these images; None if it was chosen on
            others.
        features: Features of all images by the frozen backbone, shape (images, width).
        images: Training and held-out images.
        options: The user's options.
        folder: Folder for the state of trainings, or None; during a training, its own folder.
        resume: Whether to resume a training in that folder.
        warn: Called with warnings for the user.
        note: Called with information for the user, such as estimates.
        progress: Called with the numbers of images done and of all images.
        train: Runs each training: in this process, or elsewhere.
        begin: Start of the job, by `time.perf_counter`.
    """

    extractor: FeatureExtractor
    heads: HeadChoice
    fitted: ClassifierHead
    chosen: HeadFit | None
    features: Features
    images: LearningSet
    options: TuneOptions
    folder: Path | None = None
    resume: bool = False
    warn: Warn = no_warning
    note: Note = no_note
    progress: Progress | None = None
    train: Train = train_here
    begin: float = field(default_factory=time.perf_counter)

    @property
    def deadline(self) -> float | None:
        """The time limit by `time.perf_counter`, or None."""
        minutes = self.options.minutes
        return self.begin + 60 * minutes if minutes else None

    @property
    def may_blend(self) -> bool:
        """Whether two heads may be averaged: only if the user has not chosen a kind of head."""
        return isinstance(self.heads.head, AutoHead)

    @property
    def orientations(self) -> int:
        """The number of orientations over which the features of an image are averaged."""
        return orientation_count(self.extractor.backbone.preprocess.orientations)

    @property
    def head_width(self) -> int:
        """The largest number of columns that a head may use."""
        return int(self.heads.layout.columns(self.heads.kinds[-1]).stop)
