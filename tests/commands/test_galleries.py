"""Galleries, from labelled images to answers."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.backbones.backbone import load_backbone
from headstart.cli import main
from headstart.errors import DataError, GalleryError, OptionError
from headstart.features.extractor import FeatureExtractor
from headstart.files import file_sha256
from headstart.galleries.answers import RankedLabel, SearchResult
from headstart.galleries.store import GalleryStore
from headstart.galleries.table import GalleryTable
from tests.conftest import TINY, picture
from tests.galleries.test_table import holds

ITEMS, STRANGER, PHOTOS = 6, 6, 5
"""Items that are enrolled, one that is not at first, and the photos of each."""
QUICK = {"model": TINY, "weights": "random", "precision": "float32", "progress": False}


def photo(item: int, number: int):
    """Return a photo of an item: its colours with a little noise."""
    base = np.asarray(picture(1000 + item)).astype(np.float32)
    noise = np.random.default_rng([item, number]).normal(0, 12, base.shape)
    return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))


def write_items(folder: Path, items: range, numbers: range = range(PHOTOS)) -> Path:
    """Write a folder for each item."""
    for item in items:
        (folder / f"item-{item}").mkdir(parents=True)
        for number in numbers:
            photo(item, number).save(folder / f"item-{item}" / f"{item}-{number}.png")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def gallery(tmp_path: Path, cache: Path) -> hs.Gallery:
    """Return a gallery of the first items."""
    data = write_items(tmp_path / "goods", range(ITEMS))
    return hs.Gallery.create(data, out=tmp_path / "gallery", cache=cache, **QUICK)


def test_an_enrolled_item_is_found_again(gallery: hs.Gallery, tmp_path: Path) -> None:
    """With the nearest photos, and the probability that it is the same."""
    photo(3, 99).save(tmp_path / "new.png")
    found = gallery.search(tmp_path / "new.png")
    assert (found.label, found.unknown) == ("item-3", False)
    assert found.hits[0].label == "item-3"
    assert found.hits[0].image.startswith("item-3/")
    distances = [hit.distance for hit in found.hits]
    assert distances == sorted(distances) and len(distances) == 5
    assert found.labels[0].probability > 0.5 > found.labels[1].probability
    assert gallery.labels() == {f"item-{number}": PHOTOS for number in range(ITEMS)}


def test_strangers_are_unknown_until_they_are_enrolled(gallery: hs.Gallery, tmp_path: Path) -> None:
    """Adding needs no training: one pass of the network, and one commit."""
    photo(STRANGER, 99).save(tmp_path / "new.png")
    before = gallery.search(tmp_path / "new.png")
    assert before.unknown and before.label is None
    new = write_items(tmp_path / "more", range(STRANGER, STRANGER + 1))
    change = gallery.add(new, progress=False).change
    assert (change.changed, change.images, change.labels) == (5, 35, ITEMS + 1)
    assert gallery.search(tmp_path / "new.png").label == f"item-{STRANGER}"


def test_what_is_removed_is_gone(gallery: hs.Gallery, tmp_path: Path, cache: Path) -> None:
    """Its embedding is in no file of the gallery nor, if wished, its features in the store."""
    store = GalleryStore.open(gallery.folder, cache=cache)
    every = store.table.enrolled()
    rows = [row for row, label in enumerate(every.labels) if label == "item-2"]
    features = _stored_features(tmp_path / "goods/item-2/2-0.png", cache)
    assert all(holds(gallery.folder, every.points[row]) for row in rows)
    assert holds(cache / "features", features)
    change = gallery.remove(labels=["item-2"], forget=True).change
    assert (change.changed, change.images, change.labels) == (5, 25, ITEMS - 1)
    assert not any(holds(gallery.folder, every.points[row]) for row in rows)
    assert not holds(cache / "features", features)
    kept = _stored_features(tmp_path / "goods/item-1/1-0.png", cache)
    assert holds(cache / "features", kept)
    (tmp_path / "query.png").write_bytes((tmp_path / "goods/item-2/2-0.png").read_bytes())
    assert gallery.search(tmp_path / "query.png").label != "item-2"


def test_an_interrupted_removal_is_finished_by_the_next_change(
    gallery: hs.Gallery, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if that changes nothing itself."""
    store = GalleryStore.open(gallery.folder, cache=cache)
    gone = store.table.enrolled()
    point = gone.points[gone.labels.index("item-2")]

    def killed(table: GalleryTable) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GalleryTable, "erase", killed)
        with pytest.raises(KeyboardInterrupt):
            gallery.remove(labels=["item-2"])
    assert holds(gallery.folder, point)
    with pytest.raises(DataError, match="has no label 'item-2'"):
        gallery.remove(labels=["item-2"])
    assert not holds(gallery.folder, point)


def _stored_features(path: Path, cache: Path) -> np.ndarray:
    extractor = FeatureExtractor(
        load_backbone(TINY, weights="random"), cache=cache, precision="float32"
    )
    return extractor.of_files([(str(path), file_sha256(path))])[0][0]


def test_an_image_is_enrolled_once(gallery: hs.Gallery, tmp_path: Path) -> None:
    """A second time is said; another label is an error, and nothing is added."""
    again = gallery.add(tmp_path / "goods", progress=False).change
    assert (again.changed, again.images) == (0, 30)
    assert len(again.known) == 30
    other = tmp_path / "other/item-9"
    other.mkdir(parents=True)
    (other / "copy.png").write_bytes((tmp_path / "goods/item-0/0-0.png").read_bytes())
    photo(9, 1).save(other / "new.png")
    with pytest.raises(DataError, match=r"enrolled already, as 'item-0/0-0.png' with the label"):
        gallery.add(tmp_path / "other", progress=False)
    assert sum(gallery.labels().values()) == 30
    (tmp_path / "twice/a").mkdir(parents=True)
    (tmp_path / "twice/b").mkdir()
    for name in "ab":
        photo(9, 2).save(tmp_path / "twice" / name / "same.png")
    with pytest.raises(DataError, match="copies of the image have different labels: a and b"):
        hs.Gallery.create(tmp_path / "twice", out=tmp_path / "none", **QUICK)
    assert not (tmp_path / "none").exists()


def test_other_columns_are_returned_with_hits(tmp_path: Path, cache: Path) -> None:
    """Such as the price of a product; empty cells are left out."""
    folder = write_items(tmp_path / "goods", range(4))
    with (tmp_path / "goods.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "price", "shelf"])
        for path in sorted(folder.rglob("*.png")):
            item = path.parent.name
            writer.writerow([path, item, f"{len(item)}.50", "A" if item == "item-0" else ""])
    gallery = hs.Gallery.create(tmp_path / "goods.csv", out=tmp_path / "g", cache=cache, **QUICK)
    hits = [gallery.search(photo(item, 50)).hits[0] for item in (0, 1)]
    assert [hit.fields for hit in hits] == [{"price": "6.50", "shelf": "A"}, {"price": "6.50"}]


def test_a_coarse_label_where_the_fine_one_is_not_sure(tmp_path: Path, cache: Path) -> None:
    """Photos between two sorts of a kind are of that kind; strangers stay unknown."""
    kinds = {0: "Apple/red", 1: "Apple/green", 2: "Pear/long", 3: "Pear/round"}
    bases = {0: picture(1000), 2: picture(1002)}
    bases[1] = Image.blend(bases[0], picture(1001), 0.3)
    bases[3] = Image.blend(bases[2], picture(1003), 0.3)
    rows = [["path", "label"]]
    for item, label in kinds.items():
        for number in range(8):
            noise = np.random.default_rng([item, number]).normal(0, 10, (64, 64, 3))
            base = np.asarray(bases[item].resize((64, 64)))
            noisy = Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))
            noisy.save(tmp_path / f"{item}-{number}.png")
            rows.append([f"{item}-{number}.png", label])
    with (tmp_path / "fruit.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    gallery = hs.Gallery.create(tmp_path / "fruit.csv", out=tmp_path / "g", cache=cache, **QUICK)
    sure = gallery.search(tmp_path / "0-1.png", coarse=True)
    assert (sure.label, sure.coarse.label) == ("Apple/red", "Apple")
    settings = gallery._store.settings
    assert settings.coarse.limit > settings.certainty.limit
    answers = gallery.search([picture(2000 + number) for number in range(4)], coarse=True)
    assert {one.label for one in answers} <= {None, "Apple", "Pear"}
    unsure = SearchResult("x", (RankedLabel("Apple/red", 0.2, 0.5),), False, (), sure.coarse)
    assert unsure.or_coarse().label == "Apple"
    assert replace(unsure, coarse=None).or_coarse().label == "Apple/red"


def test_coarse_needs_such_labels(gallery: hs.Gallery) -> None:
    with pytest.raises(OptionError, match="coarse needs labels with a common part before '/'"):
        gallery.search(photo(0, 0), coarse=True)


def test_an_empty_gallery_says_so(gallery: hs.Gallery) -> None:
    gallery.remove(labels=list(gallery.labels()))
    with pytest.raises(GalleryError, match=r"is empty.*headstart gallery add"):
        gallery.search(photo(0, 0))


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_are_enough(count: int, tmp_path: Path, cache: Path) -> None:
    """One label, or one image of each; then nothing is unknown, and probabilities are not known."""
    data = write_items(tmp_path / "goods", range(count), range(1))
    gallery = hs.Gallery.create(data, out=tmp_path / "g", cache=cache, **QUICK)
    found = gallery.search(photo(0, 5))
    assert (found.label, found.unknown) == ("item-0", False)
    assert found.labels[0].probability is None


def test_what_is_not_there_cannot_be_removed(gallery: hs.Gallery) -> None:
    with pytest.raises(DataError, match=r"has no label 'item-77'\. Nothing was removed"):
        gallery.remove(labels=["item-1", "item-77"])
    with pytest.raises(DataError, match=r"has no image 'x\.png'"):
        gallery.remove(images=["x.png"])
    assert sum(gallery.labels().values()) == 30


def test_places_that_are_no_galleries(gallery: hs.Gallery, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(GalleryError, match="does not exist"):
        hs.Gallery(tmp_path / "nowhere")
    with pytest.raises(GalleryError, match="is not a gallery"):
        hs.Gallery(tmp_path)
    with pytest.raises(OptionError, match="exists already"):
        hs.Gallery.create(tmp_path / "goods", out=gallery.folder, **QUICK)
    weights = gallery.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    with pytest.raises(GalleryError, match=r"damaged: 'model.safetensors' differs"):
        hs.Gallery(gallery.folder, cache=cache)


def test_unreadable_images_have_their_place(gallery: hs.Gallery, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_bytes(b"Not an image.")
    photo(1, 70).save(tmp_path / "new.png")
    first, second = gallery.search([tmp_path / "notes.png", tmp_path / "new.png"])
    assert first.error == "it is not an image of a known format"
    assert second.label == "item-1"


def test_two_writers_take_turns(gallery: hs.Gallery, tmp_path: Path, cache: Path) -> None:
    """Nothing that one of them added is lost."""
    data = [write_items(tmp_path / f"more-{item}", range(item, item + 1)) for item in (50, 51, 52)]

    def add(folder: Path) -> None:
        hs.Gallery(gallery.folder, cache=cache, precision="float32").add(folder, progress=False)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, data))
    assert sum(gallery.labels().values()) == 45


def test_the_command_line(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every verb, with JSON of the documented form."""
    data, place = write_items(tmp_path / "goods", range(5)), tmp_path / "gallery"
    common = ["--cache", str(cache), "--precision", "float32"]

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["gallery", *arguments, *common])
        assert end.value.code == 0
        return capsys.readouterr().out

    made = run("create", str(data), "--out", str(place), "--model", TINY, "--weights", "random")
    assert "← chosen" in made and "Enrolled 25 images." in made and "are unknown: 5% of" in made
    photo(2, 40).save(tmp_path / "new.png")
    (found,) = json.loads(run("search", str(place), str(tmp_path / "new.png"), "--json"))
    assert found["label"] == "item-2" and not found["unknown"]
    assert set(found["hits"][0]) == {"image", "label", "distance"}
    assert "item-2" in run("search", str(place), str(tmp_path / "new.png"))
    more = write_items(tmp_path / "more", range(6, 7))
    added = json.loads(run("add", str(place), str(more), "--json"))
    assert (added["images"], added["labels"], added["changed"]) == (30, 6, 5)
    assert "Removed 5 images." in run("remove", str(place), "item-6")
    listed = json.loads(run("list", str(place), "--json"))
    assert listed["images"] == 25 and listed["labels"]["item-0"] == 5
    assert "25 images of 5 labels" in run("list", str(place))


def test_a_card_says_what_a_gallery_keeps(gallery: hs.Gallery) -> None:
    """Beside how it decides, and under which licence its network is."""
    card = (gallery.folder / "README.md").read_text(encoding="utf-8")
    limit = json.loads((gallery.folder / "gallery.json").read_text())["certainty"]["limit"]
    assert "- Backbone: test_efficientnet, float32\n" in card
    assert "30 images of 6 labels" in card
    assert f"If that is farther than {limit:.3f}, it is unknown." in card
    assert "no licence of pretrained weights applies" in card
    assert "an embedding of a face is biometric data" in card
    assert "headstart gallery remove path/to/this/folder LABEL" in card
