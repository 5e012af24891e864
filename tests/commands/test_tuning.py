"""Fine-tuning by the train command."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import headstart as hs
from headstart.errors import OptionError, OutputError, RunInterrupted
from headstart.runs.unfinished import Request
from tests.commands.conftest import QUICK
from tests.commands.test_train import RecordingWatcher

pytestmark = pytest.mark.usefixtures("run_in_pytorch")
SHORT: dict[str, Any] = {"epochs": 1, "views": 2, "batch_size": 8}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Return options of a quick training with fine-tuning."""
    return QUICK | SHORT | {"cache": tmp_path / "cache", "out": tmp_path / "run"}


def test_a_run_records_its_fine_tuning(
    make_folder: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both models are evaluated on the same held-out images; what is left on disk is said."""
    monkeypatch.setattr("headstart.commands.tuning.MUCH_SPACE", 0)
    watcher = RecordingWatcher()
    result = hs.train(make_folder(count=20), tune="stages:1", watcher=watcher, **options)
    assert watcher.notes[-1].endswith("To delete them: headstart cache clear --tuning")
    tuning = result.record.tuning
    assert tuning.part == "stages:1"
    assert (result.record.tuned == "stages:1") == tuning.kept
    assert len(tuning.epochs) == 1
    assert 0 <= tuning.probe_accuracy <= 1 and 0 <= tuning.tuned_accuracy <= 1
    assert result.record.seconds["tune"] > 0
    assert "Did fine-tuning help?" in (result.run / "report.html").read_text()


def test_a_tuned_model_that_is_not_kept_is_named(
    make_folder: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen model is used, and a note has the results of both models."""
    monkeypatch.setattr("headstart.tuning.verdict.beats", lambda new, old: False)
    watcher = RecordingWatcher()
    result = hs.train(make_folder(count=20), tune="stages:1", watcher=watcher, **options)
    assert result.record.tuned is None
    (note,) = [text for text in watcher.notes if "the backbone stays frozen" in text]
    assert "held-out images; the frozen backbone" in note and "standard errors" in note
    assert not any("the backbone stays frozen" in text for text in watcher.warnings)
    assert result.record.tuning.why_not


def test_auto_plans_by_the_minutes(make_folder: Any, options: dict[str, Any]) -> None:
    """With enough time a part is fine-tuned, as noted with the times; else a warning says why."""
    watcher = RecordingWatcher()
    folder = make_folder(count=20)
    result = hs.train(folder, tune="auto", minutes=5.0, watcher=watcher, **options)
    assert result.record.tuning.part.startswith("stages:")
    about = ("Estimated minutes of fine-tuning: stages:1", "The boundary store takes ")
    assert all(any(text.startswith(start) for text in watcher.notes) for start in about)
    assert not any(text.startswith(about) for text in watcher.warnings)
    options |= {"out": options["out"].with_name("other")}
    result = hs.train(folder, tune="auto", minutes=1e-6, watcher=watcher, **options)
    assert result.record.tuning is None
    assert any("the backbone stays frozen" in warning for warning in watcher.warnings)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tune": "blocks:1"}, "tune"),
        ({"tune": "layers:-1"}, "tune"),
        ({"epochs": 0}, "epochs"),
        ({"minutes": 0.0}, "minutes"),
        ({"views": 1_000_000}, "views"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_invalid_options(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    """Invalid options are an error before any work is done."""
    with pytest.raises(OptionError, match=f"Option '{text}' cannot be"):
        hs.train(tmp_path, **options)


def test_the_recipe_of_the_tutorial(make_folder: Any, tmp_path: Path) -> None:
    """The head has ten epochs, the last ten layers have five, and the result is always kept."""
    from headstart.heads.fitted import MLPModel

    common = {"backbone": "test_efficientnet", "weights": "random", "image_size": 64}
    folder = make_folder(count=8)
    result = hs.train(
        folder,
        recipe="tutorial",
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        **common,
    )
    model, tuning = result.model, result.record.tuning
    assert result.record.tuned == "layers:10" and tuning.kept
    assert len(tuning.epochs) == 5 and tuning.probe_accuracy is None
    assert isinstance(model.predictor.head, MLPModel)
    assert (
        model.predictor.features == "flatten" and model.predictor.head.hidden_weight.shape[1] == 256
    )
    again = hs.load(result.run, cache=tmp_path / "cache")
    photo = next((folder / "red").iterdir())
    assert again.predict(photo).probability == pytest.approx(
        model.predict(photo).probability, abs=1e-3
    )


def test_the_tutorial_rejects_other_options(tmp_path: Path) -> None:
    """The error has the value of the recipe."""
    with pytest.raises(OptionError, match=r"The tutorial's recipe has epochs 5\. Got epochs 3\."):
        hs.train(tmp_path, recipe="tutorial", epochs=3)


class InterruptingWatcher(RecordingWatcher):
    """A watcher that simulates Ctrl-C after the second step of fine-tuning."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """See `Watcher.stage`."""

        def progress(done: int, total: int) -> None:
            training = (
                name == "Fine-tuning" and total <= 32
            )  # Filling the boundary store has a larger total.
            if training and done == 16:
                signal.raise_signal(signal.SIGINT)

        yield progress


def test_ctrl_c_leaves_a_run_with_its_events(make_folder: Any, options: dict[str, Any]) -> None:
    """The run is written, is marked as interrupted, and has the events of each step."""
    photos = make_folder(count=20)
    result = hs.train(photos, tune="stages:1", watcher=InterruptingWatcher(), **options)
    assert result.interrupted
    lines = (result.run / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(event["round"], event["event"], event["step"]) for event in events] == [
        ("round-0", "step", 1),
        ("round-0", "step", 2),
    ]


def test_a_training_is_resumed_in_its_own_folder(
    make_folder: Any, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --out, it is found among the runs; the place is said; a later run is not touched."""
    monkeypatch.chdir(tmp_path)
    photos, options = make_folder(count=20), options | {"out": None, "tune": "stages:1"}
    (tmp_path / "runs/photos").mkdir(parents=True)
    cut = hs.train(photos, watcher=InterruptingWatcher(), **options)
    assert cut.interrupted and cut.run == Path("runs/photos-2")
    assert hs.train(photos, **QUICK, cache=options["cache"]).run == Path("runs/photos-3")
    watcher = RecordingWatcher()
    whole = hs.train(photos, resume=True, watcher=watcher, **options | {"minutes": 5.0})
    assert not whole.interrupted and whole.run == cut.run
    assert "Resuming in runs/photos-2 at round 1, step 2" in watcher.notes
    assert not any("so this run goes to" in text for text in watcher.notes)
    assert hs.Record.read(whole.run).tuning.stopped is None
    assert Request.read(whole.run) is None
    with pytest.raises(OutputError, match="already exists and has nothing to resume"):
        hs.train(photos, resume=True, **options | {"out": whole.run})


def test_a_run_elsewhere_is_found_without_naming_it(
    make_folder: Any, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with --out is resumed where it is; the list of unfinished runs is then removed."""
    monkeypatch.chdir(tmp_path)
    photos, options = make_folder(count=20), options | {"tune": "stages:1"}
    cut = hs.train(photos, watcher=InterruptingWatcher(), **options | {"out": "models/mine"})
    (listed,) = options["cache"].glob("tuning/*/runs.json")
    assert json.loads(listed.read_text()) == [str(tmp_path / "models/mine")]
    watcher = RecordingWatcher()
    whole = hs.train(photos, resume=True, watcher=watcher, **options | {"out": None})
    assert whole.run == cut.run == Path("models/mine") and not whole.interrupted
    assert "Resuming in models/mine at round 1, step 2" in watcher.notes
    assert not Path("runs").exists() and not listed.exists()


def test_an_unfinished_run_is_resumed_or_kept(make_folder: Any, options: dict[str, Any]) -> None:
    """With --out, other options and a new start are errors that say what to do."""
    photos, options = make_folder(count=20), options | {"tune": "stages:1"}
    run = hs.train(photos, watcher=InterruptingWatcher(), **options).run
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match=r"Pass --resume \(resume=True\) to continue it, or"):
        hs.train(photos, **options)
    with pytest.raises(OutputError, match=r"that differs: epochs was 1, is 7\. Use the same"):
        hs.train(photos, resume=True, **options | {"epochs": 7})
    with pytest.raises(OutputError, match="that differs: data was "):
        hs.train(photos / "red", resume=True, **options)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert not hs.train(photos, resume=True, overwrite=True, **options).interrupted


@pytest.mark.parametrize("steps", [0, 2])
def test_a_run_that_is_broken_off_is_resumed(
    make_folder: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Without a checkpoint, nothing of it is left; with one, its folder waits for --resume."""
    monkeypatch.setattr("headstart.tuning.training.checkpoint.SAVE_EVERY", 2)

    class Breaking(RecordingWatcher):
        @contextmanager
        def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
            def progress(done: int, total: int) -> None:
                if name == "Fine-tuning" and (not steps or (total <= 32 and done > 8 * steps)):
                    raise KeyboardInterrupt

            yield progress

    photos, options = make_folder(count=20), options | {"tune": "stages:1"}
    with pytest.raises(KeyboardInterrupt) as caught:
        hs.train(photos, watcher=Breaking(), **options)
    assert isinstance(caught.value, RunInterrupted) == bool(steps)
    assert options["out"].exists() == bool(steps)
    if steps:
        watcher = RecordingWatcher()
        assert hs.train(photos, resume=True, watcher=watcher, **options).run == options["out"]
        assert f"Resuming in {options['out']} at round 1, step 2" in watcher.notes


def test_fine_tuning_with_all_orientations(make_folder: Any, options: dict[str, Any]) -> None:
    """The tuned model predicts the same for all orientations of an image."""
    photos = make_folder(count=12)
    del options["views"]
    result = hs.train(photos, tune="stages:1", orientations="dihedral", **options)
    assert result.record.tuning.part == "stages:1"
    model = hs.load(result.run / "bundle")
    with Image.open(next(photos.rglob("*.png"))) as image:
        square = image.convert("RGB").resize((64, 64))
    upright, rotated = model.predict([square, square.transpose(Image.Transpose.ROTATE_90)])
    assert upright.label == rotated.label
    assert upright.probability == pytest.approx(rotated.probability, abs=0.02)
