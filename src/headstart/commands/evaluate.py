"""Evaluate: how good a trained model is on labelled images."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.classifier import Classifier
from headstart.commands.runs import learnt_from
from headstart.commands.watching import Silence, Watcher
from headstart.data.images import Images, ImageSet, open_images
from headstart.errors import DataError
from headstart.options import EvaluateOptions, cache_folder
from headstart.record import Evaluation
from headstart.tasks.single import Single


@dataclass(frozen=True)
class EvaluateResult:
    """What was measured.

    Attributes:
        evaluation: The numbers.
        split: Which images were taken: "all", "train", "val" or "test".
        classes: Names, in the order of the confusion matrix.
        rejected: Name and reason of each image that was not used.
    """

    evaluation: Evaluation
    split: str
    classes: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]


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
        watcher: Told how far it is.
        options: See `EvaluateOptions`.

    Raises:
        HeadstartError: The model, the data or an option cannot be used.
    """
    return run_evaluation(model, data, EvaluateOptions.of(**options), watcher or Silence())


def run_evaluation(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    options: EvaluateOptions,
    watcher: Watcher,
) -> EvaluateResult:
    """Do `evaluate` with options that are built already."""
    classifier = Classifier.load(
        Path(model), device=options.device, precision=options.precision, cache=options.cache
    )
    with watcher.stage("Checking images") as progress:
        images = open_images(
            data,
            task=Single(),
            staging=cache_folder(options.cache) / "images",
            classes=classifier.classes,
            progress=progress,
        )
    split, chosen = _part(images, options.split)
    learnt = learnt_from(Path(model)) & set(chosen.sha256s)
    if learnt:
        watcher.warn(
            f"{len(learnt):,} of these {len(chosen):,} images were learnt from, so what is "
            "measured is too good."
        )
    with watcher.stage("Extracting features") as progress:
        evaluation = classifier.evaluate(chosen, progress=progress, warn=watcher.warn)
    return EvaluateResult(evaluation, split, classifier.classes, tuple(images.rejected))


def _part(images: Images, split: str) -> tuple[str, ImageSet]:
    """Take the part that was asked for; "auto" is the test part, or everything without one."""
    if split == "auto":
        split = "test" if len(images.test) else "all"
    parts = {"all": images.all, "train": images.train, "val": images.val, "test": images.test}
    if not len(parts[split]):
        raise DataError(f"'{images.name}' has no usable image in its {split} part.")
    return split, parts[split]
