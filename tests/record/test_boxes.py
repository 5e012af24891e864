"""The record of an evaluation of boxes."""

import json
from dataclasses import replace

import pytest

from headstart.answers import Thresholds
from headstart.errors import RecordError
from headstart.evaluation.boxes.measure import evaluate_boxes
from headstart.record import BoxesEvaluation, EvaluationRecord, Record
from tests.evaluation.boxes.scenes import make_scenes
from tests.report.test_page import metrics, record
from tests.test_notebook import unstyled

CLASSES = ("cat", "<i>", "bird", "never")
AT_HALF = Thresholds("f1", (0.5,) * 4, ("", "", "", "No boxes."))
EVALUATION = evaluate_boxes(*make_scenes(30), CLASSES, thresholds=AT_HALF, resamples=200)


def boxes_record(evaluation: BoxesEvaluation = EVALUATION) -> Record:
    before = record(metrics())
    return replace(
        before,
        task="boxes",
        data=replace(before.data, classes=CLASSES),
        test=evaluation,
        validation=evaluation,
    )


def test_a_record_is_read_as_written(tmp_path) -> None:
    """All values are equal to the last digit, with the type that the task says."""
    before = boxes_record()
    before.write(tmp_path / "metrics.json")
    after = Record.read(tmp_path)
    assert after == before
    assert isinstance(after.test, BoxesEvaluation)
    assert json.loads((tmp_path / "metrics.json").read_text())["test"]["task"] == "boxes"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("map50",), {"value": "high"}),
        (("errors", 0, "kind"), "typo"),
        (("by_size", 1, "size"), "huge"),
        (("per_class", 0, "boxes"), 1.5),
    ],
)
def test_a_damaged_record_is_an_error(path: tuple[str | int, ...], value: object) -> None:
    """The error says where."""
    values = boxes_record().to_json()
    *parents, last = "test", *path
    place = values
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(RecordError, match=r"incomplete or damaged: test\.boxes\." + str(path[0])):
        Record.of(values, "metrics.json")


def test_the_json_has_metrics_intervals_and_classes() -> None:
    """Scripts find the means with their intervals, and each class with its training boxes."""
    values = EVALUATION.to_json((12, 34, 5, 0))
    assert values["images"] == 30
    assert values["map"] == EVALUATION.map.value
    assert values["map_ci95"] == list(EVALUATION.map.ci95)
    assert values["map50"] == EVALUATION.map50.value
    assert values["map50_ci95"] == list(EVALUATION.map50.ci95)
    assert (values["map75"], values["ar100"]) == (EVALUATION.map75, EVALUATION.ar100)
    assert values["map_small"] == EVALUATION.by_size[0].ap
    assert values["ar100_large"] == EVALUATION.by_size[2].ar100
    assert values["boxes_by_size"]["medium"] == EVALUATION.by_size[1].boxes
    assert values["classes_without_boxes"] == ["never"]
    assert values["errors"]["missed"]["count"] == EVALUATION.errors[-1].count
    assert values["recall_at_false_positives"][0]["false_positives"] == 0.1
    assert values["operating_point"] == "f1"
    first, *_, never = values["per_class"]
    assert (first["class"], first["trained_on"]) == ("cat", 12)
    assert (first["ap"], first["ap50"]) == (
        EVALUATION.per_class[0].ap,
        EVALUATION.per_class[0].ap50,
    )
    assert (never["ap"], never["recall"], never["shortfall"]) == (None, None, "No boxes.")
    assert EVALUATION.to_json()["per_class"][0]["trained_on"] is None
    json.dumps(values, allow_nan=False)


def test_the_json_of_evaluate_has_the_curves() -> None:
    """In place of a confusion matrix, there are precision and recall by class."""
    shown = EvaluationRecord(
        headstart="0.1.0",
        created="2026-11-23T18:00:00+00:00",
        model="runs/x",
        data="x",
        split="test",
        evaluation=EVALUATION,
        temperature=1.0,
        trained_on=(),
        rejected=(),
        warnings=(),
        recorded=None,
    )
    curves = shown.to_json()["precision_recall"]
    assert shown.classes == tuple(curves) == CLASSES
    assert curves["never"] == []
    assert curves["cat"] == [list(point) for point in EVALUATION.per_class[0].precision_recall]


def test_an_evaluation_shows_itself_in_one_line() -> None:
    """The text has both means with their intervals, and the numbers of images and boxes."""
    (low, high), (low_all, high_all) = EVALUATION.map50.ci95, EVALUATION.map.ci95
    assert repr(EVALUATION) == (
        f"Evaluation(mAP50 {EVALUATION.map50.value:.3f} ({low:.3f} to {high:.3f}), mAP50-95 "
        f"{EVALUATION.map.value:.3f} ({low_all:.3f} to {high_all:.3f}) on 30 images with "
        f"{EVALUATION.boxes} boxes)"
    )
    assert EVALUATION.verdict == f"mAP50 {EVALUATION.map50.value:.3f}"


def test_a_notebook_shows_the_results_by_class() -> None:
    """There is a row for each class; one without boxes has dashes; names are escaped."""
    table = unstyled(EVALUATION._repr_html_())
    assert "<th>class</th><th>AP</th><th>AP50</th><th>recall</th>" in table
    assert "<td>&lt;i&gt;</td>" in table
    assert "<td>never</td>" + "<td>\u2013</td>" * 4 + "<td>0</td>" in table
