"""Find classes that can be recognised without looking at what the images show.

A model that learns such a shortcut is excellent on the data, and useless elsewhere. Zech et al.
(2018) found a network that recognised the hospital instead of pneumonia; Geirhos et al. (2020),
"Shortcut learning in deep neural networks", collect more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from headstart.arrays import Flags, Floats, Folds, Numbers
from headstart.evaluation.delong import measure_auroc

# Enough for a value of each class, and for a few ranges.
_LEAVES, _LEAVES_PER_CLASS = 32, 2
_LEAST_IN_LEAF = 5
MIN_IMAGES = 10
"""Classes with fewer images, or all but fewer, are not examined."""


@dataclass(frozen=True)
class ShortcutFit:
    """How well some traits of files alone distinguish the classes, on held-out images.

    Attributes:
        trait: The name of the trait.
        accuracy: Share of images whose class is predicted; None for several labels per image.
        aurocs: By class number: the AUROC of the class against all others, and its 95% interval.
    """

    trait: str
    accuracy: float | None
    aurocs: Mapping[int, tuple[float, tuple[float, float]]]


def measure_shortcuts(
    traits: Mapping[str, Floats], present: Flags, folds: Folds, *, exclusive: bool
) -> Iterator[ShortcutFit]:
    """Yield the result of each trait: a small decision tree, fitted and judged on folds.

    Args:
        traits: Values of each trait, (images, columns); categories as numbers.
        present: Whether each image belongs to each class, (images, classes).
        folds: Pairs of rows (train, held out), each image held out once.
        exclusive: Whether each image belongs to one class.
    """
    if not any(_is_examined(positive) for positive in present.T):
        return
    for name, values in traits.items():
        if (values == values[0]).all():
            continue
        scores = _held_out_scores(values, present, folds, exclusive=exclusive)
        rows = np.concatenate([held_out for _, held_out in folds])
        right = scores[rows].argmax(axis=1) == present[rows].argmax(axis=1)
        accuracy = float(right.mean()) if exclusive else None
        yield ShortcutFit(name, accuracy, dict(_aurocs(scores[rows], present[rows])))


def _held_out_scores(values: Floats, present: Flags, folds: Folds, *, exclusive: bool) -> Numbers:
    scores = np.zeros(present.shape)
    leaves = max(_LEAVES, _LEAVES_PER_CLASS * present.shape[1] if exclusive else 0)
    for train, held_out in folds:
        for columns in [slice(None)] if exclusive else range(present.shape[1]):
            truth = present[train][:, columns]
            target = truth.argmax(axis=1) if exclusive else truth
            tree = DecisionTreeClassifier(
                max_leaf_nodes=leaves, min_samples_leaf=_LEAST_IN_LEAF, random_state=0
            ).fit(values[train], target)
            found = tree.predict_proba(values[held_out])
            if exclusive:
                scores[np.ix_(held_out, tree.classes_)] = found
            elif True in tree.classes_:
                scores[held_out, columns] = found[:, list(tree.classes_).index(True)]
    return scores


def _aurocs(
    scores: Numbers, present: Flags
) -> Iterator[tuple[int, tuple[float, tuple[float, float]]]]:
    for number in range(present.shape[1]):
        positive = present[:, number]
        if not _is_examined(positive):
            continue
        if measured := measure_auroc(scores[:, number], positive):
            yield number, (measured.value, measured.ci95)


def _is_examined(positive: Flags) -> bool:
    return bool(min(positive.sum(), (~positive).sum()) >= MIN_IMAGES)
