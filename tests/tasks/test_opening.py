"""Opening data for training."""

from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.options import OpenOptions
from headstart.tasks.opening import open_data
from headstart.watching import SilentWatcher
from tests.conftest import picture


def write(folder: Path, *labels: str) -> Path:
    """Write a table of different pictures with these labels, the last one for testing."""
    rows = ["path,labels,split"]
    for number, cell in enumerate(labels):
        picture(number, side=32).save(folder / f"{number}.png")
        split = "test" if number == len(labels) - 1 else "train"
        rows.append(f"{number}.png,{cell},{split}")
    table = folder / "t.csv"
    table.write_text("\n".join(rows))
    return table


def test_a_label_of_one_image_is_named_and_not_trained(tmp_path: Path) -> None:
    """The other labels are."""
    table = write(tmp_path, "a", "a", "b", "a|c", "", "a")
    images = open_data(table, OpenOptions(cache=tmp_path), SilentWatcher())
    assert images.classes == ("a",)
    assert images.train.labels.tolist() == [[1], [1], [0], [1], [0]]
    assert images.warnings[-1] == (
        "Labels that are not trained, because fewer than two training images have them, or lack "
        "them: 'b', 'c'."
    )


def test_without_a_label_that_can_be_trained_there_is_an_error(tmp_path: Path) -> None:
    """The message says how many images are needed."""
    with pytest.raises(DataError, match="fewer than two training images"):
        open_data(write(tmp_path, "a", "b", "", "a"), OpenOptions(cache=tmp_path), SilentWatcher())


def test_a_label_that_is_always_present_is_named_once(tmp_path: Path) -> None:
    """It is left out, and the warning about it is not repeated in other words."""
    table = write(tmp_path, "a|b", "a|b", "a", "a", "a")
    images = open_data(table, OpenOptions(cache=tmp_path), SilentWatcher())
    assert images.classes == ("b",)
    assert len([text for text in images.warnings if "'a'" in text]) == 1
