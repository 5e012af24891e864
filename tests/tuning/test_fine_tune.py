"""Fine-tuning through the classifier: what is trained, what is kept, what survives a kill."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from headstart.tuning.checkpoint import packed_optimiser, read_checkpoint, unpack_optimiser
from headstart.tuning.network import HeadedNetwork
from headstart.tuning.recipe import Recipe, learning_rate_of, optimiser_of, schedule_of
from headstart.tuning.session import Session, alone
from headstart.tuning.setting import Setting
from headstart.tuning.task import make_task

import headstart as hs
from headstart.errors import OptionError, TuningError
from headstart.evaluation.comparison import rival
from headstart.heads.choice import HeadChoice
from headstart.heads.fitted import BlendModel, LinearModel
from headstart.tasks.single import Single
from headstart.tuning import loop, rounds
from headstart.tuning.verdict import Verdict
from tests.conftest import COLOURS, picture

TINY = "test_resnet"
QUICK = {"epochs": 2, "batch_size": 8, "augment": "flip", "views": 2}


@pytest.fixture(autouse=True)
def one_round(monkeypatch):
    """Hold out once, which is quicker than the five times that so few images would get."""
    monkeypatch.setattr("headstart.tuning.task._ALL_FOLDS", 0)


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
    """Where the tuned model does not win, weights, head and predictions are as before."""
    monkeypatch.setattr("headstart.tuning.verdict.beats", lambda new, old: False)
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
    from headstart.tuning.halves import cut
    from headstart.tuning.sources import ImageRows, StoredRows
    from headstart.tuning.views import ViewPlan, ViewStore

    from headstart.backbones.pooling import StagePooling
    from headstart.engines.torch_engine import TorchEngine

    backbone = model.backbone.unfreeze("stages:1")
    halves = cut(StagePooling(backbone).eval(), 4)
    files = tuple(zip(data.train.paths[:8], data.train.sha256s[:8], strict=True))
    plan = ViewPlan(files, "none", 1, 0)
    store = ViewStore(tmp_path / "maps", "key", plan, halves.row_width, half=False)
    engine = TorchEngine(halves.below.eval(), device="cpu", precision="float32")
    engine.batch_size = 8
    store.fill(engine, backbone.preprocess)
    gradients = []
    for source in (StoredRows(store), ImageRows(plan, backbone, engine)):
        backbone.zero_grad()
        halves.above(source.rows(np.arange(8), 0)).square().sum().backward()
        gradients.append([one.grad.clone() for one in backbone.parameters() if one.requires_grad])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_a_network_that_was_moved_is_cut_where_it_is():
    """Fine-tuning moves the network to its device; the two halves then work there."""
    from headstart.tuning.halves import cut

    from headstart.backbones.backbone import load_backbone
    from headstart.backbones.pooling import StagePooling

    backbone = load_backbone(weights="random", image_size=64)
    here = cut(StagePooling(backbone, reads="last").eval(), 4)
    backbone.network.to("meta")
    there = cut(StagePooling(backbone, reads="last").eval(), 4)
    pixels = torch.zeros(2, 64, 64, 3, dtype=torch.uint8, device="meta")
    rows = there.below(pixels)
    assert rows.shape == (2, here.row_width) == (2, there.row_width)
    assert there.above(rows).shape == (2, backbone.width)


def interrupted(model, data, folder, monkeypatch, steps):
    """Train until a step, and stop as a kill would."""

    class Killed(BaseException):
        pass

    learn = loop.Loop._learn

    def until(self, batch, rows, epoch):
        if self._at.step == steps and self._folder.name == "round-0":
            raise Killed
        return learn(self, batch, rows, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_learn", until)
        with pytest.raises(Killed):
            model.fine_tune(data.train, checkpoints=folder, keep="always", **QUICK)


@pytest.mark.parametrize("steps", [1, 5, 7, 9])
def test_a_killed_training_ends_with_the_same_weights(make, data, tmp_path, monkeypatch, steps):
    """Resumed in the middle of an epoch, the weights are those of an undisturbed run."""
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    # What timing finds fastest may differ between two runs that both start anew.
    way = Setting(threads=torch.get_num_threads())
    monkeypatch.setattr("headstart.tuning.bench.candidates", lambda **options: [way])
    calm, torn, again = make(), make(), make()
    calm.fine_tune(data.train, checkpoints=tmp_path / "calm", keep="always", **QUICK)
    interrupted(torn, data, tmp_path / "torn", monkeypatch, steps)
    again.fine_tune(data.train, checkpoints=tmp_path / "torn", resume=True, keep="always", **QUICK)
    assert not changed(state(calm), state(again))
    np.testing.assert_array_equal(calm.learnt.head.weight, again.learnt.head.weight)


def test_a_checkpoint_with_a_flipped_byte(model, data, tmp_path):
    """The one before it is used, and that is said."""
    model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    folder = tmp_path / "state" / "round-0"
    newest = json.loads((folder / "checkpoint.json").read_text())
    file = folder / newest["tensors"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found, problem = read_checkpoint(folder)
    assert found is not None and found.state["number"] == newest["number"] - 1
    assert "is damaged; the one before is used" in problem


def test_resuming_with_other_options_lists_what_differs(make, data, tmp_path):
    """The error names the option, what it was and what it is."""
    model, other = make(), make()
    model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    options = QUICK | {"views": 1}
    with pytest.raises(TuningError, match="views was 2, is 1"):
        other.fine_tune(data.train, checkpoints=tmp_path / "state", resume=True, **options)


def test_resuming_with_another_version_is_refused(make, data, tmp_path, monkeypatch):
    """What an older version left may mean something else."""
    make().fine_tune(data.train, checkpoints=tmp_path / "state", **QUICK)
    monkeypatch.setattr("headstart.tuning.bench.version", lambda name: "0.2.0")
    with pytest.raises(TuningError, match=r"headstart was .*, is '0\.2\.0'"):
        make().fine_tune(data.train, checkpoints=tmp_path / "state", resume=True, **QUICK)


def test_a_diverging_loss_stops_with_the_best_state(model, data, monkeypatch):
    """The reason and the batch's images are told, and the weights are finite."""
    entropy = torch.nn.functional.cross_entropy
    calls = []

    def diverging(*arguments, **options):
        calls.append(1)
        loss = entropy(*arguments, **options)
        return loss * float("nan") if "label_smoothing" in options and len(calls) > 9 else loss

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", diverging)
    report = model.fine_tune(data.train, keep="always", **QUICK)
    assert report.stopped.startswith("the loss was nan in epoch")
    assert ".png" in report.stopped
    assert all(torch.isfinite(one).all() for one in state(model).values())


def test_a_loss_that_explodes_stops_and_says_why(model, data):
    """Far above guessing nothing is learnt any more; the best epoch stays, whatever it is."""
    options = QUICK | {"epochs": 6, "learning_rate": 30.0}
    report = model.fine_tune(data.train, keep="always", **options)
    assert len(report.epochs) < 6
    assert "where guessing has 1.1: the learning rate is too high" in report.stopped
    assert all(torch.isfinite(one).all() for one in state(model).values())


def test_the_best_trained_epoch_is_kept(model, data, monkeypatch):
    """Four epochs without a lower loss end training; what is kept is trained, not the start."""
    losses = iter(range(20))
    monkeypatch.setattr(loop.Loop, "_judged", lambda self: (float(next(losses)), 0.5))
    kept = []
    refitted = rounds._Reader._refitted
    monkeypatch.setattr(
        rounds._Reader, "_refitted", lambda reader: kept.append(1) or refitted(reader)
    )
    before = state(model)
    report = model.fine_tune(data.train, keep="always", **QUICK | {"epochs": 9})
    assert len(report.epochs) == 5
    assert report.stopped == "held-out images did not improve for 4 epochs"
    assert kept and changed(before, state(model))


def test_time_that_is_up_ends_training(model, data, monkeypatch):
    """Training stops within its minutes and says so; what it learnt till then is judged."""
    monkeypatch.setattr(loop.Loop, "_time_is_up", lambda self: self._at.step >= 3)
    report = model.fine_tune(data.train, minutes=5.0, **(QUICK | {"epochs": 50}))
    assert report.stopped == "the time was up"


@pytest.mark.parametrize("keep", ["better", "always"])
def test_without_a_finished_epoch_nothing_is_kept(model, data, monkeypatch, keep):
    """What has not learnt is not called tuned, however well its head would do."""
    monkeypatch.setattr(loop.Loop, "_time_is_up", lambda self: True)
    before, told = state(model), model.probabilities_of(data.test)
    report = model.fine_tune(data.train, minutes=5.0, keep=keep, **QUICK)
    assert not report.kept and not report.epochs and report.head == ""
    assert report.stopped == "the time was up"
    assert report.tuned_accuracy is None and report.gain_ci95 is None
    assert not changed(before, state(model))
    np.testing.assert_array_equal(model.probabilities_of(data.test), told)


def test_a_way_that_is_far_too_slow_is_not_timed_to_the_end(monkeypatch):
    """After the step that warms up, one is enough; of other ways the best of two counts."""
    from headstart.tuning import setting

    clock, steps = iter(np.arange(0, 1000, 0.5)), []

    class Slow(torch.nn.Module):
        top = None

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, rows):
            steps.append(torch.get_num_threads())
            for _ in range(20 if torch.get_num_threads() == 1 else 0):
                next(clock)
            return rows * self.weight

        def copied(self):
            return {}

        def put(self, weights):
            pass

    monkeypatch.setattr(setting.time, "perf_counter", lambda: next(clock))
    ways = [setting.Setting(threads=2), setting.Setting(threads=1, channels_last=False)]
    before = torch.get_num_threads()
    found = setting.fastest(Slow(), torch.ones(4, 3), torch.zeros(4, dtype=torch.int64), ways)
    assert steps == [2, 2, 2, 1, 1]
    assert found.name == ways[0].name and found.rate == 4 / 0.5
    assert torch.get_num_threads() == before


def test_few_steps_rise_too():
    """Where a tenth of the steps is none, the rate rises for half of them, up to ten."""
    network = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for steps, rising in ((4, 2), (12, 6), (50, 10), (400, 40)):
        schedule = schedule_of(optimiser, Recipe(learning_rate=1e-3), steps)
        rates = [schedule._get_lr(step)[0] for step in range(steps)]
        assert rates[0] == 1e-5
        assert all(np.diff(rates[:rising]) > 0) and all(np.diff(rates[rising:]) < 0)


def test_no_time_at_all_leaves_the_model_as_it_was(model, data):
    """The store is not even filled; that is said."""
    said = []
    told = model.probabilities_of(data.test)
    assert model.fine_tune(data.train, minutes=1e-6, warn=said.append, **QUICK) is None
    assert "The time was up before training could begin, so the backbone stays frozen." in said
    np.testing.assert_array_equal(model.probabilities_of(data.test), told)


@pytest.mark.parametrize(
    ("part", "text"),
    [("stages:9", "goes beyond the backbone"), ("blocks:1", "unfreeze must be auto, all")],
)
def test_parts_that_do_not_exist(model, data, part, text):
    """The error says what there is."""
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


def test_a_blend_of_heads_can_be_saved_and_loaded(data, tmp_path, monkeypatch):
    """Where both heads are averaged, the bundle holds both, and tells the same probabilities."""
    of = Verdict.of
    monkeypatch.setattr(Verdict, "of", lambda *one, **more: replace(of(*one, **more), name="blend"))
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    model = hs.Classifier(backbone, classes=data.classes, cache=tmp_path / "cache").fit(data.train)
    report = model.fine_tune(data.train, keep="always", **QUICK)
    assert report.head == "blend" and isinstance(model.learnt.head, BlendModel)
    model.save(tmp_path / "bundle")
    again = hs.load(tmp_path / "bundle", cache=tmp_path / "cache")
    np.testing.assert_array_equal(
        again.probabilities_of(data.test), model.probabilities_of(data.test)
    )


def test_a_training_that_is_cut_off_leaves_the_model_as_it_was(model, data, tmp_path, monkeypatch):
    """Whatever ends it, weights and predictions are those of before, and nothing learns."""
    told, before = model.probabilities_of(data.test), state(model)
    interrupted(model, data, tmp_path / "state", monkeypatch, 3)
    assert not changed(before, state(model))
    assert not any(one.requires_grad for one in model.backbone.parameters())
    np.testing.assert_array_equal(model.probabilities_of(data.test), told)


def test_small_data_is_held_out_in_turns(model, data, monkeypatch):
    """Every training image is judged once, and what is kept learns from all of them."""
    monkeypatch.setattr("headstart.tuning.task._ALL_FOLDS", 800)
    report = model.fine_tune(data.train, keep="always", **QUICK)
    assert report.rounds == 5
    assert report.images == len(data.train)
    assert report.final


@pytest.mark.parametrize(
    ("minutes", "clear", "rounds"), [(10.0, False, 5), (10.0, True, 1), (None, False, 1)]
)
def test_more_is_held_out_while_it_is_unclear_and_there_is_time(
    model, data, monkeypatch, minutes, clear, rounds
):
    """Time that was granted goes into knowing; nobody is made to wait who granted none."""
    monkeypatch.setattr(Verdict, "clear", clear)
    report = model.fine_tune(data.train, minutes=minutes, **QUICK)
    assert report.rounds == rounds


def test_what_is_clear():
    """Two standard errors, either way."""
    labels = np.arange(400) % 2
    told = np.where(labels[:, None] == np.arange(2), 1.0, -1.0)
    draw = np.random.default_rng(0)
    good, bad, other = (
        rival((told + noise * draw.normal(size=told.shape)).astype(np.float32), labels, Single())
        for noise in (0.5, 2.0, 0.5)
    )
    assert Verdict("along", True, 1.0, probe=bad, best=good).clear
    assert Verdict("along", False, 1.0, probe=good, best=bad).clear
    assert not Verdict("along", False, 1.0, probe=good, best=other).clear
    assert not Verdict("", False, 1.0).clear


def test_a_validation_part_is_what_is_judged_by(model, data):
    """Then there is one round, and nothing is learnt from the validation part."""
    half = np.arange(len(data.train)) % 2 == 0
    learn, val = (data.train.take(np.flatnonzero(part)) for part in (half, ~half))
    report = model.fine_tune(learn, val=val, keep="always", **QUICK)
    assert (report.rounds, report.images, report.final) == (1, len(val), False)


def test_short_memory_halves_the_batch_and_goes_on(model, data, monkeypatch):
    """Gradients are accumulated over parts of the batch, and that is said once for each half."""
    accumulated, said, sizes = loop.Loop._accumulated, [], []

    def greedy(self, rows, targets):
        sizes.append(min(self._at.micro_batch, len(rows)))
        if sizes[-1] > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return accumulated(self, rows, targets)

    monkeypatch.setattr(loop.Loop, "_accumulated", greedy)
    report = model.fine_tune(data.train, warn=said.append, keep="always", **QUICK)
    assert sizes[:3] == [8, 4, 2]
    assert [text for text in said if "parts of" in text] == [
        f"Memory was short, so gradients are now accumulated over parts of {count} images."
        for count in (4, 2, 4, 2)
    ]
    assert report.stopped is None


def test_other_errors_of_a_step_are_not_swallowed(model, data, monkeypatch):
    """Only a shortage of memory is answered by smaller parts."""

    def broken(self, rows, targets):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(loop.Loop, "_accumulated", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        model.fine_tune(data.train, **QUICK)


def test_parts_of_a_batch_give_the_gradients_of_the_whole(model, data):
    """Accumulated gradients are those of the batch at once, up to rounding."""
    from headstart.tuning.network import HeadedNetwork
    from headstart.tuning.recipe import Recipe

    head = model.learnt.head
    lesson = loop.Lesson(
        data.train.labels, np.arange(8), np.arange(0), data.train.task, data.train.names
    )
    rows, targets = torch.rand(8, len(head.mean)), torch.eye(3)[torch.arange(8) % 3]
    gradients = []
    for micro_batch in (8, 3):
        network = HeadedNetwork(torch.nn.Identity(), head, slice(0, len(head.mean)))
        setting = Setting(micro_batch=micro_batch)
        training = loop.Loop(
            network, torch.nn.Linear(1, 1), None, lesson, Recipe(), setting, views=1
        )
        training._accumulated(rows, targets)
        gradients.append(network.top.weight.grad)
    torch.testing.assert_close(*gradients)


def test_an_interruption_saves_and_leaves_a_usable_model(model, data, tmp_path, monkeypatch):
    """After Ctrl-C the step is finished, a checkpoint is written, and the model can predict."""
    import signal

    learn = loop.Loop._learn

    def interrupted_after(self, batch, rows, epoch):
        if self._at.step == 3:
            signal.raise_signal(signal.SIGINT)
        return learn(self, batch, rows, epoch)

    monkeypatch.setattr(loop.Loop, "_learn", interrupted_after)
    before = signal.getsignal(signal.SIGINT)
    report = model.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    assert report.stopped == "it was interrupted"
    assert report.rounds == 1 and not report.final
    assert read_checkpoint(tmp_path / "state" / "round-0")[0].state["step"] == 4
    assert model.probabilities_of(data.test).shape == (len(data.test), 3)
    assert signal.getsignal(signal.SIGINT) is before


def test_wise_interpolates_where_held_out_images_like_it(model, data):
    """The share of tuned weights is told."""
    report = model.fine_tune(data.train, wise=True, keep="always", **QUICK)
    assert report.alpha in (0.25, 0.5, 0.75, 1.0)


def test_wise_keeps_weights_between_the_start_and_the_end(make, data, monkeypatch):
    """Half of the tuned weights is half of the way from the first weights to the last."""
    ends = []
    for share in (0.0, 0.5, 1.0):
        model = make()
        monkeypatch.setattr(rounds, "SHARES", (share,))
        model.fine_tune(data.train, val=data.test, wise=True, keep="always", **QUICK)
        ends.append(state(model))
    first, half, last = ends
    moved = changed(first, last)
    assert moved
    for name in moved:
        torch.testing.assert_close(half[name], torch.lerp(first[name], last[name], 0.5))


def test_wise_judges_by_the_heads_that_are_used(make, data, monkeypatch):
    """Every share has its head fitted anew, and the lowest log loss wins."""
    losses = {0.25: 0.4, 0.5: 0.2, 0.75: 0.3, 1.0: 0.5}
    monkeypatch.setattr(
        rounds._Tuned, "log_loss", lambda self, labels, task, blend: losses[self.alpha]
    )
    model = make()
    report = model.fine_tune(data.train, val=data.test, wise=True, keep="always", **QUICK)
    assert report.alpha == 0.5


def test_a_full_disk_under_the_checkpoints_is_said(model, data, tmp_path, monkeypatch):
    """Training goes on without them."""

    def full(path, content):
        raise OSError(28, "No space left on device")

    said = []
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    report = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", warn=said.append, keep="always", **QUICK
    )
    assert any("No space left on device. Training goes on." in text for text in said)
    assert report.stopped is None


def test_a_full_disk_under_the_boundary_store_is_said(model, data, monkeypatch):
    """Training then reads the images."""

    def full(self, places, features):
        raise OSError(28, "No space left on device")

    said = []
    monkeypatch.setattr("headstart.tuning.views.ViewStore.put", full)
    model.fine_tune(data.train, warn=said.append, keep="always", **QUICK)
    assert any("No space left on device), so training reads images" in text for text in said)


def test_what_was_timed_is_not_timed_again_on_resuming(make, data, tmp_path, monkeypatch):
    """A resumed training takes its steps as the first one did, whatever is faster now."""
    calm, again = make(), make()
    calm.fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    monkeypatch.setattr("headstart.tuning.bench.fastest", None)
    report = again.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, keep="always", **QUICK
    )
    assert not changed(state(calm), state(again))
    assert report.setting["name"]


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
    report = model.fine_tune(data.train, keep="always", warn=said.append, **options)
    assert len(report.epochs) == 2
    assert f"There are {len(data.train)} images, so a step takes all of them." in said


def test_one_image_per_class_cannot_be_judged(data, tmp_path):
    """The error says what is missing."""
    from headstart.errors import DataError

    firsts = [int(np.flatnonzero(data.train.labels == number)[0]) for number in range(3)]
    model = fitted(data, tmp_path)
    with pytest.raises(DataError, match="nothing can be held out"):
        model.fine_tune(data.train.take(np.array(firsts)), **QUICK)


def test_old_stores_make_room(tmp_path):
    """Together they take no more than one may; the one in use stays."""
    from headstart.tuning.views import ViewPlan, ViewStore

    plan = ViewPlan((("a.png", "a"),), "none", 1, 0)
    first, second = (ViewStore(tmp_path, key, plan, 100, half=True) for key in ("1", "2"))
    second.forget_others(first.bytes + second.bytes + 1)
    assert len(list(tmp_path.glob("*.rows"))) == 2
    second.forget_others(second.bytes + 1)
    assert len(list(tmp_path.iterdir())) == 2
    second.put(np.arange(1), np.ones((1, 100), dtype=np.float32))
    assert second.read(np.arange(1), 0).sum() == 100


def test_going_on_with_another_part_is_refused(make, data, tmp_path):
    """The part that is asked for counts, not the one that was trained before."""
    make().fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    with pytest.raises(TuningError, match="part was 'stages:1', is 'stages:2'"):
        make().fine_tune(
            data.train,
            unfreeze="stages:2",
            checkpoints=tmp_path / "state",
            resume=True,
            **QUICK,
        )


def test_starting_anew_forgets_what_was_there(make, data, tmp_path):
    """Without resume, other options are no obstacle and nothing old is gone on from."""
    make().fine_tune(data.train, checkpoints=tmp_path / "state", keep="always", **QUICK)
    again = make()
    report = again.fine_tune(
        data.train, checkpoints=tmp_path / "state", keep="always", **(QUICK | {"epochs": 1})
    )
    assert len(report.epochs) == 1
    events = (tmp_path / "state" / "round-0" / "events.jsonl").read_text().splitlines()
    assert sum('"event": "epoch"' in line for line in events) == 1


def test_a_head_of_the_last_layer_trains_through_nothing_else(data, tmp_path):
    """Statistics of stages that the head does not read are neither stored nor computed."""
    sizes = {}
    for features in ("last", "multilevel"):
        backbone = hs.load_backbone(TINY, weights="random", image_size=64)
        cache = tmp_path / features
        settings = {"classes": data.classes, "precision": "float32", "cache": cache}
        model = hs.Classifier(backbone, hs.LinearHead(), features=features, **settings)
        model.fit(data.train)
        report = model.fine_tune(data.train, keep="always", **(QUICK | {"epochs": 1}))
        sizes[features] = report.store_bytes
        assert model.learnt.features == features
        assert model.evaluate(data.test).accuracy >= 0
    assert sizes["last"] < sizes["multilevel"]


def test_two_trainings_in_one_folder_are_refused(make, data, tmp_path):
    """The second is told, and the first one's checkpoints stay; afterwards the folder is free."""
    folder = tmp_path / "checkpoints"
    with alone(folder), pytest.raises(TuningError, match="Another training of the same data"):
        make().fine_tune(data.train, checkpoints=folder, **QUICK)
    assert make().fine_tune(data.train, checkpoints=folder, **QUICK)


def test_lower_layers_learn_slower_at_every_step():
    """A layer's rate is the top one's times its share, once, whatever the schedule.

    The head, which was fitted before, learns at a share of its own.
    """
    zeros = np.zeros((8, 2), dtype=np.float32)
    head = LinearModel(zeros[:, 0], np.ones(8, dtype=np.float32), zeros, zeros[0])
    network = HeadedNetwork(torch.nn.Identity(), head, slice(0, 8))
    backbone = hs.load_backbone(TINY, weights="random", image_size=64).unfreeze("all").network
    recipe = Recipe(layer_decay=0.5)
    optimiser = optimiser_of(network, backbone, recipe)
    schedule = schedule_of(optimiser, recipe, steps=100)
    for step in (0, 5, 10, 50):
        schedule.step_update(step)
        *layers, head = [group["lr"] for group in optimiser.param_groups]
        rates = sorted({round(rate / max(layers), 9) for rate in layers})
        assert len(rates) > 2
        assert rates == pytest.approx([0.5**power for power in reversed(range(len(rates)))])
        assert head == pytest.approx(recipe.head_rate * max(layers))
    schedule.step_update(10)
    highest = max(group["lr"] for group in optimiser.param_groups)
    assert highest == pytest.approx(recipe.learning_rate, rel=0.05)
    plain = optimiser_of(network, backbone, Recipe.tutorial())
    assert {group["lr"] for group in plain.param_groups} == {recipe.learning_rate}


@pytest.mark.parametrize(
    ("architecture", "images", "rate"),
    [
        ("tf_efficientnet_lite0.in1k", 60, 2e-4),
        ("tf_efficientnet_lite0.in1k", 2000, 1e-3),
        ("tf_efficientnet_lite0", 50_000, 2e-3),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", 50_000, 2e-4),
    ],
)
def test_the_learning_rate_suits_network_and_images(architecture, images, rate):
    """It grows with the images where that was measured, and nowhere else."""
    assert learning_rate_of(architecture, images) == pytest.approx(rate)


def test_an_optimiser_goes_on_in_any_layout():
    """Moments come back in the layout of their weights, which a fused step relies on."""

    def made():
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    def stepped(layer, optimiser):
        images = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        layer(images).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    layer, optimiser = made()
    stepped(layer, optimiser)
    packed = packed_optimiser(optimiser).items()
    tensors = {name: one.contiguous().clone() for name, one in packed}
    other, resumed = made()
    other.load_state_dict(layer.state_dict())
    unpack_optimiser(resumed, tensors)
    stepped(layer, optimiser)
    stepped(other, resumed)
    assert torch.equal(layer.weight, other.weight)


def test_more_views_than_images(make, data):
    """A view that no image is shown in while the head starts is left out."""
    options = QUICK | {"augment": "standard", "views": 64, "epochs": 1}
    assert make().fine_tune(data.train, **options)


def test_a_kind_of_head_that_was_asked_for_stays(data, tmp_path):
    """A head that can learn a class without a refit can do so after fine-tuning."""
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    model = hs.Classifier(
        backbone, hs.NearestHead(), classes=data.classes, cache=tmp_path / "cache"
    )
    model.fit(data.train)
    model.fine_tune(data.train, keep="always", **QUICK)
    assert model.learnt.head.kind == "nearest"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"unfreeze": "none"}, "unfreeze must be auto, all, stages:N or layers:N"),
        ({"unfreeze": "stages:0"}, "unfreeze must be"),
        ({"keep": "bettr"}, "keep must be better or always"),
        ({"resume": True}, "resume needs a folder"),
    ],
)
def test_arguments_that_make_no_sense(model, data, wrong, text):
    """They are refused in words, and nothing is trained."""
    with pytest.raises(OptionError, match=text):
        model.fine_tune(data.train, **QUICK, **wrong)


def test_resuming_nothing_starts_anew_and_says_so(model, data, tmp_path):
    """A folder without a training is no error."""
    said = []
    report = model.fine_tune(
        data.train, checkpoints=tmp_path / "state", resume=True, warn=said.append, **QUICK
    )
    assert report
    assert any("to go on with, so it starts anew" in text for text in said)


def test_two_images_of_a_class_are_too_few(data, tmp_path):
    """Where a round would leave one to learn from, the frozen model stays, and that is said."""
    few = data.train.take(
        np.concatenate([np.flatnonzero(data.train.labels == n)[:2] for n in range(3)])
    )
    backbone = hs.load_backbone(TINY, weights="random", image_size=64)
    model = hs.Classifier(backbone, classes=data.classes, cache=tmp_path / "cache").fit(few)
    said = []
    assert model.fine_tune(few, warn=said.append, **QUICK) is None
    assert any("too little to learn from" in text for text in said)


def test_the_head_starts_from_views(make, data, monkeypatch):
    """The head that training starts from knows views; without augmentation it is the fitted one."""
    fitted_on = []
    original = HeadChoice.fit

    def spied(self, features, labels, groups):
        fitted_on.append(len(features))
        return original(self, features, labels, groups)

    monkeypatch.setattr(HeadChoice, "fit", spied)
    model = make()
    learnt = len(make_task(data.train, None, judged=True, seed=0).rounds[0][0])
    fitted_on.clear()
    model.fine_tune(data.train, **QUICK)
    assert 2 * learnt in fitted_on
    fitted_on.clear()
    make().fine_tune(data.train, **QUICK | {"augment": "none"})
    assert 2 * learnt not in fitted_on


def test_auto_takes_what_fits(model, data):
    """With time enough it is the deepest part that leaves a stage frozen; without, nothing."""
    said = []
    report = model.fine_tune(data.train, unfreeze="auto", minutes=30.0, warn=said.append, **QUICK)
    assert report.part == "stages:4"
    assert model.fine_tune(data.train, unfreeze="auto", minutes=1e-6, **QUICK) is None
    assert any(text.startswith("Minutes that fine-tuning would take: stages:1") for text in said)


def test_auto_goes_on_with_what_it_planned(make, data, tmp_path, monkeypatch):
    """A resumed run does not plan again: it would time something else."""
    planned = []

    def plan(job):
        planned.append(1)
        return Session("stages:2", 3, Setting(threads=torch.get_num_threads()))

    monkeypatch.setattr("headstart.tuning.fine_tuning.plan_for", plan)
    options = QUICK | {"epochs": 9, "checkpoints": tmp_path / "state", "keep": "always"}
    first = make().fine_tune(data.train, unfreeze="auto", **options)
    again = make().fine_tune(data.train, unfreeze="auto", resume=True, **options)
    assert (first.part, len(first.epochs)) == (again.part, len(again.epochs)) == ("stages:2", 3)
    assert len(planned) == 1
