"""The tutorial's recipe: what it decides, what contradicts it, and its head."""

import numpy as np
import pytest

from headstart.errors import OptionError
from headstart.heads.fitted import MLPModel
from headstart.options import TrainOptions, TuneOptions
from headstart.tuning.tutorial import TutorialHead, require_no_contradiction, with_recipe
from tests.heads.problems import problem, rings


def test_the_recipe_fills_in_its_options():
    """Both parts of it: how the head is fitted, and how the layers are trained."""
    options = with_recipe(TrainOptions.of(recipe="tutorial"))
    assert (options.features, options.tune, options.epochs) == ("flatten", "layers:10", 5)
    assert (options.learning_rate, options.augment, options.batch_size) == (1e-4, "none", 32)
    tuned = with_recipe(TuneOptions.of(recipe="tutorial", epochs=3))
    assert (tuned.epochs, tuned.learning_rate) == (5, 1e-4)


def test_without_the_recipe_nothing_changes():
    """The same object comes back."""
    options = TrainOptions.of(epochs=3)
    require_no_contradiction(options)
    assert with_recipe(options) is options


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"epochs": 3}, "The tutorial's recipe has epochs 5. Got 3. "),
        ({"tune": "stages:1"}, "The tutorial's recipe has tune layers:10. Got stages:1. "),
        ({"head": "mlp"}, "The tutorial's recipe has a head of its own. Got head 'mlp'. "),
    ],
)
def test_what_contradicts_it_is_an_error(wrong, text):
    """The error says what the recipe has."""
    with pytest.raises(OptionError) as caught:
        require_no_contradiction(TrainOptions.of(recipe="tutorial", **wrong))
    assert str(caught.value) == f"{text}Leave that option out, or the recipe."


def test_what_it_decides_may_be_said():
    """An option with the recipe's own value is no contradiction."""
    require_no_contradiction(TrainOptions.of(recipe="tutorial", epochs=5, tune="layers:10"))


def test_auto_has_minutes_unless_they_are_given():
    """Other parts take the time that they take."""
    options = TuneOptions.of()
    assert options.with_minutes("auto").minutes == 10.0
    assert options.with_minutes("stages:1").minutes is None
    assert TuneOptions.of(minutes=3.0).with_minutes("auto").minutes == 3.0


def test_its_head_learns_every_image_in_every_epoch():
    """Nothing is held out, features are read as they are, and the seed decides everything."""
    features, labels = rings()
    task = problem(features, labels)
    fits = [
        TutorialHead(hidden=32, epochs=40, learning_rate=0.01).fit(task, seed=seed)
        for seed in (0, 0, 1)
    ]
    heads = [fit.head for fit in fits]
    assert fits[0].held_out is None and isinstance(heads[0], MLPModel)
    assert not heads[0].mean.any() and (heads[0].scale == 1).all()
    np.testing.assert_array_equal(heads[0].weight, heads[1].weight)
    assert not np.array_equal(heads[0].weight, heads[2].weight)
    predicted = heads[0].logits(features.astype(np.float32)).argmax(axis=1)
    assert (predicted == labels).mean() > 0.9
