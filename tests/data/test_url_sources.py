"""Data in an object store: a real server that speaks S3, on the loopback interface."""

import io
import socket
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.data.checks import check_files
from headstart.data.decoding import read_image
from headstart.data.inputs import as_image
from headstart.data.sources import open_source
from headstart.errors import DataError, UnreadableImage
from headstart.options import DecodeLimits
from tests.data.test_shards import png, write_shard

LIMITS = DecodeLimits()


@pytest.fixture
def photos(tmp_path, bucket):
    """Write pictures into a folder, and into the bucket."""
    folder = tmp_path / "photos"
    for part in ("train", "test"):
        for label in ("blue", "red"):
            (folder / part / label / "more").mkdir(parents=True)
            for number in range(2):
                name = f"{label} #{number}%.png" if number else f"more/{label}.png"
                (folder / part / label / name).write_bytes(png(number + len(part), label))
    bucket.upload(folder, "data/photos")
    return folder


def facts(source):
    """Return what does not depend on where the files are."""
    entries = [(one.image, one.label, one.split, one.rejected) for one in source.entries]
    return source.name, entries, source.understood, source.warnings


def test_a_folder_is_understood_as_on_this_machine(photos, bucket, tmp_path):
    """In the same order, with the same names; nothing is copied to this machine."""
    bucket.put("data/photos/train/red/notes.txt", b"text")
    (photos / "train" / "red" / "notes.txt").write_bytes(b"text")
    bucket.put("data/photos/.cache/red/1.png", b"hidden")
    here = open_source(photos, staging=tmp_path / "staging")
    there = open_source(f"{bucket.url}/data/photos/", staging=tmp_path / "staging")
    assert facts(there) == facts(here)
    checked = [list(check_files(source.entries, LIMITS)) for source in (here, there)]
    assert [info for info, _ in checked[0]] == [info for info, _ in checked[1]]
    assert not (tmp_path / "staging").exists()


def test_a_table_of_urls_and_a_table_at_a_url(photos, bucket, tmp_path):
    """Paths in a table at a URL are relative to its folder; URLs may be in any table."""
    rows = [f"photos/train/{label}/more/{label}.png" for label in ("blue", "red")]
    text = "path,label\n" + "".join(f"{row},{row.split('/')[2]}\n" for row in rows)
    url = bucket.put("data/table.csv", text.encode())
    there = open_source(url, staging=tmp_path / "staging")
    assert [entry.path for entry in there.entries] == [f"{bucket.url}/data/{row}" for row in rows]
    local = tmp_path / "table.csv"
    local.write_text(text.replace("photos/", f"{bucket.url}/data/here/../photos/"))
    here = open_source(local, staging=tmp_path / "staging")
    assert [entry.label for entry in here.entries] == ["blue", "red"]
    for entry in (*there.entries, *here.entries):
        assert as_image(entry.path).size == (16, 16)


def test_errors_in_a_table_name_its_url(bucket, tmp_path):
    """Not the copy, which is made again when the table changes."""
    url = bucket.put("table.csv", b"file,number\n1.png,2\n")
    with pytest.raises(DataError, match=rf"'{url}'") as caught:
        open_source(url, staging=tmp_path / "staging")
    assert str(tmp_path) not in str(caught.value)
    bucket.put("table.csv", b"path,label\n1.png,a\n2.png,b\n")
    assert len(open_source(url, staging=tmp_path / "staging").entries) == 2


def test_parquet_with_embedded_images(bucket, tmp_path):
    """One file, or a folder of files that are named after the parts of a split."""
    for part in ("train", "test"):
        images = [{"bytes": png(seed, "red"), "path": f"{seed}.png"} for seed in range(2)]
        buffer = io.BytesIO()
        pq.write_table(pa.table({"image": images, "label": ["a", "b"]}), buffer)
        url = bucket.put(f"hf/{part}-00000-of-00001.parquet", buffer.getvalue())
    one = open_source(url, staging=tmp_path / "staging")
    assert [read_image(entry.path) for entry in one.entries] == [png(0, "red"), png(1, "red")]
    both = open_source(f"{bucket.url}/hf", staging=tmp_path / "staging")
    assert [entry.split for entry in both.entries] == ["test", "test", "train", "train"]


def test_shards(bucket, tmp_path):
    """A folder of them or a pattern, of which a damaged one is named and left out."""
    for number in range(3):
        content = write_shard(tmp_path / f"{number}.tar", number * 10).read_bytes()
        bucket.put(f"shards/{number}.tar", content[: 3000 if number == 1 else None])
    folder = open_source(f"{bucket.url}/shards", staging=tmp_path / "staging")
    assert len(folder.entries) == 12 and "'1.tar' is damaged" in folder.warnings[0]
    pattern = f"{bucket.url}/shards/{{0..2}}.tar"
    assert facts(open_source(pattern, staging=tmp_path / "staging"))[1] == facts(folder)[1]
    with pytest.raises(DataError, match=r"do not exist: 's3://.*/shards/3\.tar'"):
        open_source(f"{bucket.url}/shards/{{2..3}}.tar", staging=tmp_path)


def test_an_image_that_vanishes_is_rejected_by_name(photos, bucket, tmp_path):
    """Between the list and the reading; the others are read."""
    source = open_source(f"{bucket.url}/data/photos", staging=tmp_path / "staging")
    bucket.delete("data/photos/train/red/red #1%.png")
    infos = [info for info, _ in check_files(source.entries, LIMITS)]
    assert sorted(info.rejected or "" for info in infos) == [""] * 7 + ["the file does not exist"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://there-is-no-such-bucket/a", r"the bucket 'there-is-no-such-bucket' does not exist"),
        ("{bucket}/nothing", r"^Data 's3://bucket-\w+/nothing' does not exist\.$"),
        ("{bucket}/a.docx", r"is not a folder, a table, an archive or a shard"),
        ("ftp://example.org/a", r"^Data 'ftp://example\.org/a' is a URL\. Download it first\.$"),
        ("unheard://of/a", r"no file system for 'unheard' is installed\. Use an s3:// or gs://"),
    ],
)
def test_urls_that_cannot_be_opened(bucket, tmp_path, url, message):
    """The message says which and why."""
    bucket.put("a.docx", b"text")
    with pytest.raises(DataError, match=message):
        open_source(url.format(bucket=bucket.url), staging=tmp_path)


def test_access_that_is_denied(photos, object_store, bucket, tmp_path, monkeypatch):
    """A folder is an error, an image in a table is rejected."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    url = f"{bucket.url}/data/photos"
    denied = rf"^'{url}' cannot be used: access is denied\. Check that the credentials may read"
    with object_store.checking():
        with pytest.raises(DataError, match=denied):
            open_source(url, staging=tmp_path / "staging")
        with pytest.raises(UnreadableImage, match="access is denied"):
            read_image(f"{url}/train/red/more/red.png")


def test_missing_credentials(photos, object_store, bucket, tmp_path, monkeypatch):
    """The message says which variables to set."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    missing = r"access is denied\. No credentials were found\. Set AWS_ACCESS_KEY_ID and"
    with object_store.checking(), pytest.raises(UnreadableImage, match=missing):
        read_image(f"{bucket.url}/data/photos/train/red/more/red.png")


def test_a_store_that_does_not_answer(bucket, tmp_path, monkeypatch):
    """The error comes soon, names the endpoint, and is not about one image."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    begin = time.monotonic()
    for attempt in (
        lambda: open_source("s3://elsewhere/photos", staging=tmp_path),
        lambda: read_image("s3://elsewhere/1.png"),
    ):
        with pytest.raises(DataError, match=rf"store at {endpoint} does not answer") as caught:
            attempt()
        assert not isinstance(caught.value, UnreadableImage)
        assert "AWS_ENDPOINT_URL" in str(caught.value)
    assert time.monotonic() - begin < 30


def test_copies_need_space_on_this_machine(bucket, tmp_path):
    """A copy that cannot be written is not mistaken for an error of the store."""
    (tmp_path / "staging").write_text("a file in place of the folder")
    url = bucket.put("table.csv", b"path,label\n1.png,a\n")
    with pytest.raises(DataError, match=rf"'{url}' cannot be copied to .*: Not a directory\. Free"):
        open_source(url, staging=tmp_path / "staging")
