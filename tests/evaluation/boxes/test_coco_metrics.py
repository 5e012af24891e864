"""Metrics equal those of pycocotools run by hand on the written files, to the last digit."""

import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from headstart.boxes import Boxes, Detections
from headstart.errors import OptionError
from headstart.evaluation.boxes.coco_files import write_coco, write_coco_results
from headstart.evaluation.boxes.coco_metrics import measure_coco
from tests.evaluation.boxes.scenes import CLASSES, boxes, found, make_scenes


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory) -> COCOeval:
    """Run pycocotools as its own demo does, on files."""
    folder = tmp_path_factory.mktemp("coco")
    truths, detections, sizes = make_scenes(40)
    write_coco(folder / "truth.json", truths, sizes, CLASSES)
    write_coco_results(folder / "results.json", detections)
    truth = COCO(str(folder / "truth.json"))
    evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def test_every_metric_is_that_of_pycocotools_on_the_written_files(by_hand) -> None:
    """All figures that pycocotools prints are equal, to the last digit."""
    metrics = measure_coco(*make_scenes(40), CLASSES)
    own = [metrics.map, metrics.map50, metrics.map75]
    own += [metrics.map_of("small"), metrics.map_of("medium"), metrics.map_of("large")]
    recalls = [metrics.ar100_of("small"), metrics.ar100_of("medium"), metrics.ar100_of("large")]
    assert own == by_hand.stats[:6].tolist()
    assert [metrics.ar100, *recalls] == by_hand.stats[8:].tolist()
    assert len({*own, *recalls}) == 9
    assert 0.1 < metrics.map < metrics.map50 < 0.9


def test_metrics_by_class_are_those_of_its_precision_array(by_hand) -> None:
    """The AP of a class is the mean of its part of COCOeval's array."""
    metrics = measure_coco(*make_scenes(40), CLASSES)
    precision = by_hand.eval["precision"]
    for category in range(3):
        assert metrics.ap(category) == np.mean(precision[:, :, category, 0, 2])
        assert metrics.ap50(category) == np.mean(precision[0, :, category, 0, 2])


def test_boxes_of_all_sizes_do_not_depend_on_measuring_sizes(by_hand) -> None:
    """Without sizes, the other metrics are equal."""
    metrics = measure_coco(*make_scenes(40), CLASSES, by_size=False)
    assert [metrics.map, metrics.map50, metrics.map75] == by_hand.stats[:3].tolist()


def test_a_class_without_true_boxes_is_in_no_mean() -> None:
    """It has no AP, and detections of it do not matter."""
    truths = [boxes((0, 0, 100, 100, 0))]
    detections = [found((0, 0, 100, 100, 0, 0.9), (0, 0, 100, 100, 1, 0.8))]
    metrics = measure_coco(truths, detections, [(100, 100)], ("cat", "dog"))
    assert metrics.map == metrics.ap(0) == metrics.map_of("large") == pytest.approx(1)
    assert (metrics.ap(1), metrics.ap50(1), metrics.map_of("small")) == (None, None, None)


def test_at_most_100_detections_of_a_class_count() -> None:
    """The true box is the 101st detection of its image: it is not found."""
    wrong = [(200, 0, 210, 10, 0, 0.9)] * 100
    detections = [found(*wrong, (0, 0, 100, 100, 0, 0.5))]
    one = [boxes((0, 0, 100, 100, 0))]
    assert measure_coco(one, detections, [(300, 100)], ("cat",)).map == 0
    detections = [found(*wrong[1:], (0, 0, 100, 100, 0, 0.5))]
    assert measure_coco(one, detections, [(300, 100)], ("cat",)).map50 == pytest.approx(0.01)


@pytest.mark.parametrize("images", [0, 3])
def test_nothing_labelled_is_not_measured(images: int) -> None:
    """Without true boxes, and even without images, metrics are None."""
    empty = [Boxes.none()] * images, [Detections.none()] * images, [(10, 10)] * images
    metrics = measure_coco(*empty, CLASSES)
    assert (metrics.map, metrics.ar100, metrics.ap(2), metrics.map_of("large")) == (None,) * 4


def test_no_detections_are_an_average_precision_of_zero() -> None:
    """COCO.loadRes would refuse an empty list."""
    metrics = measure_coco([boxes((0, 0, 9, 9, 0))], [Detections.none()], [(10, 10)], ("cat",))
    assert (metrics.map, metrics.ar100) == (0.0, 0.0)


def test_nothing_is_printed(capsys) -> None:
    """pycocotools prints what it does; results of commands go to stdout."""
    measure_coco(*make_scenes(2), CLASSES)
    assert capsys.readouterr().out == ""


def test_without_pycocotools_the_error_says_what_to_install(monkeypatch) -> None:
    """It is an optional dependency."""
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(OptionError, match=r"pip install 'headstart\[detect\]'"):
        measure_coco(*make_scenes(1), CLASSES)
