"""What a model got right on images that it never saw, with intervals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from headstart.data.splits import Rows

Probabilities = np.ndarray[Any, np.dtype[np.float64]]
Interval = tuple[float, float]

_Z95 = 1.959964
_BINS = 15


@dataclass(frozen=True)
class ClassResult:
    """What a model got right on one class.

    Attributes:
        name: Of the class.
        precision: Share of the images told to be of it that are; 0 where none was.
        recall: Share of its images that were told right.
        recall_ci95: Wilson interval of the recall.
        f1: Harmonic mean of both.
        images: How many of its images were tested.
    """

    name: str
    precision: float
    recall: float
    recall_ci95: Interval
    f1: float
    images: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Images told with about the same confidence.

    Attributes:
        confidence: Mean probability of the told class.
        accuracy: Share that was right.
        images: How many.
    """

    confidence: float
    accuracy: float
    images: int


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a set of images.

    Attributes:
        images: How many.
        accuracy: Share that was told right.
        accuracy_ci95: Wilson interval.
        macro_f1: Mean F1 over the classes that were tested.
        auroc: Area under the ROC curve, one class against the rest, mean over classes; None
            where fewer than two classes were tested.
        ece: Expected calibration error (Naeini et al., 2015), 15 bins of equal width.
        log_loss: Mean of -log(probability of the truth).
        majority: Accuracy of always telling the most frequent class.
        per_class: One for each class, in their order.
        confusion: Counts, rows truth, columns told.
        reliability: Bins of confidence that hold images.
    """

    images: int
    accuracy: float
    accuracy_ci95: Interval
    macro_f1: float
    auroc: float | None
    ece: float
    log_loss: float
    majority: float
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...]

    def headline(self) -> dict[str, Any]:
        """Give the single numbers, as JSON."""
        values = asdict(self)
        for name in ("per_class", "confusion", "reliability"):
            del values[name]
        return values | {"accuracy_ci95": list(self.accuracy_ci95)}


def evaluate_probabilities(
    probabilities: Probabilities, labels: Rows, classes: Sequence[str]
) -> Evaluation:
    """Measure told probabilities against the truth.

    Args:
        probabilities: Shape (images, classes), rows sum to 1.
        labels: True class numbers, shape (images,), at least one.
        classes: Names, in the order of the columns.
    """
    numbers = range(len(classes))
    told = probabilities.argmax(axis=1)
    right = told == labels
    confusion = confusion_matrix(labels, told, labels=numbers)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, told, labels=numbers, zero_division=0
    )
    per_class = tuple(
        ClassResult(
            classes[number],
            float(precision[number]),
            float(recall[number]),
            wilson(int(confusion[number, number]), int(support[number])),
            float(f1[number]),
            int(support[number]),
        )
        for number in numbers
    )
    truth = probabilities[np.arange(len(labels)), labels]
    bins = reliability(probabilities.max(axis=1), right)
    return Evaluation(
        images=len(labels),
        accuracy=float(right.mean()),
        accuracy_ci95=wilson(int(right.sum()), len(labels)),
        macro_f1=float(f1[support > 0].mean()),
        auroc=auroc(probabilities, labels),
        ece=sum(one.images * abs(one.accuracy - one.confidence) for one in bins) / len(labels),
        log_loss=float(np.log(1 / np.maximum(truth, 1e-12)).mean()),
        majority=float(support.max() / len(labels)),
        per_class=per_class,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        reliability=tuple(bins),
    )


def wilson(right: int, images: int) -> Interval:
    """Give the 95 % score interval of a share (Wilson, 1927); (0, 1) for no images."""
    if images == 0:
        return 0.0, 1.0
    share, z2 = right / images, _Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = _Z95 * sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    low = 0.0 if right == 0 else centre - half
    return low, 1.0 if right == images else centre + half


def auroc(probabilities: Probabilities, labels: Rows) -> float | None:
    """Give the mean area under the ROC curves of the tested classes, each against the rest."""
    tested = [number for number in np.unique(labels) if 0 < (labels == number).sum() < len(labels)]
    if not tested:
        return None
    areas = [roc_auc_score(labels == number, probabilities[:, number]) for number in tested]
    return float(np.mean(areas))


def reliability(
    confidence: Probabilities, right: np.ndarray[Any, np.dtype[np.bool_]]
) -> list[ReliabilityBin]:
    """Sort images into 15 bins of confidence, leaving out empty ones."""
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        ReliabilityBin(
            float(confidence[places == place].mean()),
            float(right[places == place].mean()),
            int((places == place).sum()),
        )
        for place in np.unique(places)
    ]
