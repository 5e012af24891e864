"""The training of a detector's head on stored maps."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headstart.backbones.layout import MapShape
from headstart.backbones.maps import row_width
from headstart.boxes import Boxes
from headstart.detection import training as module
from headstart.detection.examples import DetectionExamples
from headstart.detection.recipe import DetectionRecipe
from headstart.detection.training import DetectionTraining, detect
from headstart.errors import TuningError
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.points import Points
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training.checkpoint import NEWEST, Checkpoints
from headstart.watching import with_place

SHAPE = BoxHeadShape((MapShape(6, 8), MapShape(6, 4)), classes=2, channels=8)
POINTS = Points.of(SHAPE.levels, 64)
RECIPE = DetectionRecipe(epochs=4, batch_size=4, views=2, channels=8)
SETTING = Setting(channels_last=False)


class Killed(BaseException):
    """Ends a training like a kill: nothing catches it."""


class Random:
    """A source of random maps that depend on the image and the view."""

    background = True

    def rows(self, images, views):
        """See `RowSource.rows`."""
        pairs = zip(images, np.broadcast_to(views, len(images)), strict=True)
        made = [
            np.random.default_rng([int(image), int(view)]).normal(size=row_width(SHAPE.maps))
            for image, view in pairs
        ]
        return torch.from_numpy(np.stack(made)).float()


@pytest.fixture
def examples(plan_of):
    """Ten images with a box each, but one without."""
    boxes = [
        Boxes(
            np.array([[10, 10, 40 + number, 50]], np.float32),
            np.array([number % 2]),
            np.zeros(1, np.bool_),
        )
        for number in range(9)
    ]
    return DetectionExamples.of(Random(), plan_of(10, 2), [*boxes, Boxes.none()])


@pytest.fixture
def make(examples):
    """Return a function that makes a training, whose head is always the same at first."""

    def make(**options):
        torch.manual_seed(0)
        head, recipe = BoxHead(SHAPE), options.pop("recipe", RECIPE)
        setting, held_out = options.pop("setting", SETTING), options.pop("held_out", examples)
        options = {"measure": measured(0.1, 0.3, 0.2, 0.3)} | options
        return DetectionTraining(head, POINTS, examples, held_out, recipe, setting, **options)

    return make


def measured(*values):
    """Return a measurement that has these values of mAP, one after the other."""
    left = list(values)
    return lambda found: SimpleNamespace(map=left.pop(0), map50=0.5)


def constant(found):
    """Measure the same in each epoch, so that the last is kept."""
    return SimpleNamespace(map=0.5, map50=0.5)


def weights_of(training):
    """Return the weights of the head of a training."""
    return {name: tensor.clone() for name, tensor in training.head.state_dict().items()}


def same(first, second):
    """Return whether weights are the same to the bit."""
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def killed_in(training, epoch, batch=0):
    """Run a training that is killed in an epoch, from 0, after some batches of it."""
    calls, batches = 0, training._examples.steps(RECIPE.batch_size)

    def progress(done, total):
        nonlocal calls
        calls += 1
        if calls > epoch * batches + batch:
            raise Killed

    training._progress = progress
    with pytest.raises(Killed):
        training.run()


def test_a_training_learns(make, examples):
    """The loss falls, the weights change, and batch norms have statistics."""
    recipe = replace(RECIPE, epochs=30, learning_rate=0.01)
    training = make(recipe=recipe, measure=constant)
    before = weights_of(training)
    training.run()
    losses = [epoch.train_loss for epoch in training.history]
    assert len(losses) == 30
    assert losses[-1] < 0.7 * losses[0]
    assert not any(before[name].equal(now) for name, now in weights_of(training).items())
    assert not training.head.training
    found = detect(training.head, POINTS, examples, SETTING)
    assert len(found) == 10
    assert all(np.isfinite(one.corners).all() for one in found)


def test_the_same_training_gives_the_same_weights(make):
    """To the bit; another seed gives others."""
    trainings = [make(), make(), make(recipe=replace(RECIPE, seed=1))]
    for training in trainings:
        training.run()
    first, again, other = map(weights_of, trainings)
    assert same(first, again)
    assert not same(first, other)


def test_history_has_what_was_measured(make):
    """Each epoch has its number, loss, mAP and duration."""
    training = make()
    training.run()
    assert [epoch.epoch for epoch in training.history] == [1, 2, 3, 4]
    assert [epoch.map for epoch in training.history] == [0.1, 0.3, 0.2, 0.3]
    assert [epoch.map50 for epoch in training.history] == [0.5] * 4
    assert all(epoch.seconds > 0 for epoch in training.history)


@pytest.mark.parametrize(
    ("values", "best"), [((0.1, 0.3, 0.2, 0.0), 2), ((0.4, 0.3, 0.2, 0.1), 1), ((0.0,) * 4, 4)]
)
def test_the_weights_of_the_best_epoch_are_kept(make, values, best):
    """Those of the moving average; of equal epochs, the last."""
    averages = []
    measure = measured(*values)

    def remember(found):
        state = training._average.module.state_dict()
        averages.append({name: tensor.clone() for name, tensor in state.items()})
        return measure(found)

    training = make(measure=remember)
    training.run()
    assert training.best_epoch == best
    assert same(weights_of(training), averages[best - 1])
    assert len(averages) == 4


def test_without_held_out_images_the_last_epoch_is_kept(make):
    """Nothing is measured."""
    training = make(held_out=None)
    training.run()
    assert training.best_epoch == 4
    assert [epoch.map for epoch in training.history] == [None] * 4
    assert same(weights_of(training), training._average.module.state_dict())


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("epoch", "batch"), [(0, 1), (1, 0), (2, 2), (3, 1)])
def test_a_killed_training_ends_with_the_same_weights(make, tmp_path, channels_last, epoch, batch):
    """It continues after the last complete epoch, as if nothing had happened."""
    setting = Setting(channels_last=channels_last)
    undisturbed = make(setting=setting)
    undisturbed.run()
    folder = Checkpoints(tmp_path / "head", {"recipe": 1}, resume=True)
    killed_in(make(setting=setting, checkpoints=folder), epoch, batch)
    left = measured(*(0.1, 0.3, 0.2, 0.3)[epoch:])
    resumed = make(setting=setting, checkpoints=folder, measure=left)
    resumed.run()
    assert same(weights_of(resumed), weights_of(undisturbed))
    assert resumed.best_epoch == undisturbed.best_epoch == 4
    courses = [
        [replace(epoch, seconds=0.0) for epoch in training.history]
        for training in (resumed, undisturbed)
    ]
    assert courses[0] == courses[1]


def test_a_finished_training_is_not_trained_again(make, tmp_path):
    """Resuming returns its weights at once, those of its best epoch."""
    folder = Checkpoints(tmp_path / "head", {"recipe": 1}, resume=True)
    first = make(checkpoints=folder, measure=measured(0.1, 0.9, 0.2, 0.3))
    first.run()
    again = make(checkpoints=folder, measure=measured())
    again.run()
    assert same(weights_of(again), weights_of(first))
    assert again.best_epoch == 2
    assert again.history == first.history


def test_a_checkpoint_is_only_read_to_resume(make, tmp_path):
    """Without `resume`, the training starts from scratch."""
    make(checkpoints=Checkpoints(tmp_path / "head", {"recipe": 1})).run()
    again = make(checkpoints=Checkpoints(tmp_path / "head", {"recipe": 1}))
    again.run()
    assert len(again.history) == 4


def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(make, tmp_path):
    """With a warning; the result is the same."""
    undisturbed = make()
    undisturbed.run()
    folder = Checkpoints(tmp_path / "head", {"recipe": 1}, resume=True)
    killed_in(make(checkpoints=folder), 2)
    newest = json.loads((tmp_path / "head" / NEWEST).read_text())
    file = tmp_path / "head" / newest["tensors"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    warnings: list[str] = []
    resumed = make(checkpoints=folder, measure=measured(0.3, 0.2, 0.3), warn=warnings.append)
    resumed.run()
    assert warnings == [
        f"The newest checkpoint in '{tmp_path / 'head'}' is damaged; using the previous one."
    ]
    assert same(weights_of(resumed), weights_of(undisturbed))


def test_a_checkpoint_of_another_recipe_is_refused(make, tmp_path):
    """The error names what differs."""
    make(checkpoints=Checkpoints(tmp_path / "head", {"recipe": {"epochs": 4}})).run()
    other = Checkpoints(tmp_path / "head", {"recipe": {"epochs": 5}}, resume=True)
    with pytest.raises(TuningError) as error:
        make(checkpoints=other).run()
    assert str(error.value) == (
        f"'{tmp_path / 'head'}' is a checkpoint of another training: recipe was {{'epochs': 4}}, "
        "is {'epochs': 5}. Use the same options, or start from scratch without --resume."
    )


def test_the_place_to_resume_is_said(make, tmp_path):
    """Progress that can name a place is told the epoch."""
    folder = Checkpoints(tmp_path / "head", {"recipe": 1}, resume=True)
    killed_in(make(checkpoints=folder), 2)
    places: list[str] = []
    training = make(checkpoints=folder, measure=measured(0.2, 0.3))
    training._progress = with_place(lambda done, total: None, places.append)
    training.run()
    assert places == ["epoch 3 of 4"]


def test_time_that_is_up_ends_a_training_after_an_epoch(make):
    """There is at least one epoch, whose weights are kept."""
    training = make(deadline=time.perf_counter() - 1)
    before = weights_of(training)
    training.run()
    assert len(training.history) == training.best_epoch == 1
    assert not same(before, weights_of(training))


def test_a_deadline_is_checked_after_each_epoch(make):
    """Time that is up in the second epoch leaves two."""
    training = make(deadline=time.perf_counter() + 1000)

    def measure(found):
        if len(training.history) == 1:
            training._deadline = time.perf_counter() - 1
        return constant(found)

    training._measure = measure
    training.run()
    assert len(training.history) == 2


def test_progress_counts_images_of_all_epochs(make):
    """Ten images in each of four epochs."""
    shown: list[tuple[int, int]] = []
    make(progress=lambda *at: shown.append(at)).run()
    assert shown[0] == (4, 40)
    assert shown[-1] == (40, 40)
    assert [done for done, _ in shown] == sorted(done for done, _ in shown)


def test_an_epoch_without_a_finite_loss_is_not_kept(make):
    """The weights of the epoch before are."""
    training = make(measure=constant, recipe=replace(RECIPE, epochs=2))
    rows = training._examples.source.rows

    def broken(images, views):
        return rows(images, views) * (float("nan") if training.history else 1)

    training._examples.source.rows = broken
    training.run()
    assert training.best_epoch == 1
    assert all(tensor.isfinite().all() for tensor in weights_of(training).values())


def test_the_rate_of_each_step_follows_the_recipe(make, monkeypatch):
    """Steps are counted over all epochs, of three batches each."""
    asked: list[tuple[int, int]] = []

    def rate(self, step, steps):
        asked.append((step, steps))
        return 1e-3

    monkeypatch.setattr(DetectionRecipe, "rate", rate)
    make(recipe=replace(RECIPE, epochs=2)).run()
    assert sorted(set(asked)) == [(step, 6) for step in range(6)]


def test_a_training_that_diverges_at_once_says_so(make):
    """Without an epoch to keep, there is no detector."""
    training = make(recipe=replace(RECIPE, learning_rate=1e30, clip=1e30, batch_size=2))
    with pytest.raises(TuningError, match=r"The loss was (nan|inf) in epoch 1\. Use a lower"):
        training.run()


def test_a_training_that_diverges_later_keeps_its_best_epoch(make, monkeypatch):
    """The weights that were good are not lost."""
    warnings = []
    training = make(warn=warnings.append)
    steps, real = [], module.detection_loss

    def diverging(outputs, points, truth):
        steps.append(outputs)
        loss = real(outputs, points, truth)
        return loss if len(training.history) < 2 else loss * np.nan

    monkeypatch.setattr(module, "detection_loss", diverging)
    training.run()
    assert len(training.history) == 2 and 1 <= training.best_epoch <= 2
    assert warnings == [
        "Training ended early: The loss was nan in epoch 3. The best epoch so far is kept."
    ]
