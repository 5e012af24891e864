"""Measures of predictions on images that the model never saw."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from headstart.arrays import Flags, Numbers, Probabilities, Targets
from headstart.evaluation.intervals import wilson
from headstart.record import ClassResult, ReliabilityBin, SingleEvaluation

_BINS = 15


def evaluate_probabilities(
    probabilities: Probabilities, labels: Targets, classes: Sequence[str]
) -> SingleEvaluation:
    """Measure probabilities against the truth, for one label per image.

    Args:
        probabilities: Shape (images, classes), rows sum to 1.
        labels: True class numbers, shape (images,), at least one.
        classes: Names, in the order of the columns.
    """
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    confusion = confusion_matrix(labels, predicted, labels=range(len(classes)))
    per_class = _by_class(predicted, labels, classes)
    images = [one.images for one in per_class]
    tested = [one.f1 for one in per_class if one.images and one.f1 is not None]
    truth = probabilities[np.arange(len(labels)), labels]
    bins = reliability(probabilities.max(axis=1), correct)
    return SingleEvaluation(
        images=len(labels),
        accuracy=float(correct.mean()),
        accuracy_ci95=wilson(int(correct.sum()), len(labels)),
        macro_f1=float(np.mean(tested)),
        auroc=auroc(probabilities, labels),
        ece=sum(one.images * abs(one.accuracy - one.confidence) for one in bins) / len(labels),
        log_loss=float(np.log(1 / np.maximum(truth, 1e-12)).mean()),
        majority=max(images) / len(labels),
        per_class=per_class,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        reliability=tuple(bins),
    )


def _by_class(
    predicted: Targets, labels: Targets, classes: Sequence[str]
) -> tuple[ClassResult, ...]:
    numbers = range(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=0
    )
    found = np.bincount(labels[predicted == labels], minlength=len(classes))
    return tuple(
        ClassResult(
            classes[number],
            float(precision[number]),
            float(recall[number]),
            wilson(int(found[number]), int(support[number])),
            float(f1[number]),
            int(support[number]),
        )
        for number in numbers
    )


def auroc(probabilities: Probabilities, labels: Targets) -> float | None:
    """Return the mean area under the ROC curves of the tested classes, each against the rest."""
    tested = [number for number in np.unique(labels) if 0 < (labels == number).sum() < len(labels)]
    if not tested:
        return None
    areas = [roc_auc_score(labels == number, probabilities[:, number]) for number in tested]
    return float(np.mean(areas))


def reliability(confidence: Numbers, correct: Flags) -> list[ReliabilityBin]:
    """Sort images into 15 bins of confidence, leaving out empty ones.

    Args:
        confidence: Probability of the predicted class, shape (images,).
        correct: Whether it is the true one, shape (images,).
    """
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        ReliabilityBin(
            float(confidence[places == place].mean()),
            float(correct[places == place].mean()),
            int((places == place).sum()),
        )
        for place in np.unique(places)
    ]
