"""Evaluate: measure a trained model on labelled images."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from headstart.data.images import Images, ImageSet
from headstart.errors import DataError
from headstart.options import EvaluateOptions
from headstart.record import Evaluation, Record, Rejection, describe_use
from headstart.runs.folders import REPORT
from headstart.runs.images import images_of_part
from headstart.task import Summary
from headstart.tasks.loading import load_predictor
from headstart.tasks.opening import open_for_model
from headstart.watching import Watcher


@dataclass(frozen=True)
class EvaluateResult:
    """The result of an evaluation.

    Attributes:
        evaluation: The metrics.
        summary: The metrics as text.
        split: The part of the data that was used: "all", "train", "val" or "test".
        classes: Class names, in the order of the confusion matrix.
        rejected: Images that were not used, with the reasons.
    """

    evaluation: Evaluation
    summary: Summary
    split: str
    classes: tuple[str, ...]
    rejected: tuple[Rejection, ...]

    def __repr__(self) -> str:
        return f"EvaluateResult({self.evaluation}, split='{self.split}')"

    def _repr_html_(self) -> str:
        """Return the results by class, for notebooks."""
        return self.evaluation._repr_html_()

    def to_json(self) -> dict[str, JsonValue]:
        """Return the metrics, those of each class, and the rejected images, as JSON values."""
        rejected: list[JsonValue] = [
            {"image": rejection.image, "reason": rejection.reason} for rejection in self.rejected
        ]
        return {"split": self.split, **self.evaluation.to_json(), "rejected": rejected}


def run_evaluation(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    options: EvaluateOptions,
    watcher: Watcher,
) -> EvaluateResult:
    """Run `evaluate` with validated options."""
    predictor = load_predictor(model, options)
    images = open_for_model(predictor, data, options.cache, watcher)
    split, chosen = _select_split(images, options.split, Path(model))
    for warning in _used_before(Path(model), predictor.record, chosen):
        watcher.warn(warning)
    with watcher.stage("Extracting features") as progress:
        evaluation = predictor.evaluate(chosen, progress=progress, warn=watcher.warn)
    summary = predictor.task.summarise(evaluation, "" if split == "all" else split)
    rejected = tuple(Rejection(*rejection) for rejection in images.rejected)
    return EvaluateResult(evaluation, summary, split, predictor.classes, rejected)


def _used_before(run: Path, record: Record | None, images: ImageSet) -> Iterator[str]:
    """Yield what the training used some of the images for."""
    evaluated = set(images.sha256s)
    of_these = f"of these {len(images):,} images"
    if seen := images_of_part(run, "train") & evaluated:
        yield (f"{len(seen):,} {of_these} were used for training, so the results are optimistic.")
    if record and (seen := images_of_part(run, "val") & evaluated):
        yield (
            f"{len(seen):,} {of_these} are in the validation part of the training, which "
            f"{describe_use(record.val_used_for)}."
        )


def _select_split(images: Images, split: str, model: Path) -> tuple[str, ImageSet]:
    """Return the requested part. "auto" is the test part, or all images if there is none."""
    if split == "auto":
        split = "test" if len(images.test) else "all"
    parts = {"all": images.all, "train": images.train, "val": images.val, "test": images.test}
    if not len(parts[split]):
        raise DataError(
            f"'{images.name}' has no usable {split} images. {_what_to_do(parts, split, model)}"
        )
    return split, parts[split]


def _what_to_do(parts: Mapping[str, ImageSet], split: str, model: Path) -> str:
    """Return advice for a part without images."""
    others = [name for name in ("train", "val", "test") if len(parts[name])]
    if others != ["train"]:  # Images without a split are training images.
        return f"It has {' and '.join(others)} images. Pass --split {others[-1]} or --split all."
    advice = (
        f"It has no split: put the images into folders train and {split}, or add a column 'split' "
        "to the table. Or pass --split all."
    )
    report = model / REPORT
    if split == "test" and report.is_file():
        advice += f" The results on the images that training held out are in '{report}'."
    return advice
