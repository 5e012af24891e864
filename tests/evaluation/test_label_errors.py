"""Confident learning finds flipped labels, and little else."""

import numpy as np

from headstart.evaluation.label_errors import confident_errors, confident_label_errors
from headstart.tasks.multi import Multi
from headstart.tasks.single import Single


def sure(classes: list[int], count: int, by: float = 0.9) -> np.ndarray:
    """Return probabilities of models that are sure of given classes."""
    found = np.full((len(classes), count), (1 - by) / (count - 1))
    found[np.arange(len(classes)), classes] = by
    return found


def test_flipped_labels_are_found_and_ranked() -> None:
    """The surest contradiction comes first, with the class that it suggests."""
    truth = [0, 1, 2] * 20
    probabilities = sure(truth, 3)
    targets = np.array(truth)
    targets[4], targets[9] = 2, 1
    probabilities[9] = (0.97, 0.02, 0.01)
    rows, suggested, scores = confident_errors(probabilities, targets)
    assert rows.tolist() == [9, 4]
    assert suggested.tolist() == [0, 1]
    assert scores.round(2).tolist() == [0.95, 0.85]


def test_hard_images_are_not_suspect() -> None:
    """Models that are unsure of a class as a whole do not accuse its images."""
    targets = np.array([0, 1] * 10)
    probabilities = np.tile([0.45, 0.55], (20, 1))
    probabilities[::2] = (0.48, 0.52)
    rows, _, _ = confident_errors(probabilities, targets)
    assert not len(rows)


def test_a_class_without_images_is_never_suggested() -> None:
    """Its limit is unknown."""
    rows, _, _ = confident_errors(sure([2, 0, 0], 3), np.array([0, 0, 0]))
    assert not len(rows)


def test_labels_that_are_independent_are_examined_one_by_one() -> None:
    """In both directions; unknown values are not suspect."""
    present = np.array([True, False] * 20)
    probabilities = np.where(present, 0.9, 0.1)
    probabilities[[0, 1]] = 0.05, 0.98
    rows, scores = confident_label_errors(probabilities, present)
    assert rows.tolist() == [1, 0]
    assert scores.round(2).tolist() == [0.96, 0.9]
    targets = np.stack([present.astype(int), present.astype(int)], axis=1)
    targets[0, 1] = -1
    both = np.stack([probabilities, probabilities], axis=1)
    found = Multi().suspects(both, targets, ("edema", "mass"))
    assert [(one.row, one.label, one.suggested, one.about) for one in found] == [
        (1, "edema absent", "edema present", "edema"),
        (1, "mass absent", "mass present", "mass"),
        (0, "edema present", "edema absent", "edema"),
    ]


def test_suspects_have_the_names_of_their_classes() -> None:
    """One label per image."""
    targets = np.array([0, 1] * 10)
    probabilities = sure(targets.tolist(), 2)
    targets[3] = 0
    (one,) = Single().suspects(probabilities, targets, ("cat", "dog"))
    assert (one.row, one.label, one.suggested) == (3, "cat", "dog")


def test_models_that_know_nothing_accuse_nobody() -> None:
    """Random predictions contradict half of the labels."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet((1, 1), 200)
    targets = rng.integers(0, 2, 200)
    rows, _, _ = confident_errors(probabilities, targets)
    assert not len(rows)


def test_small_classes_are_neither_suspect_nor_suggested() -> None:
    """A mean of four probabilities is no limit."""
    truth = [0] * 20 + [1] * 20 + [2] * 4
    probabilities = sure(truth, 3)
    probabilities[0], probabilities[-1] = (0.01, 0.01, 0.98), (0.98, 0.01, 0.01)
    rows, _, _ = confident_errors(probabilities, np.array(truth))
    assert not len(rows)
