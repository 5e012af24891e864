"""Fine-tuning through the classifier: what is trained, what is kept, and what the user is told."""

from dataclasses import replace

import numpy as np
import pytest

import headstart as hs
from headstart.errors import DataError, OptionError
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import BlendModel
from headstart.tuning.held_out import learning_set
from headstart.tuning.verdict import Verdict
from tests.tuning.conftest import QUICK, changed, fitted, state


def test_only_the_part_named_changes(model, data):
    """The last stage and the head are trained; everything below stays bit for bit."""
    before, head = state(model), model.predictor.head
    record = model.fine_tune(data.train, unfreeze="stages:1", keep="always", **QUICK)
    moved = changed(before, state(model))
    assert moved and all(name.startswith("layer4.") for name in moved)
    assert not np.array_equal(model.predictor.head.weight, head.weight)
    assert record.kept and len(record.epochs) == 2
    assert not any(one.requires_grad for one in model.backbone.parameters())


@pytest.mark.parametrize("part", ["layers:10", "all"])
def test_other_parts(model, data, part):
    """Layers and everything can be trained too; predictions then come from the new weights."""
    predicted = model.probabilities_of(data.test)
    before = state(model)
    model.fine_tune(data.train, unfreeze=part, keep="always", **QUICK)
    assert changed(before, state(model))
    assert not np.array_equal(model.probabilities_of(data.test), predicted)


def test_the_backbone_that_was_given_is_unchanged(model, data):
    """A tuned model that is kept has a backbone of its own."""
    backbone, before = model.backbone, state(model)
    model.fine_tune(data.train, keep="always", **QUICK)
    assert model.backbone is not backbone and model.extractor.backbone is model.backbone
    now = {name: one.clone() for name, one in backbone.network.state_dict().items()}
    assert not changed(before, now) and changed(before, state(model))
    assert all(one.is_contiguous() for one in state(model).values())
    for one in (*backbone.parameters(), *model.backbone.parameters()):
        assert one.is_contiguous() and not one.requires_grad


def test_what_does_not_help_is_undone(model, data, monkeypatch):
    """Where the tuned model does not win, weights, head and predictions are as before."""
    monkeypatch.setattr("headstart.tuning.verdict.beats", lambda new, old: False)
    predicted, before = model.probabilities_of(data.test), state(model)
    record = model.fine_tune(data.train, **QUICK)
    assert not record.kept
    assert not changed(before, state(model))
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


def test_training_learns_something(model, data):
    """Over some epochs the training loss comes down."""
    options = QUICK | {"epochs": 12, "learning_rate": 1e-3}
    record = model.fine_tune(data.train, unfreeze="stages:2", keep="always", **options)
    losses = [epoch.train_loss for epoch in record.epochs]
    assert min(losses) < losses[0]


def test_tuning_can_go_on_from_a_tuned_model(model, data):
    """Its weights are then those that training starts from, and that are put back."""
    options = QUICK | {"epochs": 1}
    model.fine_tune(data.train, val=data.test, keep="always", **options)
    before = state(model)
    model.fine_tune(data.train, val=data.test, unfreeze="stages:2", keep="always", **options)
    assert changed(before, state(model))


def test_no_time_at_all_leaves_the_model_as_it_was(model, data):
    """The store is not even filled; that is said."""
    said = []
    predicted = model.probabilities_of(data.test)
    assert model.fine_tune(data.train, minutes=1e-6, warn=said.append, **QUICK) is None
    assert "The time was up before training could begin, so the backbone stays frozen." in said
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


@pytest.mark.parametrize(
    ("part", "text"),
    [("stages:9", "exceeds the backbone"), ("blocks:1", "unfreeze must be auto, all")],
)
def test_parts_that_do_not_exist(model, data, part, text):
    """The error says what there is."""
    with pytest.raises(OptionError, match=text):
        model.fine_tune(data.train, unfreeze=part, **QUICK)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"unfreeze": "none"}, "unfreeze must be auto, all, stages:N or layers:N"),
        ({"unfreeze": "stages:0"}, "unfreeze must be"),
        ({"keep": "bettr"}, "keep must be better or always"),
        ({"resume": True}, "resume needs a folder"),
        ({"wise": True}, "Unknown option 'wise'"),
    ],
)
def test_arguments_that_make_no_sense(model, data, wrong, text):
    """They are refused in words, and nothing is trained."""
    with pytest.raises(OptionError, match=text):
        model.fine_tune(data.train, **QUICK, **wrong)


def test_a_tuned_model_can_be_saved_and_loaded(model, data, root, tmp_path):
    """The bundle holds the tuned weights and predicts the same."""
    model.fine_tune(data.train, keep="always", **QUICK)
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", cache=root / "cache", precision="float32")
    np.testing.assert_allclose(
        again.probabilities_of(data.test), model.probabilities_of(data.test), atol=1e-6
    )


def test_a_blend_of_heads_can_be_saved_and_loaded(data, root, tmp_path, monkeypatch):
    """Where both heads are averaged, the bundle holds both, and predicts the same probabilities."""
    of = Verdict.of
    monkeypatch.setattr(Verdict, "of", lambda *one, **more: replace(of(*one, **more), name="blend"))
    model = fitted(data, root / "cache", precision="auto")
    record = model.fine_tune(data.train, keep="always", **QUICK)
    assert record.head == "blend" and isinstance(model.predictor.head, BlendModel)
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", cache=root / "cache")
    np.testing.assert_array_equal(
        again.probabilities_of(data.test), model.probabilities_of(data.test)
    )


def test_a_class_missing_in_the_validation_part_is_said(model, data):
    """It decides, so whoever named it should know."""
    said = []
    some = data.train.take(np.flatnonzero(data.train.labels != 1))
    model.fine_tune(data.train, val=some, warn=said.append, **QUICK)
    assert "The validation part, which decides, has no image of 'green'." in said


def test_a_batch_larger_than_the_data(model, data):
    """It is all of the data, which is said."""
    said = []
    options = QUICK | {"batch_size": 10_000}
    record = model.fine_tune(data.train, keep="always", warn=said.append, **options)
    assert len(record.epochs) == 2
    assert f"There are {len(data.train)} images, so a step takes all of them." in said


def test_one_image_per_class_cannot_be_held_out(model, data):
    """The error says what is missing."""
    firsts = [int(np.flatnonzero(data.train.labels == number)[0]) for number in range(3)]
    with pytest.raises(DataError, match="nothing can be held out"):
        model.fine_tune(data.train.take(np.array(firsts)), **QUICK)


def test_two_images_of_a_class_are_too_few(data, root):
    """Where a round would leave one to learn from, the frozen model stays, and that is said."""
    few = data.train.take(
        np.concatenate([np.flatnonzero(data.train.labels == n)[:2] for n in range(3)])
    )
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    model = hs.Classifier(backbone, classes=data.classes, cache=root / "cache").fit(few)
    said = []
    assert model.fine_tune(few, warn=said.append, **QUICK) is None
    assert any("too little to learn from" in text for text in said)


def test_a_head_of_the_last_layer_trains_through_nothing_else(data, root):
    """Statistics of stages that the head does not read are neither stored nor computed."""
    sizes = {}
    for features in ("last", "multilevel"):
        model = fitted(data, root / "cache", hs.LinearHead(), features=features)
        options = QUICK | {"epochs": 1, "val": data.test, "keep": "always"}
        record = model.fine_tune(data.train, **options)
        sizes[features] = record.store_bytes
        assert model.predictor.features == features
        assert model.evaluate(data.test).accuracy >= 0
    assert sizes["last"] < sizes["multilevel"]


def test_a_kind_of_head_that_was_asked_for_stays(data, root):
    """A head that can learn a class without a refit can do so after fine-tuning."""
    model = fitted(data, root / "cache", hs.NearestHead())
    model.fine_tune(data.train, keep="always", **QUICK)
    assert model.predictor.head.kind == "nearest"


def test_more_views_than_images(model, data):
    """A view that no image is shown in while the head starts is left out."""
    few = data.train.take(np.arange(0, len(data.train), 2))
    options = QUICK | {"augment": "standard", "views": len(few) + 1, "epochs": 1}
    assert model.fine_tune(few, **options)


def test_the_head_starts_from_views(make, data, monkeypatch):
    """The head that training starts from knows views; without augmentation it is the fitted one."""
    fitted_on = []
    original = HeadChoice.fit

    def spied(self, features, labels, groups):
        fitted_on.append(len(features))
        return original(self, features, labels, groups)

    monkeypatch.setattr(HeadChoice, "fit", spied)
    images = learning_set(data.train, None, hold_out=True, seed=0)
    learnt = len(images.rounds[0][0])
    make().fine_tune(data.train, **QUICK)
    assert 2 * learnt in fitted_on
    fitted_on.clear()
    make().fine_tune(data.train, **QUICK | {"augment": "none"})
    assert 2 * learnt not in fitted_on
