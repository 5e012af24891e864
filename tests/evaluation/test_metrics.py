"""Metrics agree with scikit-learn and with numbers worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from headstart.evaluation.intervals import wilson
from headstart.evaluation.metrics import evaluate_probabilities, reliability

CLASSES = ("a", "b", "c")


def predictions(count=60, classes=3, seed=0):
    """Return random probabilities and labels."""
    numbers = np.random.default_rng(seed)
    labels = numbers.integers(0, classes, count)
    logits = numbers.normal(size=(count, classes)) + 1.2 * np.eye(classes)[labels]
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True), labels


def test_metrics_agree_with_scikit_learn():
    """Accuracy, macro F1, AUROC, log loss and the confusion matrix are those of scikit-learn."""
    probabilities, labels = predictions()
    found = evaluate_probabilities(probabilities, labels, CLASSES)
    best = probabilities.argmax(axis=1)
    assert found.images == 60
    assert found.accuracy == pytest.approx((best == labels).mean())
    assert found.accuracy_ci95 == wilson(int((best == labels).sum()), 60)
    assert found.macro_f1 == pytest.approx(f1_score(labels, best, average="macro"))
    assert found.auroc == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities))
    assert found.majority == np.bincount(labels).max() / 60
    assert np.sum(found.confusion) == 60


def test_a_small_case_by_hand():
    """With four images, three of them correct, every number can be computed on paper."""
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    found = evaluate_probabilities(probabilities, np.array([0, 0, 1, 1]), ("no", "yes"))
    assert found.confusion == ((2, 0), (1, 1))
    no, yes = found.per_class
    assert (no.name, no.precision, no.recall, no.images) == ("no", pytest.approx(2 / 3), 1.0, 2)
    assert (yes.name, yes.precision, yes.recall, yes.images) == ("yes", 1.0, 0.5, 2)
    assert yes.recall_ci95 == wilson(1, 2)
    assert found.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.auroc == pytest.approx(0.75)
    # Bins of 1/15: 0.9, 0.6, 0.8 and 0.7 each have a bin of their own.
    assert found.ece == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3]).mean())


def test_calibration_error_by_hand():
    """Ten images at a confidence of 0.75, five of them correct, have an error of 0.25."""
    probabilities = np.tile([0.75, 0.25], (10, 1))
    labels = np.array([0] * 5 + [1] * 5)
    assert evaluate_probabilities(probabilities, labels, ("a", "b")).ece == pytest.approx(0.25)


def test_every_image_is_in_one_bin():
    """Confidences of 0 and of exactly 1 have bins too; empty bins are left out."""
    confidence = np.array([0.0, 0.5, 0.5, 1.0])
    bins = reliability(confidence, np.array([False, True, False, True]))
    assert [bin_.images for bin_ in bins] == [1, 2, 1]
    assert [bin_.accuracy for bin_ in bins] == [0.0, 0.5, 1.0]
    assert [bin_.confidence for bin_ in bins] == [0.0, 0.5, 1.0]


def test_a_class_without_a_test_image():
    """The class counts in neither F1 nor AUROC, and has no metrics of its own."""
    probabilities, labels = predictions()
    kept = labels != 2
    probabilities, labels = probabilities[kept], labels[kept]
    found = evaluate_probabilities(probabilities, labels, CLASSES)
    best = probabilities.argmax(axis=1)
    areas = [roc_auc_score(labels == number, probabilities[:, number]) for number in (0, 1)]
    assert found.auroc == pytest.approx(np.mean(areas))
    assert found.macro_f1 == pytest.approx(f1_score(labels, best, average="macro", labels=[0, 1]))
    assert [result.auroc for result in found.per_class] == [*map(pytest.approx, areas), None]
    assert found.per_class[2].to_json() == {
        "class": "c",
        "precision": None,
        "recall": None,
        "recall_ci95": None,
        "f1": None,
        "auroc": None,
        "images": 0,
        "trained_on": None,
    }


def test_auroc_needs_two_tested_classes():
    """With test images of one class only, AUROC is None, without a warning."""
    probabilities, _ = predictions(5)
    labels = np.zeros(5, dtype=np.int64)
    found = evaluate_probabilities(probabilities, labels, CLASSES)
    assert found.auroc is None
    assert [result.auroc for result in found.per_class] == [None, None, None]


def test_a_confident_mistake_has_a_finite_loss():
    """A probability of 0 for the true class does not make the loss infinite."""
    found = evaluate_probabilities(np.array([[1.0, 0.0]]), np.array([1]), ("a", "b"))
    assert found.log_loss == pytest.approx(-np.log(1e-12))


def test_the_headline_is_json():
    """It holds plain values; tables are left out."""
    import json

    probabilities, labels = predictions()
    headline = evaluate_probabilities(probabilities, labels, CLASSES).headline()
    assert json.loads(json.dumps(headline)) == headline
    assert sorted(headline) == [
        "accuracy",
        "accuracy_ci95",
        "auroc",
        "auroc_ci95",
        "ece",
        "images",
        "log_loss",
        "macro_f1",
        "majority",
    ]
