"""Evaluate: how good a trained model is on labelled images."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.data.images import Images, ImageSet
from headstart.errors import DataError
from headstart.options import EvaluateOptions
from headstart.record import Evaluation, Rejection
from headstart.runs.images import training_images
from headstart.task import Summary
from headstart.tasks.loading import load_predictor
from headstart.tasks.opening import open_for
from headstart.watching import SilentWatcher, Watcher


@dataclass(frozen=True)
class EvaluateResult:
    """What was measured.

    Attributes:
        evaluation: The numbers.
        summary: The same in words and rows.
        split: Which images were taken: "all", "train", "val" or "test".
        classes: Names, in the order of the confusion matrix.
        rejected: Images that were not used, and why.
    """

    evaluation: Evaluation
    summary: Summary
    split: str
    classes: tuple[str, ...]
    rejected: tuple[Rejection, ...]


def evaluate(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> EvaluateResult:
    """Measure a trained model on labelled images.

    Args:
        model: A run or a bundle.
        data: See `train`. Images of classes that the model does not know are rejected.
        watcher: Follows the stages.
        options: See `EvaluateOptions`.

    Raises:
        HeadstartError: The model, the data or an option cannot be used.
    """
    return run_evaluation(model, data, EvaluateOptions.of(**options), watcher or SilentWatcher())


def run_evaluation(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    options: EvaluateOptions,
    watcher: Watcher,
) -> EvaluateResult:
    """Do `evaluate` with options that are built already."""
    predictor = load_predictor(model, options)
    images = open_for(predictor, data, options.cache, watcher)
    split, chosen = _part(images, options.split)
    learnt = training_images(Path(model)) & set(chosen.sha256s)
    if learnt:
        watcher.warn(
            f"{len(learnt):,} of these {len(chosen):,} images were learnt from, so what is "
            "measured is too good."
        )
    with watcher.stage("Extracting features") as progress:
        evaluation = predictor.evaluate(chosen, progress=progress, warn=watcher.warn)
    summary = predictor.task.summarise(evaluation, "" if split == "all" else split)
    rejected = tuple(Rejection(*one) for one in images.rejected)
    return EvaluateResult(evaluation, summary, split, predictor.classes, rejected)


def _part(images: Images, split: str) -> tuple[str, ImageSet]:
    """Take the part that was asked for; "auto" is the test part, or everything without one."""
    if split == "auto":
        split = "test" if len(images.test) else "all"
    parts = {"all": images.all, "train": images.train, "val": images.val, "test": images.test}
    if not len(parts[split]):
        raise DataError(f"'{images.name}' has no usable image in its {split} part.")
    return split, parts[split]
