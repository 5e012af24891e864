"""The task with one label per image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from headstart.answers import Mistake, Prediction, Thresholds
from headstart.evaluation.metrics import evaluate_probabilities
from headstart.tasks.single import Single

TASK = Single()
CLASSES = ("a", "b", "c")
SCORES = np.array([[2.0, 0, -1], [0, 1, 0.5], [0.1, 0.2, 0.3]], dtype=np.float32)
TARGETS = np.array([0, 2, 2])


def test_labels_become_numbers() -> None:
    """Classes are sorted, and each label is the number of its class."""
    assert TASK.classes(["b", "a", "b"]) == ("a", "b")
    assert TASK.targets(["b", "a", "b"], ("a", "b")).tolist() == [1, 0, 1]
    assert TASK.present(np.array([2, 0, 2])) == {0, 2}
    assert TASK.strata(TARGETS) is TARGETS


def test_copies_with_different_labels_conflict() -> None:
    """A single label is not a conflict; several are listed in order."""
    assert TASK.conflict({"a"}) is None
    assert TASK.conflict({"b", "a"}) == "copies of the image have different labels: a and b"


@given(st.floats(0.1, 10), st.integers(0, 2**31))
def test_link_and_probabilities_are_one_function(temperature: float, seed: int) -> None:
    """Both are the softmax of the scores; rows sum to 1."""
    scores = np.random.default_rng(seed).normal(0, 5, (4, 3)).astype(np.float32)
    result = TASK.probabilities(scores, temperature)
    np.testing.assert_allclose(result, softmax(scores / temperature, axis=1), atol=1e-6)
    inside = TASK.link(torch.from_numpy(scores) / temperature).numpy()
    np.testing.assert_allclose(inside, result, atol=1e-6)
    np.testing.assert_allclose(result.sum(axis=1), 1)


def test_the_gradient_is_that_of_the_loss() -> None:
    """The gradient for fitting heads agrees with automatic differentiation."""
    scores = torch.tensor(SCORES, requires_grad=True)
    truth = TASK.encode(TARGETS, 3)
    loss, gradient = TASK.loss_and_gradient(scores.detach(), truth)
    expected = torch.nn.functional.cross_entropy(
        scores, torch.from_numpy(TARGETS), reduction="none"
    )
    torch.testing.assert_close(loss.sum(dim=-1), expected)
    expected.sum().backward()
    torch.testing.assert_close(gradient, scores.grad)
    torch.testing.assert_close(TASK.training_loss(scores, truth, smoothing=0.0), expected.mean())


def test_uninformed_loss_is_that_of_equal_probabilities() -> None:
    """It is the logarithm of the number of classes."""
    equal = np.full((3, 3), 1 / 3)
    assert TASK.losses(equal, TARGETS).mean() == pytest.approx(TASK.uninformed_loss(3))
    assert TASK.uninformed_loss(3) == math.log(3)


def test_sample_weights_sum_to_one_and_balance_classes() -> None:
    """With `balanced`, all classes have the same total weight."""
    targets = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(TASK.sample_weights(targets, 2, balanced=False), 0.25)
    np.testing.assert_allclose(
        TASK.sample_weights(targets, 2, balanced=True), [1 / 6, 1 / 6, 1 / 6, 1 / 2], rtol=1e-6
    )


def test_a_prediction_lists_the_most_probable_first() -> None:
    """The label is the most probable class."""
    result = TASK.predict("x.jpg", np.array([0.2, 0.7, 0.1]), CLASSES, 2)
    assert result == Prediction("x.jpg", "b", 0.7, (("b", 0.7), ("a", 0.2)), result.probabilities)
    assert result.to_json()["top"] == [
        {"label": "b", "probability": 0.7},
        {"label": "a", "probability": 0.2},
    ]


def test_the_most_confident_mistake_comes_first() -> None:
    """Only wrong predictions are listed, at most `limit` of them."""
    probabilities = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    result = TASK.worst_mistakes(probabilities, TARGETS, CLASSES, limit=5)
    assert result == [Mistake(1, "c", "b", 0.8), Mistake(2, "c", "a", 0.4)]
    assert TASK.worst_mistakes(probabilities, TARGETS, CLASSES, limit=1) == result[:1]


def test_a_summary_has_the_metrics() -> None:
    """It has the accuracy, its interval and a row for each class; without test images, dashes."""
    evaluation = evaluate_probabilities(TASK.probabilities(SCORES, 1.0), TARGETS, CLASSES)
    result = TASK.summarise(evaluation, "test")
    assert result.headline == "66.7% correct"
    assert result.context == " on 3 test images, 95% interval 20.8% to 93.9%"
    assert [row[0] for row in result.rows] == ["a", "b", "c"]
    assert result.rows[1] == ("b", "\u2013", "\u2013", "\u2013", "0")
    assert result.sentence.startswith("Accuracy on 3 held-out test images: 66.7% (95% interval")
    assert TASK.summarise(evaluation, "").context.startswith(" on 3 images")
    assert result.note == (
        "No images of 'b': AUROC and macro-F1 are means over the other 2 of 3 classes."
    )


def test_a_summary_shows_the_training_images_of_each_class() -> None:
    """They have a column beside the images that the model is evaluated on, if they are known."""
    evaluation = evaluate_probabilities(TASK.probabilities(SCORES, 1.0), TARGETS, CLASSES)
    counted = TASK.summarise(evaluation, "test", (1200, 30, 4))
    assert counted.columns[-2:] == ("test images>", "trained on>")
    assert [row[-2:] for row in counted.rows] == [("1", "1,200"), ("0", "30"), ("2", "4")]
    unknown = TASK.summarise(evaluation, "")
    assert unknown.columns[-2:] == ("F1>", "images>")
    assert [len(row) for row in unknown.rows] == [5, 5, 5]


def test_a_summary_says_what_is_not_measured() -> None:
    """With images of each class, nothing; with images of one class, that AUROC is not defined."""
    probabilities = TASK.probabilities(SCORES, 1.0)
    complete = evaluate_probabilities(probabilities, np.array([0, 1, 2]), CLASSES)
    assert TASK.summarise(complete, "").note == ""
    one = evaluate_probabilities(probabilities, np.array([1, 1, 1]), CLASSES)
    assert TASK.summarise(one, "").note == (
        "There are only images of one of the 3 classes, so AUROC is not defined."
    )


def test_a_summary_of_many_classes_shows_the_weakest() -> None:
    """It has twelve rows and a note with the number of classes."""
    count = 40
    probabilities = np.eye(count)[np.r_[1, 1:count]]
    names = [f"class {number:02d}" for number in range(count)]
    evaluation = evaluate_probabilities(probabilities, np.arange(count), names)
    rows = TASK.summarise(evaluation, "").rows
    assert len(rows) == 13 and rows[0][0] == "class 00"
    assert rows[-1] == ("… the 12 of 40 classes with the lowest recall",)
    counted = TASK.summarise(evaluation, "", range(count)).rows
    assert [row[-1] for row in counted[:3]] == ["0", "1", "2"]
    few = evaluate_probabilities(probabilities[:5], np.arange(5), names)
    assert [row[0] for row in TASK.summarise(few, "").rows] == names[:5]


@given(st.integers(0, 2**31), st.integers(2, 6))
def test_a_network_decides_for_the_most_probable_class(seed: int, classes: int) -> None:
    """There is one flag for each image, that of the class that is predicted outside a network."""
    rows = np.random.default_rng(seed).dirichlet([1] * classes, 8).astype(np.float32)
    names = [str(number) for number in range(classes)]
    flags = TASK.decide(torch.from_numpy(rows), None)
    assert (flags.dtype, flags.shape) == (torch.bool, rows.shape)
    predicted = [TASK.predict("", row, names, 1).label for row in rows]
    assert [names[row.argmax()] for row in flags.int()] == predicted
    assert (flags.sum(dim=1) == 1).all()


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("threshold", [0.25, 0.75, 1.5])
def test_a_network_decides_at_the_operating_point(positive: int, threshold: float) -> None:
    """The positive class is predicted from its threshold on; above 1, it never is."""
    rows = np.array([[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]], np.float32)
    values = [1 - threshold] * 2
    values[positive] = threshold
    limits = Thresholds("f1", tuple(values), ("", ""), positive)
    flags = TASK.decide(torch.from_numpy(rows), limits)
    predicted = [TASK.predict("", row, ("0", "1"), 1, limits).label for row in rows]
    assert [str(row.int().argmax().item()) for row in flags] == predicted
    assert (flags.sum(dim=1) == 1).all()
    assert flags[:, positive].tolist() == (rows[:, positive] >= threshold).tolist()
