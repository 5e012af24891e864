"""Held-out folds choose the head that suits the data, and what is chosen is fitted on all of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.backbones.layout import FeatureLayout
from headstart.heads.choice import HeadChoice
from headstart.heads.problem import effort_for
from headstart.heads.selection import fit_chosen, select_head
from headstart.heads.specs import AutoHead, NearestHead
from tests.conftest import TASK
from tests.heads.problems import blobs, halves, problem, rings


def accuracy(fit, task, features, labels):
    """Give the share that a fitted head tells right."""
    columns = np.asarray(features, dtype=np.float32)[:, task.columns[fit.features]]
    return (fit.head.logits(columns).argmax(axis=1) == labels).mean()


def test_rings_are_told_by_a_kernel():
    """What no line tells apart gets a kernel head, which is right on new points."""
    task = problem(*rings())
    fit = select_head(task)
    assert fit.head.kind == "kernel"
    assert accuracy(fit, task, *rings(seed=1)) > 0.98


def test_the_sides_of_a_plane_are_told_by_a_line():
    """What a plane tells apart gets a linear head, which is right on new points."""
    task = problem(*halves())
    fit = select_head(task)
    assert fit.head.kind == "linear"
    assert accuracy(fit, task, *halves(seed=1)) > 0.85


@pytest.mark.parametrize("kind", ["linear", "kernel"])
def test_a_head_that_is_asked_for_is_taken(kind):
    """Where one kind is asked for, no other is tried."""
    fit = select_head(problem(*rings()), [kind])
    assert fit.head.kind == kind
    assert {candidate.head for candidate in fit.candidates} == {kind}


def test_the_columns_that_help_are_chosen():
    """Where only the later columns tell the classes apart, "multilevel" is taken; else "last"."""
    features, labels = blobs(count=120, width=6)
    noise = np.random.default_rng(1).normal(size=(120, 6))
    behind = problem(np.concatenate([noise, features], axis=1), labels, last=6)
    assert select_head(behind).features == "multilevel"
    before = problem(np.concatenate([features, 5 * noise, noise**2], axis=1), labels, last=6)
    assert select_head(before).features == "last"


def test_candidates_are_listed_best_first():
    """The chosen one comes first, every combination once, each judged on every image."""
    features, labels = blobs(count=120, width=8)
    fit = select_head(problem(features, labels, last=4))
    assert len({(row.features, row.head) for row in fit.candidates}) == len(fit.candidates) == 4
    losses = [row.log_loss for row in fit.candidates]
    assert losses == sorted(losses)
    assert (fit.candidates[0].features, fit.candidates[0].head) == (fit.features, fit.head.kind)
    assert {row.images for row in fit.candidates} == {120}


@pytest.mark.parametrize("kinds", [["linear"], ["kernel"]])
def test_every_image_is_held_out_once(kinds):
    """Held-out scores cover every row once, and are those of models that had not seen it."""
    features, labels = blobs(count=60)
    labels = np.random.default_rng(0).permutation(labels)
    fit = select_head(problem(features, labels), kinds)
    assert sorted(fit.held_out.rows.tolist()) == list(range(60))
    assert fit.held_out.logits.shape == (60, 3)
    told = fit.held_out.logits.argmax(axis=1) == labels[fit.held_out.rows]
    assert told.mean() < 0.6, "shuffled labels cannot be told, unless a model saw them"


def test_balanced_weights_help_the_rare_class():
    """Weighing classes inversely to their frequency finds more images of the rare one."""
    numbers = np.random.default_rng(0)
    labels = (np.arange(200) % 20 == 0).astype(np.int64)
    features = numbers.normal(size=(200, 3)) + 1.2 * labels[:, None]
    plain = problem(features, labels)
    balanced = replace(plain, balanced=True)
    shares = balanced.shares().numpy()
    assert shares[labels == 1].sum() == pytest.approx(0.5)
    assert shares.sum() == pytest.approx(1)
    found = [
        (select_head(task, ["linear"]).head.logits(task.features).argmax(axis=1)[labels == 1]).sum()
        for task in (plain, balanced)
    ]
    assert found[1] > found[0]


def test_shares_of_folds_leave_out_what_is_held_out():
    """In each fold the held-out images count 0 and the others sum to 1."""
    task = problem(*blobs())
    shares = task.shares_of_folds()
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(len(task.folds)))
    for number, (kept, held) in enumerate(task.folds):
        assert (shares[held, number] == 0).all()
        assert (shares[kept, number] > 0).all()


@pytest.mark.parametrize("make", [halves, rings])
def test_many_images_come_close_to_the_exact_solution(make):
    """Where a sample chooses, new images are predicted as well as with the exact solution."""
    task = problem(*make(count=300))
    new = make(count=300, seed=1)
    exact = select_head(task)
    sampled = select_head(task, exact=100)
    assert accuracy(sampled, task, *new) >= accuracy(exact, task, *new) - 0.04
    assert len(sampled.held_out.rows) == len(sampled.held_out.logits)
    if sampled.head.kind == "kernel":
        assert len(sampled.head.landmarks) == 100


def test_a_class_of_one_image():
    """A class that only one fold can learn is no obstacle; the final head knows it."""
    features, labels = blobs(count=61)
    labels = labels % 2
    labels[60], features[60] = 2, 9.0
    kept = np.arange(61)
    task = replace(
        problem(features[:60], labels[:60]),
        features=features.astype(np.float32),
        targets=labels,
        classes=3,
        folds=[(kept[kept % 3 != fold], kept[kept % 3 == fold]) for fold in range(3)],
    )
    fit = select_head(task)
    assert fit.head.logits(task.features).argmax(axis=1)[60] == 2
    assert np.isfinite(fit.held_out.logits).all()


def test_constant_columns_change_nothing():
    """Columns that are the same for every image have no say, even if a new image differs."""
    features, labels = blobs()
    constant = np.concatenate([features, np.full((90, 2), 123.456)], axis=1)
    task = problem(constant, labels)
    for kind in ("linear", "kernel"):
        head = select_head(task, [kind]).head
        changed = task.features.copy()
        changed[:, 8:] += 1e3
        np.testing.assert_array_equal(head.logits(changed), head.logits(task.features))


def test_images_that_are_all_alike():
    """Where all features are constant, the head tells the frequencies and does not fail."""
    labels = np.arange(40) % 4 // 3
    fit = select_head(problem(np.ones((40, 5)), labels))
    scores = fit.head.logits(np.ones((1, 5), dtype=np.float32))[0]
    share = np.exp(scores) / np.exp(scores).sum()
    assert share == pytest.approx([0.75, 0.25], abs=0.02)


def test_features_beyond_half_precision_fit_a_kernel():
    """Landmarks that half precision does not hold are kept in float32, without a warning."""
    features, labels = rings()
    task = problem(features * 1e5, labels)
    head = select_head(task, ["kernel"]).head
    assert head.landmarks.dtype == np.float32
    assert (head.logits(task.features).argmax(axis=1) == labels).mean() > 0.98


def test_landmarks_that_half_precision_holds_are_kept_in_it():
    """Features that come from half precision cost half as much in the bundle."""
    features, labels = rings()
    task = problem(features.astype(np.float16), labels)
    assert select_head(task, ["kernel"]).head.landmarks.dtype == np.float16


def test_the_same_problem_gives_the_same_head():
    """Fitting draws nothing from a random state: twice is the same."""
    one, other = (select_head(problem(*rings())) for _ in range(2))
    np.testing.assert_array_equal(one.head.weight, other.head.weight)
    assert one.candidates == other.candidates


@pytest.mark.parametrize(
    ("images", "classes", "folds", "widths"),
    [(100, 2, 5, 2), (2000, 5, 5, 2), (2000, 6, 3, 2), (2000, 100, 3, 0), (10**6, 2, 5, 2)],
)
def test_effort_falls_with_the_work(images, classes, folds, widths):
    """Small problems are tried thoroughly, large ones briefly."""
    effort = effort_for(images, classes)
    assert (effort.folds, len(effort.widths)) == (folds, widths)


@pytest.mark.parametrize("exact", [2048, 60])
@pytest.mark.parametrize("kind", ["linear", "kernel"])
def test_what_was_chosen_is_fitted_again_without_choosing(kind, exact):
    """On the same features it gives the same head, with many images and with few."""
    features, labels = rings()
    task = problem(features, labels)
    fit = select_head(task, [kind], exact=exact)
    again = fit_chosen(task, fit.chosen, exact=exact)
    points = np.asarray(rings(seed=1)[0], dtype=np.float32)
    np.testing.assert_array_equal(again.head.logits(points), fit.head.logits(points))
    assert again.held_out is None and again.features == fit.features


def test_settling_leaves_nothing_to_choose():
    """Kind, strength, width and columns stay, whatever folds of other features would prefer."""
    features, labels = rings()
    layout = FeatureLayout((("output", 2),))
    choice = HeadChoice(AutoHead(), ("last",), layout, 2, TASK)
    groups = [str(number) for number in range(len(labels))]
    rows = np.asarray(features, dtype=np.float32)
    fit = choice.fit(rows, labels, groups)
    assert fit.chosen.kind == "kernel"
    known = np.stack([labels - 0.5, rows[:, 0]], axis=1).astype(np.float32)
    assert choice.fit(known, labels, groups).chosen != fit.chosen
    assert choice.settled(fit).fit(known, labels, groups).chosen == fit.chosen
    nearest = HeadChoice(NearestHead(), ("last",), layout, 2, TASK)
    fit = nearest.fit(rows, labels, groups)
    assert nearest.settled(fit).fit(known, labels, groups).head.kind == "nearest"
