"""The commands on a cluster give what they give in one process."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import OptionError
from tests.commands.conftest import QUICK as TINY_TRAINING
from tests.conftest import COLOURS, TINY, picture
from tests.object_store import Bucket

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("joined_once")]
QUICK = {**TINY_TRAINING, "precision": "float32", "progress": False}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write blue and red images, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("commands") / "photos"
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(90):
            seed = number + 1000 * (label == "red")
            picture(seed, colour, side=32).save(folder / label / f"{number:03d}.png")
    (folder / "red" / "broken.png").write_bytes(b"\x89PNG nothing")
    return folder


@pytest.fixture(scope="module")
def alone(photos: Path) -> TrainResult:
    """Train in this process."""
    return hs.train(photos, out=photos.with_name("alone"), cache=photos.with_name("c1"), **QUICK)


def test_training(photos: Path, alone: TrainResult, address: str) -> None:
    """The manifest, the measurements and the model are the same, to the bit."""
    out, cache = photos.with_name("shared"), photos.with_name("c2")
    shared = hs.train(photos, out=out, cache=cache, cluster=address, **QUICK)
    assert shared.record.test.to_json(()) == alone.record.test.to_json(())
    first, second = (bundle / "test_predictions.parquet" for bundle in (out, alone.run))
    assert pq.read_table(first).equals(pq.read_table(second))
    assert shared.record.data.images == alone.record.data.images
    assert shared.record.data.images.rejected == 1


def test_batch_prediction(photos: Path, alone: TrainResult, address: str) -> None:
    """Each file once, in order, the unreadable one with the reason."""
    outs = [photos.with_name(name) for name in ("alone.csv", "shared.csv")]
    for out, cluster in zip(outs, (None, address), strict=True):
        hs.predict(alone.run, photos, out=out, cluster=cluster, progress=False)
    first, second = (out.read_bytes() for out in outs)
    assert first == second
    assert first.count(b"\n") == 272 and b"broken.png" in first


def test_a_gallery(photos: Path, address: str) -> None:
    """It finds the same images at the same distances."""
    quick = {name: QUICK[name] for name in ("weights", "precision", "progress")}
    found = []
    for name, cluster in (("g1", None), ("g2", address)):
        gallery = hs.Gallery.create(
            photos,
            out=photos.with_name(name),
            model=TINY,
            cluster=cluster,
            cache=photos.with_name(f"cache-{name}"),
            **quick,
        )
        (result,) = gallery.search([photos / "red" / "000.png"])
        found.append([(hit.image, hit.distance) for hit in result.hits])
    assert found[0] == found[1]


def test_options_that_do_not_go_together(photos: Path, alone: TrainResult) -> None:
    """They are refused before a cluster is joined."""
    with pytest.raises(OptionError, match="--cluster needs --out"):
        hs.predict(alone.run, photos, cluster="local", progress=False)
    with pytest.raises(OptionError, match="not drawn on a cluster"):
        hs.predict(
            *(alone.run, photos),
            out=photos.with_name("x.csv"),
            explain=photos.with_name("maps"),
            cluster="local",
            progress=False,
        )


def test_an_object_store(photos: Path, alone: TrainResult, address: str, bucket: Bucket) -> None:
    """Workers read images there, and the predictions go there, as in one process."""
    url, out = bucket.upload(photos, "photos"), f"{bucket.url}/predictions.csv"
    local = photos.with_name("local.csv")
    hs.predict(alone.run, photos, out=local, progress=False)
    hs.predict(alone.run, url, out=out, cluster=address, progress=False)
    expected = local.read_text().replace(str(photos), url)
    assert bucket.get("predictions.csv").decode() == expected
