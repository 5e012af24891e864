"""Every kind of data and every head gives a model."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import QUICK, Completed

Cli = Callable[..., Completed]
MakeFolder = Callable[..., Path]


def split_folder(photos: Path) -> Path:
    """Sort the images into train/ and test/."""
    out = photos.parent / "split"
    for image in sorted(photos.rglob("*.png")):
        part = "test" if int(image.stem) < 3 else "train"
        target = out / part / image.parent.name / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
    return out


def csv_table(photos: Path) -> Path:
    """List the images by relative path."""
    out = photos.parent / "table.csv"
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for image in sorted(photos.rglob("*.png")):
            writer.writerow([image.relative_to(photos.parent), image.parent.name])
    return out


def parquet_table(photos: Path) -> Path:
    """Embed the images as Hugging Face does."""
    images = sorted(photos.rglob("*.png"))
    cells = [{"bytes": image.read_bytes(), "path": image.name} for image in images]
    table = pa.table({"image": cells, "label": [image.parent.name for image in images]})
    pq.write_table(table, photos.parent / "table.parquet")
    return photos.parent / "table.parquet"


def archive(kind: str) -> Callable[[Path], Path]:
    """Return a function that packs a folder."""
    return lambda photos: Path(
        shutil.make_archive(str(photos.parent / "packed"), kind, photos.parent, photos.name)
    )


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda photos: photos, id="folder"),
        pytest.param(split_folder, id="folder with train and test"),
        pytest.param(csv_table, id="csv"),
        pytest.param(parquet_table, id="parquet with embedded images"),
        pytest.param(archive("zip"), id="zip"),
        pytest.param(archive("gztar"), id="tar.gz"),
    ],
)
def test_every_kind_of_data_gives_a_model(
    headstart: Cli,
    train: Cli,
    make_folder: MakeFolder,
    tmp_path: Path,
    pack: Callable[[Path], Path],
) -> None:
    """All images are found, and the model classifies them correctly."""
    photos = make_folder()
    printed = json.loads(train(pack(photos), "--out", tmp_path / "run", "--json").out)
    assert printed["classes"] == ["blue", "red"]
    assert printed["images"]["train"] + printed["images"]["test"] == 24
    assert printed["images"]["test"] > 0
    assert printed["test"]["accuracy"] == 1.0
    predicted = json.loads(headstart("predict", tmp_path / "run", photos, "--json").out)
    assert [prediction["label"] for prediction in predicted] == ["blue"] * 12 + ["red"] * 12


def test_folder_and_archive_give_the_same_split(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """The split depends on the content of the images, not on their source."""
    photos, test_parts = make_folder(), []
    for number, data in enumerate((photos, archive("zip")(photos), csv_table(photos))):
        run = tmp_path / f"run-{number}"
        train(data, "--out", run)
        rows = pq.read_table(run / "manifest.parquet").to_pylist()
        test_parts.append({row["sha256"] for row in rows if row["split"] == "test"})
    assert test_parts[0] == test_parts[1] == test_parts[2]


@pytest.mark.parametrize(
    ("head", "features"),
    [
        *((head, "last") for head in ("auto", "linear", "kernel", "mlp", "nearest")),
        *(("linear", features) for features in ("multilevel", "auto")),
    ],
)
def test_every_head_and_kind_of_features_gives_a_model(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path, head: str, features: str
) -> None:
    """Each value of --head and --features trains, is recorded, and predicts after loading."""
    options = [*QUICK[:-4], "--head", head, "--features", features, "--cache", tmp_path / "cache"]
    photos = make_folder()
    done = headstart("train", photos, *options, "--out", tmp_path / "run", "--json")
    printed = json.loads(done.out)
    assert printed["head"] == head or (head == "auto" and printed["head"] == "stack")
    assert printed["features"] in (("last", "multilevel") if features == "auto" else (features,))
    assert printed["test"]["accuracy"] >= 5 / 6
    image = photos / "blue/000.png"
    (predicted,) = json.loads(headstart("predict", tmp_path / "run", image, "--json").out)
    assert predicted["label"] == "blue"
