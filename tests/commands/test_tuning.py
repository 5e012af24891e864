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
from headstart.errors import OptionError
from tests.commands.conftest import QUICK
from tests.commands.test_train import Notes

SHORT: dict[str, Any] = {"epochs": 1, "views": 2, "batch_size": 8}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Options of a training that is tuned in a moment."""
    return QUICK | SHORT | {"cache": tmp_path / "cache", "out": tmp_path / "run"}


def test_a_tuned_run_tells_what_came_of_it(make_folder: Any, options: dict[str, Any]) -> None:
    """Both models are reported on the same held-out images, whichever is kept."""
    result = hs.train(make_folder(count=20), tune="stages:1", **options)
    told = result.record.tuning
    assert told.part == "stages:1"
    assert (result.record.tuned == "stages:1") == told.kept
    assert len(told.epochs) == 1
    assert 0 <= told.probe_accuracy <= 1 and 0 <= told.tuned_accuracy <= 1
    assert result.record.seconds["tune"] > 0
    assert "Was fine-tuning worth it?" in (result.run / "report.html").read_text()


def test_what_does_not_help_is_said(
    make_folder: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen model stays, with both numbers in a warning."""
    monkeypatch.setattr("headstart.tuning.verdict.beats", lambda new, old: False)
    notes = Notes()
    result = hs.train(make_folder(count=20), tune="stages:1", watcher=notes, **options)
    assert result.record.tuned is None
    (said,) = [one for one in notes.warnings if "so the backbone stays frozen" in one]
    assert "held-out images; the frozen backbone" in said and "standard errors" in said
    assert result.record.tuning.why_not


def test_auto_plans_by_the_minutes(make_folder: Any, options: dict[str, Any]) -> None:
    """With time there is a part that fits, without there is none; each cost is told."""
    notes = Notes()
    folder = make_folder(count=20)
    result = hs.train(folder, tune="auto", minutes=5.0, watcher=notes, **options)
    assert result.record.tuning.part.startswith("stages:")
    assert any(
        "Estimated minutes of fine-tuning: stages:1" in warning for warning in notes.warnings
    )
    options |= {"out": options["out"].with_name("other")}
    result = hs.train(folder, tune="auto", minutes=1e-6, watcher=notes, **options)
    assert result.record.tuning is None
    assert any("the backbone stays frozen" in warning for warning in notes.warnings)


@pytest.mark.parametrize(
    ("wrong", "text"),
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
def test_options_that_cannot_be(tmp_path: Path, wrong: dict[str, Any], text: str) -> None:
    """Each is told before any work is done."""
    with pytest.raises(OptionError, match=f"Option '{text}' cannot be"):
        hs.train(tmp_path, **wrong)


def test_the_tutorial_as_it_is(make_folder: Any, tmp_path: Path) -> None:
    """Flatten, its head, ten epochs, then the last ten layers for five, kept in any case."""
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
    model, told = result.model, result.record.tuning
    assert result.record.tuned == "layers:10" and told.kept
    assert len(told.epochs) == 5 and told.probe_accuracy is None
    assert isinstance(model.predictor.head, MLPModel)
    assert (
        model.predictor.features == "flatten" and model.predictor.head.hidden_weight.shape[1] == 256
    )
    again = hs.load(result.run, cache=tmp_path / "cache")
    photo = next((folder / "red").iterdir())
    assert again.predict(photo).probability == pytest.approx(
        model.predict(photo).probability, abs=1e-3
    )


def test_the_tutorial_takes_no_other_options(tmp_path: Path) -> None:
    """What contradicts it is an error that says what it has."""
    with pytest.raises(OptionError, match=r"The tutorial's recipe has epochs 5\. Got epochs 3\."):
        hs.train(tmp_path, recipe="tutorial", epochs=3)


class InterruptedNotes(Notes):
    """A watcher during whose training Ctrl-C is pressed, after the second step."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """See `Watcher.stage`."""

        def progress(done: int, total: int) -> None:
            training = name == "Fine-tuning" and total <= 32  # 64 rows or so are stored before.
            if training and done == 16:
                signal.raise_signal(signal.SIGINT)

        yield progress


def test_ctrl_c_leaves_a_run_with_its_events(make_folder: Any, options: dict[str, Any]) -> None:
    """The run is written, says that it was interrupted, and holds what was told of each step."""
    photos = make_folder(count=20)
    result = hs.train(photos, tune="stages:1", watcher=InterruptedNotes(), **options)
    assert result.interrupted
    lines = [json.loads(line) for line in (result.run / "events.jsonl").read_text().splitlines()]
    assert [(one["round"], one["event"], one["step"]) for one in lines] == [
        ("round-0", "step", 1),
        ("round-0", "step", 2),
    ]


def test_images_that_are_read_in_all_turns_are_tuned_in_all_turns(
    make_folder: Any, options: dict[str, Any]
) -> None:
    """The model that is kept says the same of an image however it is turned."""
    photos = make_folder(count=12)
    del options["views"]
    result = hs.train(photos, tune="stages:1", orientations="dihedral", **options)
    assert result.record.tuning.part == "stages:1"
    model = hs.load(result.run / "bundle")
    with Image.open(next(photos.rglob("*.png"))) as image:
        square = image.convert("RGB").resize((64, 64))
    upright, turned = model.predict([square, square.transpose(Image.Transpose.ROTATE_90)])
    assert upright.label == turned.label
    assert upright.probability == pytest.approx(turned.probability, abs=0.02)
