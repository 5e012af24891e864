"""The task with any number of labels per image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headstart.answers import Mistake, Thresholds
from headstart.data.labels import write_labels
from headstart.errors import OptionError
from headstart.tasks.multi import Multi

TASK = Multi()
CLASSES = ("edema", "mass", "nodule")
LABELS = [
    write_labels({"edema": True, "mass": None}),
    write_labels({"mass": True, "nodule": True}),
    write_labels({}),
]
TARGETS = np.array([[1, -1, 0], [0, 1, 1], [0, 0, 0]])
SCORES = np.array([[2.0, 3, -1], [-1, 1, -0.5], [0.1, -0.2, -3]], dtype=np.float32)


def test_labels_become_numbers() -> None:
    """1 present, 0 absent, -1 unknown; an image without labels is one without any."""
    assert TASK.classes(LABELS) == CLASSES
    np.testing.assert_array_equal(TASK.targets(LABELS, CLASSES), TARGETS)
    assert TASK.present(TARGETS) == {0, 1, 2}
    assert TASK.present(TARGETS[2:]) == set()


def test_labels_that_the_model_lacks_are_left_out() -> None:
    """A label that is not trained has no column."""
    np.testing.assert_array_equal(TASK.targets(LABELS, ("mass",)), [[-1], [1], [0]])


def test_copies_conflict_on_a_label_that_is_present_in_one_and_absent_in_another() -> None:
    """What is unknown agrees with both; a label that is not named is absent."""
    unknown, present = write_labels({"mass": None}), write_labels({"mass": True})
    assert TASK.conflict({unknown, present}) is None
    assert TASK.conflict({unknown, write_labels({"mass": False})}) is None
    expected = "copies of the image disagree about the labels: mass"
    assert TASK.conflict({present, write_labels({})}) == expected


@given(st.integers(0, 2**31))
def test_link_and_probabilities_are_one_function(seed: int) -> None:
    """Both are the logistic function of the scores, with a temperature for each label."""
    scores = np.random.default_rng(seed).normal(0, 5, (4, 3)).astype(np.float32)
    temperature = (0.5, 1.0, 2.0)
    expected = 1 / (1 + np.exp(-scores.astype(float) / temperature))
    np.testing.assert_allclose(TASK.probabilities(scores, temperature), expected, atol=1e-9)
    inside = TASK.link(torch.from_numpy(scores) / torch.tensor(temperature)).numpy()
    np.testing.assert_allclose(inside, expected, atol=1e-6)


def test_the_gradient_is_that_of_the_loss() -> None:
    """Unknown labels have no loss and no gradient; the others the binary cross-entropy."""
    scores = torch.tensor(SCORES, requires_grad=True)
    truth = TASK.encode(TARGETS, 3)
    loss, gradient = TASK.loss_and_gradient(scores.detach(), truth)
    assert loss[0, 1] == gradient[0, 1] == 0
    known = torch.from_numpy(TARGETS >= 0)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        scores[known], truth[known], reduction="sum"
    )
    torch.testing.assert_close(loss.sum(), expected)
    expected.backward()
    torch.testing.assert_close(gradient, scores.grad)
    torch.testing.assert_close(TASK.training_loss(scores, truth), expected / 3)
    losses = TASK.losses(TASK.probabilities(SCORES, 1.0), TARGETS)
    np.testing.assert_allclose(losses, loss.sum(dim=1), rtol=1e-6)


def test_smoothing_draws_the_truth_to_one_half() -> None:
    """With smoothing s, a present label counts as 1 - s / 2."""
    score, truth = torch.tensor([[1.0]]), torch.ones(1, 1)
    loss = TASK.training_loss(score, truth, smoothing=0.2)
    assert float(loss) == pytest.approx(0.9 * math.log1p(math.exp(-1)) + 0.1 * math.log1p(math.e))


def test_images_are_correct_if_all_their_known_labels_are() -> None:
    """The unknown label of the first image does not count."""
    assert TASK.correct(SCORES, TARGETS).tolist() == [True, False, False]


def test_each_label_has_its_temperature() -> None:
    """Scores that are twice too large have about twice the temperature; unknown labels have 1."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (4000, 2)).astype(np.float32)
    targets = (rng.random((4000, 2)) < 1 / (1 + np.exp(-scores))).astype(np.int64)
    stretched = scores * np.float32([1, 2])
    first, second = TASK.temperature(stretched, targets)
    assert first == pytest.approx(1, abs=0.1)
    assert second == pytest.approx(2, abs=0.2)
    assert TASK.temperature(scores[:5, :1], np.full((5, 1), -1)) == (1.0,)


def test_labels_that_reach_their_threshold_are_predicted() -> None:
    """Also several, or none; the most probable labels are listed in any case."""
    thresholds = Thresholds("f1", (0.5, 0.2, 0.9), ("", "", ""))
    found = TASK.predict("x.png", np.array([0.6, 0.3, 0.8]), CLASSES, 2, thresholds)
    assert found.labels == (("edema", 0.6), ("mass", 0.3))
    assert found.top == (("nodule", 0.8), ("edema", 0.6))
    assert found.answer == {"labels": "edema|mass"}
    assert found.to_json() == {
        "image": "x.png",
        "labels": [
            {"label": "edema", "probability": 0.6},
            {"label": "mass", "probability": 0.3},
        ],
        "top": [
            {"label": "nodule", "probability": 0.8},
            {"label": "edema", "probability": 0.6},
        ],
    }
    assert TASK.predict("x.png", np.array([0.4, 0.1, 0.8]), CLASSES, 2, thresholds).labels == ()


def test_the_threshold_of_a_label_that_was_never_found_is_one_half() -> None:
    """The others have the threshold of the highest F1, or of another purpose."""
    probabilities = np.array([[0.9, 0.9], [0.4, 0.9], [0.1, 0.1], [0.2, 0.1]])
    targets = np.array([[1, 0], [1, 0], [0, 0], [0, -1]])
    chosen = TASK.thresholds(probabilities, targets, "specificity=0.6")
    assert chosen.purpose == "specificity=0.6"
    assert chosen.values[1] == 0.5
    assert 0.1 < chosen.values[0] <= 0.4
    assert TASK.thresholds(probabilities, targets, None).purpose == "f1"
    with pytest.raises(OptionError, match="sensitivity must be above 0"):
        TASK.thresholds(probabilities, targets, "sensitivity=1.2")


def test_mistakes_are_labels_that_were_found_or_missed() -> None:
    """The most certain mistakes come first; unknown labels are none."""
    probabilities = np.array([[0.9, 0.99, 0.1], [0.8, 0.6, 0.05], [0.1, 0.2, 0.3]])
    mistakes = TASK.worst_mistakes(probabilities, TARGETS, CLASSES, limit=5)
    assert mistakes == [
        Mistake(1, "present", "absent", pytest.approx(0.95), about="nodule"),
        Mistake(1, "absent", "present", pytest.approx(0.8), about="edema"),
    ]
    assert len(TASK.worst_mistakes(probabilities, TARGETS, CLASSES, limit=1)) == 1


def test_answers_name_what_is_present_unknown_and_predicted() -> None:
    """Each is a column of a table."""
    probabilities = np.array([[0.9, 0.99, 0.1], [0.8, 0.6, 0.05], [0.1, 0.2, 0.3]])
    assert TASK.answers(probabilities, TARGETS, CLASSES) == {
        "truth": ["edema", "mass|nodule", ""],
        "unknown": ["mass", "", ""],
        "predicted": ["edema|mass", "edema|mass", ""],
    }


def test_classes_cannot_be_balanced() -> None:
    """An option without effect is an error."""
    with pytest.raises(OptionError, match="balanced has no effect"):
        TASK.sample_weights(TARGETS, 3, balanced=True)
    assert TASK.sample_weights(TARGETS, 3, balanced=False).sum() == pytest.approx(1)


def test_labels_that_folds_cannot_measure_are_not_trained() -> None:
    """A label is needed in two groups, and to be absent in two others; unknown does not count."""
    targets = np.array([[1, 1, 1, 1], [1, 1, -1, 1], [0, 0, 0, 0], [0, 0, 0, -1]])
    assert TASK.unlearnable(targets, ["a", "b", "c", "d"]) == {2, 3}
    assert TASK.unlearnable(targets, ["a", "a", "c", "d"]) == {0, 1, 2, 3}


@pytest.mark.parametrize("values", [None, (0.25, 0.5, 0.75), (0.0, 1.0001, 0.5)])
def test_a_network_decides_for_each_label_by_itself(values: tuple[float, ...] | None) -> None:
    """A label that reaches its threshold is predicted, as outside a network; 1/2 without one."""
    limits = Thresholds("f1", values, ("", "", "")) if values else None
    steps = np.linspace(0, 1, 5, dtype=np.float32)
    rows = np.stack([steps, steps[::-1], np.roll(steps, 2)], axis=1)
    flags = TASK.decide(torch.from_numpy(rows), limits)
    assert (flags.dtype, flags.shape) == (torch.bool, rows.shape)
    for row, found in zip(rows, flags.tolist(), strict=True):
        predicted = {name for name, _ in TASK.predict("", row, CLASSES, 3, limits).labels}
        assert {name for name, flag in zip(CLASSES, found, strict=True) if flag} == predicted
    np.testing.assert_array_equal(flags.numpy(), rows >= np.array(values or (0.5, 0.5, 0.5)))
