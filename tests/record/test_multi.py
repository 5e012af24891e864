"""The record of an evaluation with several labels per image."""

import json
from dataclasses import replace

import numpy as np
import pytest

from headstart.errors import RecordError
from headstart.evaluation.multi_metrics import evaluate_labels
from headstart.record import (
    EvaluationRecord,
    MetricValue,
    MultiEvaluation,
    Record,
    SingleEvaluation,
    describe_metric,
)
from tests.report.test_page import metrics, record
from tests.test_notebook import unstyled

TARGETS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, -1], [0, 1, 0]])
PROBABILITIES = np.array(
    [[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.6, 0.4, 0.3], [0.3, 0.1, 0.2], [0.2, 0.3, 0.1]]
)
EVALUATION = evaluate_labels(PROBABILITIES, TARGETS, ("a", "<i>", "never"), (0.5, 0.5, 0.25))


def multi_record(evaluation: MultiEvaluation = EVALUATION) -> Record:
    return replace(record(metrics()), task="multi", test=evaluation, validation=evaluation)


def test_a_record_is_read_as_written(tmp_path) -> None:
    """All values are equal, with the type that the task says."""
    before = multi_record()
    before.write(tmp_path / "metrics.json")
    after = Record.read(tmp_path)
    assert after == before
    assert isinstance(after.test, MultiEvaluation)
    assert json.loads((tmp_path / "metrics.json").read_text())["test"]["task"] == "multi"


def test_records_without_a_task_have_single_labels() -> None:
    """An evaluation of an early version does not name its task."""
    values = record(metrics()).to_json()
    assert values["test"].pop("task") == "single"
    after = Record.of(values, "metrics.json")
    assert isinstance(after.test, SingleEvaluation)
    assert after == record(metrics())


def test_an_unknown_task_is_an_error() -> None:
    """The error says which tasks there are."""
    values = record(metrics()).to_json()
    values["test"]["task"] = "masks"
    with pytest.raises(RecordError, match=r"'masks'.*'single', 'multi', 'boxes'"):
        Record.of(values, "metrics.json")


def test_the_json_has_means_intervals_and_labels() -> None:
    """Scripts find the means with their intervals, and each label with its training images."""
    values = EVALUATION.to_json((12, 34, 0))
    assert values["images"] == 5
    assert values["macro_auroc"] == pytest.approx((5 / 6 + 5 / 6) / 2)
    assert values["macro_auroc_ci95"] == list(EVALUATION.auroc.macro.ci95)
    assert values["macro_ap"] == EVALUATION.average_precision.macro.value
    assert values["macro_ap_ci95"] == list(EVALUATION.average_precision.macro.ci95)
    assert values["micro_f1"] == pytest.approx(2 * 3 / (5 + 5))
    assert values["micro_f1_ci95"] == list(EVALUATION.f1.micro.ci95)
    assert values["weighted_f1"] == EVALUATION.f1.weighted.value
    assert values["subset_accuracy"] == 2 / 5
    assert values["not_measured"] == {"never": "no image has it"}
    first, _, never = values["per_class"]
    assert (first["class"], first["images"], first["known"], first["trained_on"]) == ("a", 3, 5, 12)
    assert first["auroc"] == pytest.approx(5 / 6)
    assert first["auroc_ci95"] == list(EVALUATION.per_class[0].auroc.ci95)
    assert (first["recall"], first["specificity"], first["threshold"]) == (2 / 3, 1 / 2, 0.5)
    assert first["prevalence"] == 3 / 5
    assert (never["auroc"], never["auroc_ci95"], never["prevalence"]) == (None, None, 0.0)
    assert "trained_on" in never
    assert EVALUATION.to_json()["per_class"][0]["trained_on"] is None
    json.dumps(values, allow_nan=False)


def test_the_json_of_evaluate_has_the_matrices() -> None:
    """In place of a confusion matrix, there are the counts of pairs of labels."""
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
    values = shown.to_json()
    assert shown.classes == ("a", "<i>", "never")
    assert values["cooccurrence"] == [[3, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert values["predicted_cooccurrence"] == [[3, 1, 1], [1, 1, 0], [1, 0, 1]]
    assert "confusion" not in values


def test_an_evaluation_shows_itself_in_one_line() -> None:
    """The text has both macro means with their intervals, and the number of labels and images."""
    low, high = EVALUATION.auroc.macro.ci95
    bounds = "({:.3f} to {:.3f})".format(*EVALUATION.average_precision.macro.ci95)
    assert repr(EVALUATION) == (
        f"Evaluation(macro AUROC 0.833 ({low:.3f} to {high:.3f}) over 2 labels on 5 images; "
        f"macro average precision {EVALUATION.average_precision.macro.value:.3f} {bounds})"
    )
    assert EVALUATION.verdict == "macro AUROC 0.833"


def test_a_notebook_shows_the_results_by_label() -> None:
    """There is a row for each label; one that is not measured has dashes; names are escaped."""
    table = unstyled(EVALUATION._repr_html_())
    assert "<th>label</th><th>AUROC</th><th>average precision</th>" in table
    assert "<td>a</td><td>0.833</td><td>0.917</td><td>0.667</td><td>0.667</td><td>3</td>" in table
    assert "<td>&lt;i&gt;</td>" in table
    assert "<td>never</td>" + "<td>\u2013</td>" * 4 + "<td>0</td>" in table


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (MetricValue(0.8734, (0.8512, 0.8929), "DeLong"), "0.873 (0.851 to 0.893)"),
        (MetricValue(0.8734), "0.873"),
        (MetricValue(None), "not defined"),
    ],
)
def test_a_metric_in_words(metric: MetricValue, text: str) -> None:
    """The interval is there if there is one."""
    assert describe_metric(metric) == text
