"""WebDataset shards: tar files of images with their labels beside them."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from headstart.data.interpretation import Interpretation
from headstart.data.labelling import Labelling
from headstart.data.shards import expand
from headstart.data.sources import open_source
from headstart.errors import DataError, OptionError
from tests.conftest import COLOURS, picture

LABELS = {
    "cls": lambda name: name.encode(),
    "json": lambda name: json.dumps({"label": name, "width": 8}).encode(),
    "txt": lambda name: f"{name}\n".encode(),
}


def png(seed: int, name: str) -> bytes:
    """Return a small picture of a colour."""
    buffer = io.BytesIO()
    picture(seed, COLOURS[name], side=16).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    """Write a tar file."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_shard(path: Path, begin: int = 0, suffix: str = "cls", mode: str = "w") -> Path:
    """Write a shard of three blue and three red pictures."""
    members = {}
    for number in range(begin, begin + 6):
        label = "blue" if number % 2 else "red"
        members[f"{number:04d}.png"] = png(number, label)
        members[f"{number:04d}.{suffix}"] = LABELS[suffix](label)
    return write_tar(path, members, mode)


def labels_of(source):
    return {entry.image: entry.label for entry in source.entries}


@pytest.mark.parametrize("suffix", LABELS)
@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz")])
def test_a_shard_has_labels_beside_its_images(tmp_path, suffix, name, mode):
    """They are the text of .cls or .txt, or the label in .json."""
    shard = write_shard(tmp_path / name, suffix=suffix, mode=mode)
    source = open_source(shard, staging=tmp_path / "staging")
    expected = {f"{name}/{n:04d}.png": "blue" if n % 2 else "red" for n in range(6)}
    assert labels_of(source) == expected
    assert source.understood == ("Shards: 1, with labels beside the images.",)
    assert Path(source.entries[1].path).read_bytes() == png(1, "blue")


def test_folders_and_patterns_of_shards(tmp_path):
    """They may be the parts of a split, by their names."""
    for part in ("train", "test"):
        for number in range(2):
            write_shard(tmp_path / "shards" / f"{part}-{number:03d}.tar", number * 10)
    (tmp_path / "shards" / "sizes.json").write_text("{}")
    whole = open_source(tmp_path / "shards", staging=tmp_path / "staging")
    assert len(whole.entries) == 24 and whole.splits == {"train", "test"}
    pattern = f"{tmp_path}/shards/{{train,test}}-{{000..001}}.tar"
    assert labels_of(open_source(pattern, staging=tmp_path / "staging")) == labels_of(whole)
    with pytest.raises(DataError, match=r"these do not exist: '.*train-002\.tar'\.$"):
        open_source(f"{tmp_path}/shards/train-{{000..002}}.tar", staging=tmp_path)


def test_a_pattern_keeps_zeros():
    """As in Bash."""
    assert expand("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:3000], lambda data: data[:4096], lambda data: data[:4096] + b"x" * 512],
)
def test_a_damaged_shard_is_named_and_the_others_are_used(tmp_path, damage):
    """It is left out as a whole, also if its first images could be read."""
    for number in range(3):
        write_shard(tmp_path / "shards" / f"{number}.tar", number * 10)
    bad = tmp_path / "shards" / "1.tar"
    bad.write_bytes(damage(bad.read_bytes()))
    source = open_source(tmp_path / "shards", staging=tmp_path / "staging")
    assert {name.partition("/")[0] for name in labels_of(source)} == {"0.tar", "2.tar"}
    (warning,) = source.warnings
    assert warning.startswith("Left out, because they are damaged: '1.tar' is damaged (")


@pytest.mark.parametrize(
    "members",
    [
        {"red/1.png": b"", "red/1.txt": b"an apple", "blue/2.png": b""},
        {"1.png": b"", "1.txt": b"0 0.5 0.5 0.1 0.1"},
        {"1.png": b"", "1.json": b'{"shapes": []}'},
    ],
)
def test_archives_of_folders_and_boxes_are_no_shards(tmp_path, members):
    """Class folders, and the boxes of YOLO and LabelMe, keep their meaning."""
    archive = write_tar(tmp_path / "a.tar", {**members, "last.txt": b"notes"})
    try:
        understood = open_source(archive, staging=tmp_path / "staging").understood
    except DataError as error:
        understood = (str(error),)
    assert not any("hard" in sentence for sentence in understood)


def test_what_shards_do_not_have(tmp_path):
    """An image without a label is rejected; options of tables and other tasks are refused."""
    shard = write_tar(
        tmp_path / "a.tar", {"1.png": png(1, "red"), "1.cls": b"red", "2.png": png(2, "red")}
    )
    last = open_source(shard, staging=tmp_path / "staging").entries[-1]
    assert last.rejected == "it has no label in a .cls, .json or .txt file beside it"
    with pytest.raises(OptionError, match="names columns, which shards do not have"):
        open_source(shard, tmp_path, Interpretation(slices=("camera",)))
    with pytest.raises(DataError, match="one label per image"):
        open_source(shard, tmp_path, Interpretation(Labelling("multi")))
