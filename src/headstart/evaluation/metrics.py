"""Metrics of predictions on test images."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from headstart.arrays import Flags, Numbers, Probabilities, Rows, Targets
from headstart.evaluation.measuring import measure
from headstart.evaluation.weighted_metrics import AreaUnderRoc, Rate
from headstart.record import ClassResult, Interval, ReliabilityBin, SingleEvaluation

_BINS, _TWO = 15, 2


def evaluate_probabilities(
    probabilities: Probabilities,
    labels: Targets,
    classes: Sequence[str],
    *,
    predicted: Targets | None = None,
    groups: Rows | None = None,
) -> SingleEvaluation:
    """Evaluate predicted probabilities, for one label per image.

    Args:
        probabilities: Shape (images, classes), rows sum to 1.
        labels: True class numbers, shape (images,), at least one.
        classes: Names, in the order of the columns.
        predicted: The predicted class numbers, shape (images,). Default: the most probable class.
        groups: The number of each image's group, shape (images,); None if images are independent.
    """
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    correct = predicted == labels
    confusion = confusion_matrix(labels, predicted, labels=range(len(classes)))
    per_class = _by_class(probabilities, labels, predicted, classes, groups)
    areas = [result.auroc for result in per_class if result.auroc is not None]
    images = [result.images for result in per_class]
    f1_scores = [result.f1 for result in per_class if result.f1 is not None]
    truth = probabilities[np.arange(len(labels)), labels]
    bins = reliability(probabilities[np.arange(len(labels)), predicted], correct)
    return SingleEvaluation(
        images=len(labels),
        accuracy=float(correct.mean()),
        accuracy_ci95=_rate_ci95(correct, np.ones_like(correct), groups),
        macro_f1=float(np.mean(f1_scores)),
        auroc=float(np.mean(areas)) if areas else None,
        ece=sum(bin_.images * abs(bin_.accuracy - bin_.confidence) for bin_ in bins) / len(labels),
        log_loss=float(np.log(1 / np.maximum(truth, 1e-12)).mean()),
        majority=max(images) / len(labels),
        per_class=per_class,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        reliability=tuple(bins),
        auroc_ci95=_auroc_ci95(probabilities, labels, groups),
        groups=None if groups is None else len(np.unique(groups)),
    )


def _rate_ci95(hits: Flags, among: Flags, groups: Rows | None) -> Interval:
    """Return Wilson's interval or, with groups, that of the cluster bootstrap."""
    measured = measure(Rate(hits, among), groups).ci95
    # Without an interval, all images are of one group, which tells nothing about others.
    return measured or (0.0, 1.0)


def _auroc_ci95(
    probabilities: Probabilities, labels: Targets, groups: Rows | None
) -> Interval | None:
    """Return the interval of the AUROC of two classes."""
    if probabilities.shape[1] != _TWO:
        return None
    return measure(AreaUnderRoc(probabilities[:, 1], labels == 1), groups).ci95


def _by_class(
    probabilities: Probabilities,
    labels: Targets,
    predicted: Targets,
    classes: Sequence[str],
    groups: Rows | None,
) -> tuple[ClassResult, ...]:
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=range(len(classes)), zero_division=0
    )
    return tuple(
        ClassResult(
            name,
            float(precision[number]),
            float(recall[number]),
            _rate_ci95(predicted == number, labels == number, groups),
            float(f1[number]),
            int(support[number]),
            _auroc(probabilities[:, number], labels == number),
        )
        if support[number]
        else ClassResult(name, None, None, None, None, 0)
        for number, name in enumerate(classes)
    )


def _auroc(probability: Numbers, positive: Flags) -> float | None:
    """Return the area under the ROC curve; None unless some images are positive and some not."""
    return None if positive.all() else float(roc_auc_score(positive, probability))


def reliability(confidence: Numbers, correct: Flags) -> list[ReliabilityBin]:
    """Bin images by confidence into 15 bins, leaving out empty ones.

    Args:
        confidence: Probability of the predicted class, shape (images,).
        correct: Whether the prediction is correct, shape (images,).
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        ReliabilityBin(
            float(confidence[bins == number].mean()),
            float(correct[bins == number].mean()),
            int((bins == number).sum()),
        )
        for number in np.unique(bins)
    ]
