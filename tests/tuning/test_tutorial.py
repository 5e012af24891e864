"""The tutorial's recipe: its options, contradictions, and its head."""

import numpy as np
import pytest

from headstart.errors import OptionError
from headstart.heads.fitted import MLPModel
from headstart.options import TrainOptions, TuneOptions
from headstart.tuning.tutorial import TutorialHead, with_recipe
from tests.heads.problems import problem, rings


def test_the_recipe_fills_in_its_options():
    """This includes options of the head and of fine-tuning."""
    options = with_recipe(TrainOptions.of(recipe="tutorial"))
    assert (options.features, options.tune, options.epochs) == ("flatten", "layers:10", 5)
    assert (options.learning_rate, options.augment, options.batch_size) == (1e-4, "none", 32)
    tuned = with_recipe(TuneOptions.of(recipe="tutorial"))
    assert (tuned.epochs, tuned.learning_rate) == (5, 1e-4)


def test_without_the_recipe_nothing_changes():
    """The same object is returned."""
    options = TrainOptions.of(epochs=3)
    assert with_recipe(options) is options


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"epochs": 3}, "epochs 5. Got epochs 3. "),
        ({"epochs": 10}, "epochs 5. Got epochs 10. "),  # The default without the recipe.
        ({"tune": "stages:1"}, "tune layers:10. Got tune stages:1. "),
        ({"tune": "none"}, "tune layers:10. Got tune none. "),
        ({"head": "mlp"}, "a head of its own. Got head mlp. "),
        ({"features": "last"}, "features flatten. Got features last. "),
        ({"balanced": True}, "balanced False. Got balanced True. "),
        ({"augment": "flip"}, "augment none. Got augment flip. "),
        ({"views": 2}, "views 1. Got views 2. "),
        ({"learning_rate": 1e-3}, "learning_rate 0.0001. Got learning_rate 0.001. "),
    ],
)
def test_a_contradicting_option_is_an_error(wrong, text):
    """The error has the value of the recipe."""
    with pytest.raises(OptionError) as caught:
        with_recipe(TrainOptions.of(recipe="tutorial", **wrong))
    assert str(caught.value) == (
        f"The tutorial's recipe has {text}Leave out that option, or the recipe."
    )


def test_contradictions_are_found_in_tune_options():
    """`Classifier.fine_tune` has fewer options, which are checked too."""
    with pytest.raises(OptionError, match=r"epochs 5\. Got epochs 3\."):
        with_recipe(TuneOptions.of(recipe="tutorial", epochs=3))


def test_options_of_the_recipe_may_be_given():
    """An option with the value of the recipe is not a contradiction."""
    options = TrainOptions.of(recipe="tutorial", epochs=5, tune="layers:10")
    assert with_recipe(options) == with_recipe(TrainOptions.of(recipe="tutorial"))


def test_auto_has_a_default_time_limit():
    """Other parts have no time limit by default."""
    options = TuneOptions.of()
    assert options.with_minutes("auto").minutes == 10.0
    assert options.with_minutes("stages:1").minutes is None
    assert TuneOptions.of(minutes=3.0).with_minutes("auto").minutes == 3.0


def test_the_head_is_trained_on_all_images():
    """Nothing is held out, features are not scaled, and the result depends on the seed only."""
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
