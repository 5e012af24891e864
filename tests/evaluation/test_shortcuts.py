"""Shortcuts: classes that simple traits distinguish on held-out folds."""

import numpy as np

from headstart.evaluation.shortcuts import measure_shortcuts
from headstart.tasks.single import Single

TASK = Single()
RNG = np.random.default_rng(0)


def measured(traits: dict[str, np.ndarray], targets: np.ndarray) -> dict[str, object]:
    """Return the result of each trait by its name."""
    groups = [str(number) for number in range(len(targets))]
    folds = TASK.folds(targets, groups, folds=5, seed=0)
    present = np.eye(targets.max() + 1, dtype=bool)[targets]
    return {one.trait: one for one in measure_shortcuts(traits, present, folds, exclusive=True)}


def test_a_trait_of_one_class_is_found_and_chance_is_not() -> None:
    """A constant trait is left out."""
    targets = np.repeat([0, 1, 2], 100)
    traits = {
        "format": (targets == 1).astype(np.float32).reshape(-1, 1),
        "noise": RNG.normal(size=(300, 2)).astype(np.float32),
        "constant": np.ones((300, 1), dtype=np.float32),
    }
    found = measured(traits, targets)
    assert set(found) == {"format", "noise"}
    area, (low, _) = found["format"].aurocs[1]
    assert area == 1
    assert low > 0.95
    assert 0.6 < found["format"].accuracy < 0.7
    assert all(area < 0.65 for area, _ in found["noise"].aurocs.values())


def test_small_classes_are_not_examined() -> None:
    """Nine images prove nothing."""
    targets = np.array([0] * 9 + [1] * 100 + [2] * 100)
    traits = {"format": (targets == 0).astype(np.float32).reshape(-1, 1)}
    assert set(measured(traits, targets)["format"].aurocs) == {1, 2}
    assert measured({"noise": RNG.normal(size=(60, 1))}, np.arange(60) % 30) == {}


def test_labels_that_are_independent_have_a_tree_each() -> None:
    """The trait tells one of them, and not the other."""
    present = RNG.random((200, 2)) < 0.4
    folds = TASK.folds(present[:, 0].astype(int), list(map(str, range(200))), folds=5, seed=0)
    traits = {"format": present[:, :1].astype(np.float32)}
    (found,) = measure_shortcuts(traits, present, folds, exclusive=False)
    assert found.accuracy is None
    assert found.aurocs[0][0] == 1
    assert found.aurocs[1][0] < 0.65
