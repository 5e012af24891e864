"""How sets of images show themselves."""

from pathlib import Path

import numpy as np
import pytest

from headstart.data.images import Images
from tests.conftest import COLOURS, TASK, picture
from tests.data.opened import open_images
from tests.test_notebook import unstyled


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Open three training and two test images, and one that is damaged."""
    for split, label, count in (("train", "<i>", 2), ("train", "red", 1), ("test", "red", 2)):
        (tmp_path / "photos" / split / label).mkdir(parents=True)
        for index in range(count):
            seed = index + 10 * (label == "red") + 100 * (split == "test")
            image = picture(seed, COLOURS["red"])
            image.save(tmp_path / "photos" / split / label / f"{index}.png")
    (tmp_path / "photos/train/red/bad.png").write_bytes(b"no image")
    return open_images(tmp_path / "photos", task=TASK, staging=tmp_path / "staging")


def test_the_text_of_a_data_set(images: Images) -> None:
    """Its name, the number of images in each part that has any, and the classes."""
    assert repr(images) == "Images('photos': 3 train, 2 test, 1 rejected; classes: '<i>', 'red')"


def test_the_text_of_a_set(images: Images) -> None:
    """The number of images, and the classes of the whole data."""
    assert repr(images.test) == "ImageSet(2 images; classes: '<i>', 'red')"


def test_a_notebook_shows_the_images_of_each_class(images: Images) -> None:
    """There is a row for each class and a column for each part; names are escaped."""
    table = unstyled(images._repr_html_())
    assert "<th>class</th><th>train</th><th>test</th>" in table
    assert "<tr><td>&lt;i&gt;</td><td>2</td><td>0</td></tr>" in table
    assert "<tr><td>red</td><td>1</td><td>2</td></tr>" in table
    assert "<i>" not in table


def test_training_images_can_be_grouped_anew(images: Images) -> None:
    """Groups are named by the hash of the given image; other parts and rejected images stay."""
    first = images.train.sha256s[0]
    changed = images.with_training_groups(np.array([0, 0, 2]))
    assert changed.train.groups == [first, first, images.train.sha256s[2]]
    assert changed.train.names == images.train.names
    assert (changed.test.groups, changed.rejected) == (images.test.groups, images.rejected)
