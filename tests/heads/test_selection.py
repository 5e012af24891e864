"""Cross-validation chooses the head that suits the data, and it is then fitted on all images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.backbones.layout import FeatureLayout
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import Problem, effort_for
from headstart.heads.selection import refit_heads, select_head
from headstart.heads.specs import AutoHead, NearestHead
from headstart.heads.trials import compare_heads
from headstart.tasks.multi import Multi
from tests.conftest import TASK
from tests.heads.problems import blobs, halves, problem, rings


def accuracy(fit, task, features, labels):
    """Return the accuracy of a fitted head."""
    columns = np.asarray(features, dtype=np.float32)[:, task.columns[fit.features]]
    return (fit.head.logits(columns).argmax(axis=1) == labels).mean()


def test_a_kernel_head_is_chosen_for_rings():
    """Classes that are not linearly separable get a kernel head, which generalises."""
    task = problem(*rings())
    fit = select_head(task)
    assert fit.head.kind == "kernel"
    assert accuracy(fit, task, *rings(seed=1)) > 0.98


def test_a_linear_head_is_chosen_for_half_spaces():
    """Linearly separable classes get a linear head, which generalises."""
    task = problem(*halves())
    fit = select_head(task)
    assert fit.head.kind == "linear"
    assert accuracy(fit, task, *halves(seed=1)) > 0.85


@pytest.mark.parametrize("kind", ["linear", "kernel"])
def test_only_the_given_kinds_are_tried(kind):
    """With one kind given, no other is a candidate."""
    fit = select_head(problem(*rings()), [kind])
    assert fit.head.kind == kind
    assert {candidate.head for candidate in fit.candidates} == {kind}


def test_informative_columns_are_chosen():
    """If only the later columns are informative, "multilevel" is chosen; else "last"."""
    features, labels = blobs(count=120, width=6)
    noise = np.random.default_rng(1).normal(size=(120, 6))
    informative_later = problem(np.concatenate([noise, features], axis=1), labels, last=6)
    assert select_head(informative_later).features == "multilevel"
    informative_last = problem(
        np.concatenate([features, 5 * noise, noise**2], axis=1), labels, last=6
    )
    assert select_head(informative_last).features == "last"


def test_candidates_are_listed_best_first():
    """Each combination is listed once, the chosen head first, each evaluated on all images."""
    features, labels = blobs(count=120, width=8)
    fit = select_head(problem(features, labels, last=4))
    assert len({(row.features, row.head) for row in fit.candidates}) == len(fit.candidates) == 4
    losses = [row.log_loss for row in fit.candidates]
    assert losses == sorted(losses)
    assert (fit.candidates[0].features, fit.candidates[0].head) == (fit.features, fit.head.kind)
    assert {row.images for row in fit.candidates} == {120}


@pytest.mark.parametrize("kinds", [["linear"], ["kernel"]])
def test_every_image_is_held_out_once(kinds):
    """Held-out scores cover each row once and come from models not fitted on it."""
    features, labels = blobs(count=60)
    labels = np.random.default_rng(0).permutation(labels)
    fit = select_head(problem(features, labels), kinds)
    assert sorted(fit.held_out.rows.tolist()) == list(range(60))
    assert fit.held_out.logits.shape == (60, 3)
    correct = fit.held_out.logits.argmax(axis=1) == labels[fit.held_out.rows]
    assert correct.mean() < 0.6, "shuffled labels are predicted only by a model fitted on them"


def test_balanced_weights_help_the_rare_class():
    """Weighting classes inversely to their frequency raises the recall of the rare class."""
    rng = np.random.default_rng(0)
    labels = (np.arange(200) % 20 == 0).astype(np.int64)
    features = rng.normal(size=(200, 3)) + 1.2 * labels[:, None]
    plain = problem(features, labels)
    balanced = replace(plain, balanced=True)
    weights = balanced.sample_weights().numpy()
    assert weights[labels == 1].sum() == pytest.approx(0.5)
    assert weights.sum() == pytest.approx(1)
    found = [
        (select_head(task, ["linear"]).head.logits(task.features).argmax(axis=1)[labels == 1]).sum()
        for task in (plain, balanced)
    ]
    assert found[1] > found[0]


def test_held_out_images_have_weight_0_in_their_fold():
    """In each fold, held-out images have weight 0 and the other weights sum to 1."""
    task = problem(*blobs())
    weights = task.fold_sample_weights()
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(len(task.folds)))
    for number, (train, held_out) in enumerate(task.folds):
        assert (weights[held_out, number] == 0).all()
        assert (weights[train, number] > 0).all()


@pytest.mark.parametrize("make", [halves, rings])
def test_many_images_come_close_to_the_exact_solution(make):
    """Selection on a sample predicts new images about as well as the exact solution."""
    task = problem(*make(count=300))
    new = make(count=300, seed=1)
    exact = select_head(task)
    sampled = select_head(task, exact=100)
    assert accuracy(sampled, task, *new) >= accuracy(exact, task, *new) - 0.04
    assert len(sampled.held_out.rows) == len(sampled.held_out.logits)
    if sampled.head.kind == "kernel":
        assert len(sampled.head.landmarks) == 100


def test_a_class_of_one_image():
    """A class with a single image does not break the folds, and the final head can predict it."""
    features, labels = blobs(count=61)
    labels = labels % 2
    labels[60], features[60] = 2, 9.0
    kept = np.arange(61)
    task = replace(
        problem(features[:60], labels[:60]),
        features=features.astype(np.float32),
        targets=labels,
        classes=3,
        folds=[(kept[kept % 4 != fold], kept[kept % 4 == fold]) for fold in range(4)],
    )
    fit = select_head(task)
    assert fit.head.logits(task.features).argmax(axis=1)[60] == 2
    assert np.isfinite(fit.held_out.logits).all()


def test_constant_columns_are_ignored():
    """A column that is constant in training does not affect scores, even if a new image differs."""
    features, labels = blobs()
    constant = np.concatenate([features, np.full((90, 2), 123.456)], axis=1)
    task = problem(constant, labels)
    for kind in ("linear", "kernel"):
        head = select_head(task, [kind]).head
        changed = task.features.copy()
        changed[:, 8:] += 1e3
        np.testing.assert_array_equal(head.logits(changed), head.logits(task.features))


def test_identical_images_give_class_frequencies():
    """If all features are constant, the head predicts the class frequencies."""
    labels = np.arange(40) % 4 // 3
    fit = select_head(problem(np.ones((40, 5)), labels))
    scores = fit.head.logits(np.ones((1, 5), dtype=np.float32))[0]
    share = np.exp(scores) / np.exp(scores).sum()
    assert share == pytest.approx([0.75, 0.25], abs=0.02)


def test_features_beyond_half_precision_fit_a_kernel():
    """Landmarks outside the range of half precision are stored in float32, without a warning."""
    features, labels = rings()
    task = problem(features * 1e5, labels)
    head = select_head(task, ["kernel"]).head
    assert head.landmarks.dtype == np.float32
    assert (head.logits(task.features).argmax(axis=1) == labels).mean() > 0.98


def test_landmarks_are_stored_in_half_precision_if_exact():
    """Features that were computed in half precision take half the space in the bundle."""
    features, labels = rings()
    task = problem(features.astype(np.float16), labels)
    assert select_head(task, ["kernel"]).head.landmarks.dtype == np.float16


def test_the_same_problem_gives_the_same_head():
    """Fitting does not depend on a random state."""
    first, second = (select_head(problem(*rings())) for _ in range(2))
    np.testing.assert_array_equal(first.head.weight, second.head.weight)
    assert first.candidates == second.candidates


@pytest.mark.parametrize(
    ("images", "classes", "folds", "widths"),
    [(100, 2, 5, 2), (2000, 5, 5, 2), (2000, 6, 3, 2), (2000, 100, 3, 0), (10**6, 2, 5, 2)],
)
def test_effort_decreases_with_problem_size(images, classes, folds, widths):
    """Small problems get more folds and widths than large ones."""
    effort = effort_for(images, classes)
    assert (effort.folds, len(effort.widths)) == (folds, widths)


@pytest.mark.parametrize("exact", [2048, 60])
@pytest.mark.parametrize("kind", ["linear", "kernel"])
def test_a_head_is_refitted_with_the_same_hyperparameters(kind, exact):
    """On the same features this gives the same head, with and without a sample."""
    features, labels = rings()
    task = problem(features, labels)
    fit = select_head(task, [kind], exact=exact)
    again = refit_heads(task, fit.members, exact=exact)
    points = np.asarray(rings(seed=1)[0], dtype=np.float32)
    np.testing.assert_array_equal(again.head.logits(points), fit.head.logits(points))
    assert again.held_out is None and again.features == fit.features


def test_a_fixed_choice_is_not_changed_by_other_features():
    """Kind, strength, width and columns stay, even if cross-validation would prefer others."""
    features, labels = rings()
    layout = FeatureLayout((("output", 2),))
    choice = HeadChoice(AutoHead(), ("last",), layout, 2, TASK)
    groups = [str(number) for number in range(len(labels))]
    rows = np.asarray(features, dtype=np.float32)
    fit = choice.fit(rows, labels, groups)
    assert fit.members[0].kind == "kernel"
    known = np.stack([labels - 0.5, rows[:, 0]], axis=1).astype(np.float32)
    assert choice.fit(known, labels, groups).members != fit.members
    assert choice.with_fixed_choice(fit).fit(known, labels, groups).members == fit.members
    nearest = HeadChoice(NearestHead(), ("last",), layout, 2, TASK)
    fit = nearest.fit(rows, labels, groups)
    assert nearest.with_fixed_choice(fit).fit(known, labels, groups).head.kind == "nearest"


def test_each_label_keeps_its_own_strength():
    """A label that follows the features needs less regularisation than one of pure noise."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 30)).astype(np.float32)
    clear = features[:, :10].sum(axis=1) > 0
    targets = np.stack([clear, rng.random(200) < 0.5], axis=1).astype(np.int64)
    rows = np.arange(200)
    folds = [(rows[rows % 4 != fold], rows[rows % 4 == fold]) for fold in range(4)]
    task = Problem(features, {"last": slice(0, 30)}, targets, 2, folds, Multi())
    fit = select_head(task, ["linear"])
    follows, noise = fit.members[0].strength
    assert follows < noise / 10
    together = compare_heads(replace(task, targets=targets[:, [0, 0]]), ["linear"])[0]
    assert together.strength[0] == together.strength[1] == pytest.approx(follows)
