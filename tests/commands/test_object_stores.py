"""The commands with data, features and predictions in an object store on the loopback interface."""

import csv
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import headstart as hs
from headstart.commands.cache import cache_clear, cache_info
from headstart.commands.train import TrainResult
from headstart.errors import OptionError, OutputError
from headstart.options import CacheOptions, ClearOptions
from headstart.runs import unfinished_predictions
from tests.commands.conftest import QUICK
from tests.commands.test_batch_predict import Interrupting
from tests.conftest import TINY, write_blue_and_red
from tests.object_store import Bucket

pytestmark = pytest.mark.filterwarnings("ignore")


def test_training_from_a_url(tmp_path: Path, bucket: Bucket) -> None:
    """The model and the measurements are those from the same files here, to the bit."""
    write_blue_and_red(tmp_path / "photos", 12)
    url, cache = bucket.upload(tmp_path / "photos", "photos"), f"{bucket.url}/cache"
    here = hs.train(tmp_path / "photos", out=tmp_path / "here", cache=tmp_path / "c", **QUICK)
    there = hs.train(url + "/", out=tmp_path / "there", cache=cache, **QUICK)
    assert there.record.test.to_json(()) == here.record.test.to_json(())
    first, second = (run / "test_predictions.parquet" for run in (here.run, there.run))
    assert pq.read_table(first).equals(pq.read_table(second))
    assert there.record.data.source == url
    info = cache_info(CacheOptions.of(cache=cache))
    assert (info.folder, [table.images for table in info.tables]) == (cache, [24])
    again = hs.evaluate(there.run, cache=cache, progress=False)
    assert again.evaluation.accuracy == here.record.test.accuracy
    assert cache_clear(ClearOptions.of(cache=cache))["features"] > 0
    assert cache_info(CacheOptions.of(cache=cache)).tables == ()


@pytest.fixture
def new(tmp_path: Path, bucket: Bucket) -> str:
    """Write 23 images into the bucket, one of which is damaged."""
    write_blue_and_red(tmp_path / "new", 11)
    (tmp_path / "new" / "damaged.png").write_bytes(b"damaged")
    return bucket.upload(tmp_path / "new", "new")


def test_predicting_from_a_url_to_a_url(
    trained: TrainResult,
    new: str,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an interruption the same call continues; each image has one row, in order."""
    monkeypatch.setattr(unfinished_predictions, "IMAGES_PER_PART", 5)
    local, out = tmp_path / "calm.csv", f"{bucket.url}/out/predictions.csv"
    calm = hs.predict(trained.run, tmp_path / "new", out=local, cache=tmp_path / "c")
    watcher = Interrupting(12)
    with pytest.raises(KeyboardInterrupt):
        hs.predict(trained.run, new, out=out, cache=tmp_path / "c", watcher=watcher)
    assert "The predictions of 10 of 23 images are kept" in watcher.notes[0]
    assert "out/predictions.csv" not in bucket.names()
    seen = list[tuple[int, int]]()
    results = hs.predict(
        *(trained.run, new),
        out=out,
        cache=tmp_path / "c",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (13, 13)
    rows = list(csv.reader(io.StringIO(bucket.get("out/predictions.csv").decode())))
    expected = list(csv.reader(io.StringIO(local.read_text())))
    names = [f"{new}/{Path(one.image).relative_to(tmp_path / 'new').as_posix()}" for one in calm]
    assert [row[0] for row in rows[1:]] == names == [one.image for one in results]
    assert [row[1:] for row in rows] == [row[1:] for row in expected]
    assert rows[1][-1] == "it is not an image of a known format"
    assert not list((tmp_path / "c" / "predictions").rglob("*.*"))
    with pytest.raises(OutputError, match=rf"^Output '{out}' already exists\. Pass --overwrite"):
        hs.predict(trained.run, new, out=out, cache=tmp_path / "c")


def test_outputs_that_cannot_be_written(trained: TrainResult, new: str, tmp_path: Path) -> None:
    """They are errors before any image is read; other outputs are on this machine."""
    with pytest.raises(OutputError, match="the bucket 'no-such-bucket' does not exist"):
        hs.predict(trained.run, new, out="s3://no-such-bucket/p.csv", cache=tmp_path / "c")
    with pytest.raises(
        OptionError,
        match=r"^Option 'out' cannot be 's3://bucket/run': it is a URL, and must be a path",
    ):
        hs.train(new, out="s3://bucket/run", **QUICK)


def test_a_gallery_from_a_table_at_a_url(tmp_path: Path, new: str, bucket: Bucket) -> None:
    """Columns of the table are kept, and images are found at their URLs."""
    rows = "".join(
        f"new/{label}/{n}.png,{label},{n}\n" for label in ("blue", "red") for n in (1, 2)
    )
    table = bucket.put("goods.csv", f"path,label,price\n{rows}".encode())
    gallery = hs.Gallery.create(
        table, out=tmp_path / "g", model=TINY, weights="random", cache=tmp_path / "c"
    )
    (found,) = gallery.search([f"{new}/red/2.png"])
    assert (found.hits[0].label, found.hits[0].fields["price"]) == ("red", "2")
