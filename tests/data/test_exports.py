"""Data sets in several Parquet files are read as the parts of a split that the files name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.data.listing import Source
from headstart.data.sources import open_source
from headstart.errors import DataError
from tests.conftest import picture
from tests.data.files import encoded

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes two embedded images of two classes to each file."""

    def write(*names: str, **columns: list[str]) -> None:
        features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        for number, name in enumerate(names):
            images = [encoded(picture(2 * number + row), "PNG") for row in range(2)]
            cells = [{"bytes": data, "path": f"{row}.png"} for row, data in enumerate(images)]
            table = pa.table({"image": cells, "label": [0, 1], **columns})
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "data" / name)

    return write


def read(tmp_path: Path) -> Source:
    """Read the data."""
    return open_source(tmp_path / "data", staging=tmp_path / "staging")


@pytest.mark.parametrize(
    ("train", "more", "test"),
    [
        ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"),
        ("data/train-00000-of-00002", "data/train-00001-of-00002", "data/test-00000-of-00001"),
        ("train/0000", "train/0001", "test/0000"),
        ("train_1", "train_2", "test"),
        ("train-00000-of-00001-0123456789abcdef", "training", "holdout"),
    ],
)
def test_files_are_parts_of_a_split(
    tmp_path: Path, write: Write, train: str, more: str, test: str
) -> None:
    """By their names, or by those of their folders; labels become names."""
    write(*(f"{name}.parquet" for name in (train, more, test)))
    (tmp_path / "data/README.md").touch()
    source = read(tmp_path)
    first = f"{Path(train).name}.parquet/0.png"
    assert {(entry.image, entry.label, entry.split) for entry in source.entries} >= {
        (first, "cat", "train"),
        (f"{Path(more).name}.parquet/1.png", "dog", "train"),
        (f"{Path(test).name}.parquet/1.png", "dog", "test"),
    }
    assert len(source.entries) == 6
    assert len({entry.path for entry in source.entries}) == 6
    assert source.understood[1:] == ("Columns: images from 'image', labels from 'label'.",)


def test_it_says_so(tmp_path: Path, write: Write) -> None:
    """The number of files of each part."""
    write("train-0.parquet", "train-1.parquet", "validation-0.parquet")
    assert read(tmp_path).understood[0] == "Split: the names of the Parquet files (2 train, 1 val)."


def test_an_archive_of_them_is_read_alike(tmp_path: Path, write: Write) -> None:
    """The files may be in a zip."""
    write("train.parquet", "test.parquet")
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "data")
    source = open_source(packed, staging=tmp_path / "staging")
    assert (source.name, source.splits, len(source.entries)) == ("packed", {"train", "test"}, 4)


def test_a_single_training_file_has_no_split(tmp_path: Path, write: Write) -> None:
    """Test images can be held out from it."""
    write("data/train-00000-of-00001.parquet")
    assert read(tmp_path).splits == set()


def test_several_data_sets_are_an_error(tmp_path: Path, write: Write) -> None:
    """The configurations of one set have the same images."""
    write("large/train/0.parquet", "large/test/0.parquet", "small/train/0.parquet")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path / 'data'}' has the tables of several data sets, in 'large', 'small'. Pass one "
        "of these folders."
    )


def test_names_that_are_no_parts_are_an_error(tmp_path: Path, write: Write) -> None:
    """The tables are not joined on a guess."""
    write("part-0.parquet", "part-1.parquet")
    with pytest.raises(DataError, match=r"Pass one of them: 'part-0.parquet', 'part-1.parquet'.$"):
        read(tmp_path)


def test_two_splits_are_an_error(tmp_path: Path, write: Write) -> None:
    """A column may contradict the file's name."""
    write("train.parquet", "test.parquet", split=["train", "test"])
    with pytest.raises(DataError, match=r"^It is unclear whether the split of '.*test\.parquet' "):
        read(tmp_path)


def test_images_beside_them_are_not_ignored(tmp_path: Path, write: Write) -> None:
    """It is unclear which are the data."""
    write("train.parquet", "test.parquet")
    (tmp_path / "data/assets").mkdir()
    (tmp_path / "data/assets/1.png").touch()
    with pytest.raises(DataError, match=r"images in only one folder, 'assets'\. If a table"):
        read(tmp_path)
