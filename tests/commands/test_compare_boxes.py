"""Compare detectors on the same images."""

from dataclasses import replace

import pytest
from PIL import Image

import headstart as hs
from headstart.commands.train import TrainResult
from headstart.errors import DataError, HeadstartWarning
from headstart.predictor.detector import Detector
from tests.commands.test_detecting import QUICK
from tests.detection.scenes import Scene, scenes, write_csv, write_yolo

pytestmark = pytest.mark.usefixtures("run_in_pytorch")


@pytest.fixture(scope="module")
def detectors(tmp_path_factory) -> tuple[TrainResult, TrainResult]:
    """Train one of discs and squares, and one of discs; next to the first run are `scenes`."""
    root = tmp_path_factory.mktemp("detectors")
    made = scenes(20)
    discs = {
        name: Scene(one.image, tuple(box for box in one.boxes if box.label == "disc"))
        for name, one in made.items()
    }
    sources = {
        "both": write_yolo(root / "scenes", made),
        "discs": write_csv(root / "discs", discs),
    }
    both, disc = (
        hs.train(data, out=root / f"run-{name}", cache=root / "cache", **QUICK)
        for name, data in sources.items()
    )
    return both, disc


def test_detectors_are_compared_by_their_common_classes(detectors, tmp_path) -> None:
    """The first metric is mAP; pictures show what only one of them gets right."""
    both, disc = detectors
    page = tmp_path / "page.html"
    _with_threshold(disc.model, 0.0).save(tmp_path / "noisy")
    _with_threshold(both.model, 2.0).save(tmp_path / "silent")
    models = [tmp_path / "noisy", tmp_path / "silent"]
    with pytest.warns(HeadstartWarning, match="Left out: 'square'"):
        record = hs.compare(
            models, both.run.parent / "scenes", split="all", report=page, progress=False
        )
    (pair,) = record.pairs
    assert (record.classes, record.left_out) == (("disc",), ("square",))
    assert [one.metric for one in pair.differences] == ["map", "map50", "precision", "recall", "f1"]
    assert pair.sentence.startswith(f"The mAP50-95 of '{tmp_path / 'silent'}'")
    assert [(one.column, one.value) for one in pair.subsets] == [("class", "disc")]
    without = {
        f"images/{name}"
        for name, one in scenes(20).items()
        if "disc" not in {box.label for box in one.boxes}
    }
    assert pair.neither + pair.only_first == 20 - len(without)
    assert pair.both + pair.only_second == len(without)
    assert pair.images_only_second and without.issuperset(pair.images_only_second)
    shown = page.read_text()
    assert shown.count("data:image/jpeg") == len(pair.images_only_second)
    assert f"those that {tmp_path / 'noisy'} predicts orange" in shown
    assert "95% interval of the difference" in shown and "p is corrected" not in shown


def _with_threshold(detector: Detector, value: float) -> Detector:
    values = (value,) * len(detector.classes)
    return replace(detector, thresholds=replace(detector.thresholds, values=values))


def test_the_metrics_are_those_of_evaluate(detectors) -> None:
    """On the same part of the data."""
    both, _ = detectors
    data = both.run.parent / "scenes"
    copy = both.run.parent / "copy"
    both.model.save(copy)
    record = hs.compare([both.run, copy], data, progress=False)
    first, *_ = record.pairs[0].differences
    assert first.first == first.second == pytest.approx(both.record.test.map.value)
    assert (first.difference, first.p) == (0, 1)
    assert record.pairs[0].images_only_first == record.pairs[0].images_only_second == ()


def test_detectors_without_a_common_class(detectors, tmp_path) -> None:
    """The message lists what each has."""
    other = tmp_path / "other"
    replace(detectors[1].model, classes=("triangle",)).save(other)
    first = detectors[0].run
    with pytest.raises(DataError) as error:
        hs.compare([first, other], first.parent / "scenes")
    assert str(error.value) == (
        "The models have no class in common, so they cannot be compared: "
        f"'{first}' has 'disc', 'square'; '{other}' has 'triangle'."
    )


def test_a_detector_and_a_classifier_cannot_be_compared(detectors, tmp_path) -> None:
    """The message says what each predicts."""
    for number in range(12):
        folder = tmp_path / "photos" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (40 + 100 * (number % 2) + number, 9, 9)).save(
            folder / f"{number}.png"
        )
    classifier = hs.train(
        tmp_path / "photos",
        out=tmp_path / "run",
        cache=tmp_path,
        progress=False,
        **{name: QUICK[name] for name in ("backbone", "weights", "image_size", "precision")},
    )
    with pytest.raises(DataError, match="one predicts boxes, the other one label per image"):
        hs.compare([detectors[0].run, classifier.run], detectors[0].run.parent / "scenes")
