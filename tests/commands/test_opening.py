"""Open images and load models from Python."""

from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import OptionError
from headstart.tasks.loading import TASKS
from tests.data.several import Several

MakeFolder = Callable[..., Path]


def test_open_images_splits_the_data(make_folder: MakeFolder) -> None:
    """A folder is split, and no image is on both sides."""
    data = hs.open_images(make_folder())
    assert data.classes == ("blue", "red")
    assert len(data.train) + len(data.test) == len(data.all) == 24
    assert not set(data.train.names) & set(data.test.names)


def test_open_images_accepts_a_test_share(make_folder: MakeFolder) -> None:
    """With test=0, there is no test part."""
    assert len(hs.open_images(make_folder(), test=0.0).test) == 0


def test_open_images_refuses_unknown_options(make_folder: MakeFolder) -> None:
    """An unknown name suggests a similar one."""
    with pytest.raises(
        OptionError, match=r"^Unknown option 'tset'\. Did you mean 'test', 'task', 'seed'"
    ):
        hs.open_images(make_folder(), tset=0.1)


def test_open_images_is_strict_about_types(make_folder: MakeFolder) -> None:
    """A number as text is an error."""
    with pytest.raises(OptionError) as error:
        hs.open_images(make_folder(), seed="1")
    assert str(error.value) == "Option 'seed' cannot be '1': Input should be a valid integer."


def write_table(folder: Path) -> Path:
    """Write a table with a column for each of two labels."""
    rows = [f"{label}/{number:03d}.png" for label in ("blue", "red") for number in range(12)]
    lines = [f"{row},{int(row[0] == 'b')},{'-1' if row[-5] == '0' else ''}" for row in rows]
    (folder / "t.csv").write_text("\n".join(["path,is_blue,is_red", *lines]))
    return folder / "t.csv"


def test_open_images_passes_on_what_the_labels_are(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data and the options decide between one label and several."""
    monkeypatch.setitem(TASKS, "multi", Several())
    table = write_table(make_folder())
    images = hs.open_images(table, labels="is_*", uncertain="present")
    assert (images.task.name, images.classes) == ("multi", ("is_blue", "is_red"))
    assert images.all.counts() == (12, 4)
    with pytest.raises(
        OptionError, match=r"^--labels 'is_\*' has no effect with one label per image"
    ):
        hs.open_images(table, labels="is_*", task="single")
    with pytest.raises(OptionError, match=r"^--label-separator ';' has no effect for a folder"):
        hs.open_images(table.parent, label_separator=";", task="multi")
    assert hs.open_images(table.parent, task="multi").all.counts() == (12, 12)
    assert hs.open_images(table.parent).task.name == "single"


@pytest.mark.parametrize("part", ["", "bundle"])
def test_load_returns_the_model_of_a_run(trained: TrainResult, part: str) -> None:
    """A run and its bundle load as the model that was trained."""
    model = hs.load(trained.run / part)
    image = trained.run.parent / "photos/train/red/000.png"
    assert model.classes == ("blue", "red")
    assert model.predict(image).label == trained.model.predict(image).label == "red"


def test_load_refuses_unknown_options(trained: TrainResult) -> None:
    """An unknown name suggests a similar one."""
    with pytest.raises(OptionError, match=r"^Unknown option 'devise'\. Did you mean 'device'\?$"):
        hs.load(trained.run, devise="cpu")
