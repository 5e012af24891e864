"""Fine-tuning with the classifier: what is trained, what is kept, and the warnings."""

from dataclasses import replace

import numpy as np
import pytest

import headstart as hs
from headstart.errors import DataError, OptionError
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import StackModel
from headstart.tuning.held_out import learning_set
from headstart.tuning.verdict import Verdict
from tests.tuning.conftest import QUICK, changed, fitted, state

TWO_SCALES = (
    "Fine-tuning trains at one scale, so it cannot start from scales 'two'. Use scales 'one', or "
    "do not fine-tune."
)


def test_only_the_part_named_changes(model, data):
    """The last stage and the head are trained; everything below is bit-identical."""
    before, head = state(model), model.predictor.head
    record = model.fine_tune(data.train, unfreeze="stages:1", keep="always", **QUICK)
    moved = changed(before, state(model))
    assert moved and all(name.startswith("layer4.") for name in moved)
    assert not np.array_equal(model.predictor.head.weight, head.weight)
    assert record.kept and len(record.epochs) == 2
    assert not any(p.requires_grad for p in model.backbone.parameters())


@pytest.mark.parametrize("part", ["layers:10", "all"])
def test_other_parts(model, data, part):
    """Layers or all of the network can be trained; predictions use the new weights."""
    predicted = model.probabilities_of(data.test)
    before = state(model)
    model.fine_tune(data.train, unfreeze=part, keep="always", **QUICK)
    assert changed(before, state(model))
    assert not np.array_equal(model.probabilities_of(data.test), predicted)


def test_the_backbone_that_was_given_is_unchanged(model, data):
    """A tuned model has its own copy of the backbone."""
    backbone, before = model.backbone, state(model)
    model.fine_tune(data.train, keep="always", **QUICK)
    assert model.backbone is not backbone and model.extractor.backbone is model.backbone
    now = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    assert not changed(before, now) and changed(before, state(model))
    assert all(tensor.is_contiguous() for tensor in state(model).values())
    for parameter in (*backbone.parameters(), *model.backbone.parameters()):
        assert parameter.is_contiguous() and not parameter.requires_grad


def test_tuning_is_rolled_back_if_it_does_not_help(model, data, monkeypatch):
    """If the tuned model is not better, weights, head and predictions are as before."""
    monkeypatch.setattr("headstart.tuning.verdict.beats", lambda new, old: False)
    predicted, before = model.probabilities_of(data.test), state(model)
    record = model.fine_tune(data.train, **QUICK)
    assert not record.kept
    assert not changed(before, state(model))
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


def test_training_lowers_the_loss(model, data):
    """The training loss decreases over epochs."""
    options = QUICK | {"epochs": 12, "learning_rate": 1e-3}
    record = model.fine_tune(data.train, unfreeze="stages:2", keep="always", **options)
    losses = [epoch.train_loss for epoch in record.epochs]
    assert min(losses) < losses[0]


def test_a_tuned_model_can_be_tuned_again(model, data):
    """Training then starts from the tuned weights."""
    options = QUICK | {"epochs": 1}
    model.fine_tune(data.train, val=data.test, keep="always", **options)
    before = state(model)
    model.fine_tune(data.train, val=data.test, unfreeze="stages:2", keep="always", **options)
    assert changed(before, state(model))


def test_without_time_the_model_does_not_change(model, data):
    """The time limit is reached before the store is filled, with a warning."""
    warnings = []
    predicted = model.probabilities_of(data.test)
    assert model.fine_tune(data.train, minutes=1e-6, warn=warnings.append, **QUICK) is None
    assert warnings[-1] == (
        "The time limit was reached before training could begin, so the backbone stays frozen. "
        "Pass --minutes (minutes=) with a higher limit."
    )
    np.testing.assert_array_equal(model.probabilities_of(data.test), predicted)


@pytest.mark.parametrize(
    ("part", "text"),
    [("stages:9", "exceeds the backbone"), ("blocks:1", "unfreeze must be auto, all")],
)
def test_an_invalid_part_is_an_error(model, data, part, text):
    """The error describes valid parts."""
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
def test_invalid_arguments_are_errors(model, data, wrong, text):
    """Nothing is trained."""
    with pytest.raises(OptionError, match=text):
        model.fine_tune(data.train, **QUICK, **wrong)


def test_two_scales_cannot_be_tuned(data, root):
    """Training has one scale, which the error says before anything is trained."""
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64, scales="two")
    model = hs.Classifier(
        backbone, "nearest", classes=data.classes, precision="float32", cache=root / "cache"
    ).fit(data.train)
    with pytest.raises(OptionError) as caught:
        model.fine_tune(data.train, **QUICK)
    assert str(caught.value) == TWO_SCALES


def test_a_tuned_model_can_be_saved_and_loaded(model, data, root, tmp_path):
    """The bundle holds the tuned weights and predicts the same."""
    model.fine_tune(data.train, keep="always", **QUICK)
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", cache=root / "cache", precision="float32")
    np.testing.assert_allclose(
        again.probabilities_of(data.test), model.probabilities_of(data.test), atol=1e-6
    )


def test_a_blend_of_heads_can_be_saved_and_loaded(data, root, tmp_path, monkeypatch):
    """The bundle has both heads, and predicts the same probabilities."""
    of = Verdict.of
    monkeypatch.setattr(
        Verdict, "of", lambda *args, **options: replace(of(*args, **options), name="blend")
    )
    model = fitted(data, root / "cache", precision="auto")
    record = model.fine_tune(data.train, keep="always", **QUICK)
    assert record.head == "blend" and isinstance(model.predictor.head, StackModel)
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", cache=root / "cache")
    np.testing.assert_array_equal(
        again.probabilities_of(data.test), model.probabilities_of(data.test)
    )


def test_a_class_missing_in_the_validation_part_is_a_warning(model, data):
    """The user should know, because the validation part decides."""
    warnings = []
    val = data.train.take(np.flatnonzero(data.train.labels != 1))
    model.fine_tune(data.train, val=val, warn=warnings.append, **QUICK)
    assert "The validation part, which decides, has no image of 'green'." in warnings


def test_a_batch_larger_than_the_data(model, data):
    """The batch is all of the data, with a warning."""
    warnings = []
    options = QUICK | {"batch_size": 10_000}
    record = model.fine_tune(data.train, keep="always", warn=warnings.append, **options)
    assert len(record.epochs) == 2
    assert (
        f"There are only {len(data.train)} images, so each batch contains all of them." in warnings
    )


def test_one_image_per_class_cannot_be_held_out(model, data):
    """The error explains the reason."""
    firsts = [int(np.flatnonzero(data.train.labels == number)[0]) for number in range(3)]
    with pytest.raises(DataError, match="nothing can be held out"):
        model.fine_tune(data.train.take(np.array(firsts)), **QUICK)


def test_two_images_of_a_class_are_too_few(data, root):
    """If a round would leave a single image for training, nothing is tuned, with a warning."""
    few = data.train.take(
        np.concatenate([np.flatnonzero(data.train.labels == n)[:2] for n in range(3)])
    )
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    model = hs.Classifier(backbone, classes=data.classes, cache=root / "cache").fit(few)
    warnings = []
    assert model.fine_tune(few, warn=warnings.append, **QUICK) is None
    assert any("Too few images are left for training" in text for text in warnings)


def test_unused_features_are_not_stored(data, root):
    """Statistics of stages that the head does not use are neither stored nor computed."""
    sizes = {}
    for features in ("last", "multilevel"):
        model = fitted(data, root / "cache", hs.LinearHead(), features=features)
        options = QUICK | {"epochs": 1, "val": data.test, "keep": "always"}
        record = model.fine_tune(data.train, **options)
        sizes[features] = record.store_bytes
        assert model.predictor.features == features
        assert model.evaluate(data.test).accuracy >= 0
    assert sizes["last"] < sizes["multilevel"]


def test_a_kind_of_head_chosen_by_the_user_is_kept(data, root):
    """Classes can still be added to a nearest-mean head after fine-tuning."""
    model = fitted(data, root / "cache", hs.NearestHead())
    model.fine_tune(data.train, keep="always", **QUICK)
    assert model.predictor.head.kind == "nearest"


@pytest.mark.parametrize("head", [hs.KernelHead(), hs.NearestHead()])
def test_the_tutorial_replaces_a_head_that_cannot_be_trained(data, root, tmp_path, head):
    """The recipe trains a linear head with the layers, says so, and the model can be saved."""
    model, warnings = fitted(data, root / "cache", head), []
    record = model.fine_tune(data.train, recipe="tutorial", warn=warnings.append)
    assert (record.kept, record.head, model.predictor.head.kind) == (True, "linear", "linear")
    assert (
        "The recipe trains the head together with the layers, so a linear head replaces the "
        f"{head.kind} head."
    ) in warnings
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=root / "cache")
    expected = [prediction.label for prediction in model.predict(data.test)]
    assert [prediction.label for prediction in again.predict(data.test)] == expected


def test_more_views_than_images(model, data):
    """Views without an image are skipped when the initial head is fitted."""
    few = data.train.take(np.arange(0, len(data.train), 2))
    options = QUICK | {"augment": "standard", "views": len(few) + 1, "epochs": 1}
    assert model.fine_tune(few, **options)


def test_the_initial_head_is_fitted_on_views(make, data, monkeypatch):
    """With augmentation the initial head is fitted on views, without it the probe is used."""
    fitted_on = []
    original = HeadChoice.fit

    def counted(self, features, labels, groups):
        fitted_on.append(len(features))
        return original(self, features, labels, groups)

    monkeypatch.setattr(HeadChoice, "fit", counted)
    images = learning_set(data.train, None, hold_out=True, seed=0)
    train_images = len(images.rounds[0][0])
    make().fine_tune(data.train, **QUICK)
    assert 2 * train_images in fitted_on
    fitted_on.clear()
    make().fine_tune(data.train, **QUICK | {"augment": "none"})
    assert 2 * train_images not in fitted_on


def test_few_held_out_images_warn(model, data, monkeypatch):
    """In Python, this is a warning; a result that is kept in any case decides nothing."""
    monkeypatch.setattr("headstart.tuning.verdict.MIN_HELD_OUT", 200)
    text = r"Whether fine-tuning helps was decided on only \d+ held-out images\. With fewer than"
    with pytest.warns(hs.HeadstartWarning, match=text):
        model.fine_tune(data.train, progress=False, **QUICK)
    warnings = []
    model.fine_tune(data.train, keep="always", warn=warnings.append, progress=False, **QUICK)
    assert not any("decided on only" in text for text in warnings)
