"""Labels that a model doubts, by predictions for images that it did not learn from."""

import numpy as np

from headstart.arrays import Probabilities
from headstart.classifier import Classifier
from headstart.data.images import ImageSet
from headstart.predictor.predictor import Predictor
from headstart.record import Evaluation
from headstart.record.data_check import LabelError
from headstart.record.label_audit import LabelAudit


def doubtful_labels(
    images: ImageSet, probabilities: Probabilities, *, split: str | None
) -> tuple[LabelError, ...]:
    """Return the images whose label is probably wrong, most suspect first.

    Args:
        images: The images.
        probabilities: Of each image, by a model that was not fitted on it, (images, classes).
        split: The name of their part; None to take it from the images.
    """
    names = images.names
    parts = images.table["split"].to_pylist() if split is None else [split] * len(names)
    suspects = images.task.suspects(probabilities, images.labels, images.classes)
    return tuple(
        LabelError(
            *(names[one.row], one.label, one.suggested, one.score),
            split=parts[one.row] or None,
            about=one.about,
        )
        for one in suspects
    )


def doubtful_training_labels(model: Classifier, train: ImageSet) -> tuple[LabelError, ...]:
    """Return the suspects among the training images, by the folds of the last fit."""
    found = model.held_out_probabilities()
    if found is None:
        return ()
    rows, probabilities = found
    return doubtful_labels(train.take(rows), probabilities, split="train")


def audit_labels(
    model: Predictor,
    reported: tuple[ImageSet, Probabilities],
    evaluation: Evaluation,
    part: str,
    train: tuple[LabelError, ...],
) -> LabelAudit:
    """Return the labels that a trained model doubts, and its results with and without them.

    Args:
        model: The model.
        reported: The evaluated images and their probabilities, (images, classes).
        evaluation: The evaluation of these.
        part: What they are: "test" or "validation".
        train: The suspects among the training images.
    """
    shown, probabilities = reported
    suspects = doubtful_labels(shown, probabilities, split=part)
    without = _without(model, shown, probabilities, {one.image for one in suspects})
    return LabelAudit(part, len(shown), suspects, evaluation.verdict, without, train)


def _without(
    model: Predictor, images: ImageSet, probabilities: Probabilities, suspects: set[str]
) -> str:
    """Return the main metric of all images that are not suspect; "" without any."""
    rows = np.array(
        [row for row, name in enumerate(images.names) if name not in suspects], dtype=np.int64
    )
    if not len(rows) or len(rows) == len(images):
        return ""
    rest = images.take(rows)
    evaluation = model.task.evaluate(
        *(probabilities[rows], rest.labels, rest.classes), thresholds=model.thresholds
    )
    return evaluation.verdict
