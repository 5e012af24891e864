"""Compare: models on the same images, with tests of their differences."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import DataError, HeadstartWarning, OptionError
from tests.commands.conftest import QUICK
from tests.conftest import COLOURS, picture


@pytest.fixture(scope="module")
def others(trained: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train a model that knows nothing, and one of other classes."""
    root = tmp_path_factory.mktemp("others")
    rng = np.random.default_rng(0)
    for number in range(24):
        for folder, names in (("noise", ("blue", "red")), ("colours", ("blue", "green", "red"))):
            name = names[number % len(names)]
            (root / folder / name).mkdir(parents=True, exist_ok=True)
            image = (
                Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
                if folder == "noise"
                else picture(500 + number, COLOURS[name])
            )
            image.save(root / folder / name / f"{number}.png")
    return {
        name: hs.train(
            root / name, out=root / f"run-{name}", cache=root / "cache", progress=False, **QUICK
        ).run
        for name in ("noise", "colours")
    }


@pytest.fixture
def photos(trained: TrainResult) -> Iterator[Path]:
    """Return the photos of the trained model."""
    yield trained.run.parent / "photos"


def test_models_are_compared_on_the_same_images(
    trained: TrainResult, others: dict[str, Path], photos: Path
) -> None:
    """The counts add up, and the metrics are those of `evaluate`."""
    record = hs.compare([others["noise"], trained.run], photos, progress=False)
    (pair,) = record.pairs
    assert (record.split, record.images) == ("test", 12)
    assert pair.both + pair.only_first + pair.only_second + pair.neither == 12
    accuracy = pair.differences[0]
    assert accuracy.metric == "accuracy"
    assert accuracy.first == (pair.both + pair.only_first) / 12
    assert accuracy.second == trained.record.test.accuracy
    assert accuracy.difference == accuracy.second - accuracy.first
    assert pair.adjusted_p == accuracy.p
    listed = record.to_json()["differences"]
    assert [one["metric"] for one in listed] == ["accuracy", "macro_f1", "auroc", "log_loss"]


def test_only_common_classes_are_compared_and_pairs_are_corrected(
    trained: TrainResult, others: dict[str, Path], photos: Path
) -> None:
    """The probability of other classes is shared out, and Holm's correction counts the pairs."""
    with pytest.warns(HeadstartWarning, match="Left out: 'green'"):
        record = hs.compare([trained.run, *others.values()], photos, progress=False)
    assert (record.classes, record.left_out) == (("blue", "red"), ("green",))
    assert len(record.pairs) == 3
    assert all(pair.adjusted_p >= pair.differences[0].p for pair in record.pairs)


def test_images_that_a_model_learnt_from_are_named(
    trained: TrainResult, others: dict[str, Path], photos: Path
) -> None:
    """The warning names the model, also if it is not the first one."""
    with pytest.warns(HeadstartWarning, match=r"run': 24 of these 36 images were used"):
        record = hs.compare([others["noise"], trained.run], photos, split="all", progress=False)
    assert record.images == 36
    assert any("used for training" in warning for warning in record.warnings)


def test_models_that_cannot_be_compared(
    trained: TrainResult, others: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """The message says why."""
    with pytest.raises(OptionError, match="at least two models"):
        hs.compare([trained.run], photos)
    with pytest.raises(OptionError, match="DATA is missing"):
        hs.compare([trained.run, others["noise"]], others["colours"])
    with pytest.raises(OptionError, match="is passed twice"):
        hs.compare([trained.run, trained.run], photos)
    data = tmp_path / "several"
    shutil.copytree(photos / "train", data)
    several = hs.train(
        data, task="multi", out=tmp_path / "run", cache=tmp_path, progress=False, **QUICK
    ).run
    with pytest.raises(DataError, match="one predicts one label per image"):
        hs.compare([trained.run, several], photos)
