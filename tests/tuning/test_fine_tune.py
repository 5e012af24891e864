"""Fine-tuning through the classifier: what is trained, what is kept, what survives a kill."""

import json

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.errors import OptionError, TuningError
from headstart.tuning import loop
from headstart.tuning.checkpoint import read_checkpoint
from tests.conftest import COLOURS, picture

TINY = "test_resnet"
QUICK = {"epochs": 2, "batch_size": 8, "augment": "flip", "views": 2}


@pytest.fixture
def data(tmp_path):
    """Three classes of noisy pictures that overlap."""
    for number, (label, colour) in enumerate(COLOURS.items()):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(20):
            image = picture(number * 1000 + index, colour)
            image.save(tmp_path / "photos" / label / f"{index:03d}.png")
    return hs.open_images(tmp_path / "photos", cache=tmp_path / "cache")


@pytest.fixture
def make(data, tmp_path):
    """Give a function that fits a classifier on a tiny network, the same one each time."""
    return lambda: fitted(data, tmp_path)


@pytest.fixture
def model(make):
    """A fitted classifier on a tiny network."""
    return make()


def fitted(data, tmp_path):
    """Fit a classifier on a tiny network."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    out = hs.Classifier(
        backbone,
        hs.LinearHead(),
        classes=data.classes,
        precision="float32",
        cache=tmp_path / "cache",
    )
    return out.fit(data.train)


def state(model):
    """Give the backbone's weights."""
    return {name: one.clone() for name, one in model.backbone.network.state_dict().items()}


def changed(before, after):
    """Give the names of the tensors that differ."""
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_only_the_part_named_changes(model, data):
    """The last stage and the head are trained; everything below stays bit for bit."""
    before, head = state(model), model.learnt.head
    report = model.fine_tune(data.train, unfreeze="stages:1", keep="always", **QUICK)
    moved = changed(before, state(model))
    assert moved and all(name.startswith("layer4.") for name in moved)
    assert not np.array_equal(model.learnt.head.weight, head.weight)
    assert report.kept and len(report.epochs) == 2
    assert not any(one.requires_grad for one in model.backbone.parameters())


@pytest.mark.parametrize("part", ["layers:10", "all"])
def test_other_parts(model, data, part):
    """Layers and everything can be trained too; predictions then come from the new weights."""
    told = model.probabilities_of(data.test)
    before = state(model)
    model.fine_tune(data.train, unfreeze=part, keep="always", **QUICK)
    assert changed(before, state(model))
    assert not np.array_equal(model.probabilities_of(data.test), told)


def test_what_does_not_help_is_undone(model, data, monkeypatch):
    """Where the tuned model is not surely better, weights, head and predictions are as before."""
    monkeypatch.setattr("headstart.classifier.surely_better", lambda new, old: False)
    told, before = model.probabilities_of(data.test), state(model)
    report = model.fine_tune(data.train, **QUICK)
    assert not report.kept
    assert not changed(before, state(model))
    np.testing.assert_array_equal(model.probabilities_of(data.test), told)


def test_training_learns_something(model, data):
    """Over some epochs the training loss comes down."""
    options = QUICK | {"epochs": 12, "learning_rate": 1e-3}
    report = model.fine_tune(data.train, unfreeze="stages:2", keep="always", **options)
    losses = [epoch.train_loss for epoch in report.epochs]
    assert min(losses) < losses[0]


def test_the_store_gives_the_gradients_of_the_images(model, data, tmp_path):
    """In float32 with torch below the boundary, rows kept and rows computed are the same bits."""
    from headstart.backbones.pooling import StagePooling
    from headstart.engines.torch_engine import TorchEngine
    from headstart.tuning.halves import cut
    from headstart.tuning.tuner import ImageRows, StoredRows
    from headstart.tuning.views import ViewPlan, ViewStore

    backbone = model.backbone.unfreeze("stages:1")
    halves = cut(StagePooling(backbone).eval(), 4)
    files = tuple(zip(data.train.paths[:8], data.train.sha256s[:8], strict=True))
    plan = ViewPlan(files, "none", 1, 0)
    store = ViewStore(
        tmp_path / "maps", "key", plan, halves.row_width, half=False, most_bytes=10**9
    )
    engine = TorchEngine(halves.below.eval(), device="cpu", precision="float32")
    engine.batch_size = 8
    store.fill(engine, backbone.preprocess)
    gradients = []
    for source in (StoredRows(store), ImageRows(plan, backbone, halves.below)):
        backbone.zero_grad()
        halves.above(source.rows(np.arange(8), 0)).square().sum().backward()
        gradients.append([one.grad.clone() for one in backbone.parameters() if one.requires_grad])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def interrupted(model, data, folder, monkeypatch, steps):
    """Train until a step, and stop as a kill would."""

    class Killed(BaseException):
        pass

    learn = loop.Loop._learn

    def until(self, batch, epoch):
        if self._step == steps:
            raise Killed
        return learn(self, batch, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_learn", until)
        with pytest.raises(Killed):
            model.fine_tune(data.train, checkpoints=folder, keep="always", **QUICK)


@pytest.mark.parametrize("steps", [1, 5, 7, 9])
def test_a_killed_training_ends_with_the_same_weights(make, data, tmp_path, monkeypatch, steps):
    """Resumed in the middle of an epoch, the weights are those of an undisturbed run."""
    monkeypatch.setitem(loop.Loop.__init__.__kwdefaults__, "save_every", 2)
    calm, torn, again = make(), make(), make()
    calm.fine_tune(data.train, checkpoints=tmp_path / "calm", keep="always", **QUICK)
    interrupted(torn, data, tmp_path / "torn", monkeypatch, steps)
    again.fine_tune(data.train, checkpoints=tmp_path / "torn", resume=True, keep="always", **QUICK)
    assert not changed(state(calm), state(again))
    np.testing.assert_array_equal(calm.learnt.head.weight, again.learnt.head.weight)


def test_a_checkpoint_with_a_flipped_byte(model, data, tmp_path):
    """The one before it is used, and that is said."""
    model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    newest = json.loads((tmp_path / "state" / "checkpoint.json").read_text())
    file = tmp_path / "state" / newest["tensors"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found, problem = read_checkpoint(tmp_path / "state")
    assert found is not None and found.state["number"] == newest["number"] - 1
    assert "is damaged; the one before it is used" in problem


def test_resuming_with_other_options_lists_what_differs(make, data, tmp_path):
    """The error names the option, what it was and what it is."""
    model, other = make(), make()
    model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    options = QUICK | {"views": 3}
    with pytest.raises(TuningError, match="views was 2, is 3"):
        other.fine_tune(data.train, checkpoints=tmp_path / "state", resume=True, **options)


def test_a_diverging_loss_stops_with_the_best_state(model, data, monkeypatch):
    """The reason is told, and the weights are finite."""
    entropy = torch.nn.functional.cross_entropy
    calls = []

    def diverging(*arguments, **options):
        calls.append(1)
        loss = entropy(*arguments, **options)
        return loss * float("nan") if "label_smoothing" in options and len(calls) > 9 else loss

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", diverging)
    report = model.fine_tune(data.train, keep="always", **QUICK)
    assert report.stopped.startswith("the loss was nan in epoch")
    assert all(torch.isfinite(one).all() for one in state(model).values())


def test_time_that_is_up_ends_training(model, data):
    """Training stops within its minutes and says so."""
    report = model.fine_tune(data.train, minutes=1e-6, **(QUICK | {"epochs": 50}))
    assert report.stopped == "the time was up"


@pytest.mark.parametrize(
    ("part", "text"),
    [("stages:9", "goes beyond the backbone"), ("blocks:1", "names no part")],
)
def test_parts_that_do_not_exist(model, data, part, text):
    """The error is the backbone's own."""
    with pytest.raises(OptionError, match=text):
        model.fine_tune(data.train, unfreeze=part, **QUICK)


def test_a_store_that_would_be_too_large(model, data):
    """Training reads the images instead, and says so."""
    said = []
    model.fine_tune(data.train, warn=said.append, store_gb=1e-9, **QUICK)
    assert any("so training reads the images in each epoch" in text for text in said)


def test_a_tuned_model_can_be_saved_and_loaded(model, data, tmp_path):
    """The bundle holds the tuned weights and tells the same."""
    model.fine_tune(data.train, keep="always", **QUICK)
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", cache=tmp_path / "cache", precision="float32")
    np.testing.assert_allclose(
        again.probabilities_of(data.test), model.probabilities_of(data.test), atol=1e-6
    )


def test_a_training_that_is_cut_off_leaves_the_model_as_it_was(model, data, tmp_path, monkeypatch):
    """Whatever ends it, weights and predictions are those of before, and nothing learns."""
    told, before = model.probabilities_of(data.test), state(model)
    interrupted(model, data, tmp_path / "state", monkeypatch, 3)
    assert not changed(before, state(model))
    assert not any(one.requires_grad for one in model.backbone.parameters())
    np.testing.assert_array_equal(model.probabilities_of(data.test), told)
