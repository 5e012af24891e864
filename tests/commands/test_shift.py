"""`shift`: are unlabelled images like the training images?"""

import json
import shutil
from pathlib import Path

import pytest

import headstart as hs
from headstart.cli.app import main
from headstart.commands.train import TrainResult
from headstart.errors import DataError
from headstart.record.shift import ShiftRecord
from tests.conftest import COLOURS, picture


@pytest.fixture
def folders(trained: TrainResult, tmp_path: Path) -> Path:
    """Write folders of unlabelled images: like the training images, green ones, and few."""
    for name, colours, count in (
        ("same", ("blue", "red"), 15),
        ("green", ("green", "green"), 15),
        ("few", ("blue", "red"), 1),
    ):
        (tmp_path / name).mkdir()
        for number, colour in enumerate(colours):
            for index in range(count):
                shown = picture(5000 + 100 * number + index, COLOURS[colour])
                shown.save(tmp_path / name / f"{number}-{index:02d}.png")
    return tmp_path


def measure(trained: TrainResult, folder: Path, **options) -> ShiftRecord:
    return hs.shift(trained.run, folder, cache=trained.run.parent / "cache", **options)


def test_images_of_the_same_kind(trained: TrainResult, folders: Path) -> None:
    """They cannot be told from the training images."""
    found = measure(trained, folders / "same")
    assert found.p is not None
    assert found.p > 0.05
    assert found.images == 30
    assert not found.warnings
    assert "cannot be distinguished from the training images (p = " in found.sentences[0]


def test_other_images(trained: TrainResult, folders: Path) -> None:
    """Green images differ; their colours moved; what to label first is named."""
    with pytest.warns(match="More than half of the images are unknown"):
        found = measure(trained, folders / "green", label_first=4)
    assert found.estimated_accuracy is None
    assert found.p == pytest.approx(0.002)
    assert found.unknown == 1
    assert "green" in {one.name for one in found.traits}
    assert len(set(found.label_first)) == 4
    assert found.unlike[0].distance >= found.unlike[-1].distance > 1
    assert "differ from the training images (p = 0.002" in found.sentences[0]


def test_few_images_and_unreadable_ones(trained: TrainResult, folders: Path) -> None:
    """Two images cannot tell, which is said; a file that cannot be read is named."""
    (folders / "few" / "bad.png").write_bytes(b"no image")
    with pytest.warns(
        match="2 images are too few to tell whether they are like the training images"
    ):
        found = measure(trained, folders / "few")
    assert found.p is found.estimated_accuracy is None
    assert [Path(one.image).name for one in found.rejected] == ["bad.png"]
    for path in (folders / "few").glob("?-*.png"):
        path.unlink()
    with pytest.raises(DataError, match="No image can be read"):
        measure(trained, folders / "few")


def test_training_images(trained: TrainResult, tmp_path: Path) -> None:
    """If the model was trained on the images, that is said."""
    shutil.copytree(trained.run.parent / "photos" / "train", tmp_path / "seen")
    with pytest.warns(match="All of these 24 images were used for training"):
        found = measure(trained, tmp_path / "seen")
    assert (found.seen, found.p) == (24, None)


def test_the_command_line(trained: TrainResult, folders: Path, capsys) -> None:
    """The terminal shows sentences and tables; --json has the documented keys."""
    arguments = ["shift", str(trained.run), str(folders / "green")]
    cache = ["--cache", str(trained.run.parent / "cache")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, *cache])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "These 30 images differ from the training images" in shown
    assert "Most unlike the training images (above 1 is unknown):" in shown
    with pytest.raises(SystemExit):
        main([*arguments, "--json", *cache])
    values = json.loads(capsys.readouterr().out)
    documented = {"images", "p", "unknown", "estimated_accuracy", "ci95", "label_first"}
    assert documented <= values.keys()
