"""The report of an evaluation: what it says beside the figures."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.evaluation.metrics import evaluate_probabilities
from headstart.record import EvaluationRecord, Rejection
from headstart.report import render_evaluation
from headstart.tasks.single import Single
from tests.report.test_page import HOSTILE, Page, mistake, spaced

PROBABILITIES = np.array([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
RECORD = EvaluationRecord(
    headstart="0.1.0",
    created="2026-11-23T18:00:00+00:00",
    model="runs/photos",
    data="new photos",
    split="all",
    evaluation=evaluate_probabilities(PROBABILITIES, np.array([0, 1, 1, 1]), ("a", "b", "c")),
    temperature=1.25,
    trained_on=(20, 30, 40),
    rejected=(),
    warnings=(),
    recorded=None,
)


def page(record: EvaluationRecord = RECORD) -> Page:
    part = Single().report_part(record.evaluation, record.trained_on)
    return Page(render_evaluation(record, part, [mistake()]))


def test_the_page_has_the_figures() -> None:
    """The model, the data and the metrics are shown, and images of all data are just images."""
    text = spaced(page().html)
    for shown in (
        "Headstart evaluation new photos 4 images 0 rejected 2026-11-23 18:00 UTC",
        "Model: runs/photos , with 3 classes.",
        "75.0% accuracy The model classified 75.0% of 4 images correctly",
        "F1 AUROC Images Training images b 66.7%",
        "b 66.7% 20.8 to 93.9% 100.0% 0.800 1.000 3 30",
        "temperature 1.25",
    ):
        assert shown in text


@pytest.mark.parametrize(
    ("split", "shown"),
    [
        ("test", "75.0% test accuracy The model classified 75.0% of 4 test images correctly"),
        ("val", "75.0% validation accuracy The model classified 75.0% of 4 validation images"),
        ("train", "75.0% training accuracy The model classified 75.0% of 4 training images"),
    ],
)
def test_images_are_called_by_their_part(split, shown: str) -> None:
    """The part is named wherever its images are."""
    assert shown in spaced(page(replace(RECORD, split=split)).html)


def test_classes_without_images_are_named() -> None:
    """It is said that they are not measured; in the table they have dashes, at the end."""
    assert (
        "No images: 'c'. This class of the model is not measured; averages are over the other "
        "classes."
    ) in page().text
    assert "c \u2013 \u2013 \u2013 \u2013 \u2013 0 40" in spaced(page().html)


def test_the_comparison_with_the_record_is_shown() -> None:
    """The page says whether the figures are those of the record, if it has any."""
    assert "The record of the run" not in page().text
    same = page(replace(RECORD, recorded={}))
    assert "The record of the run has the same figures, to the last digit." in same.text
    other = page(replace(RECORD, recorded={"log_loss": 0.25, "accuracy_ci95": [0.1, 0.2]}))
    assert "The figures in the record of the run differ: log loss 0.25." in other.text


def test_warnings_and_rejected_images_are_listed() -> None:
    """Both are on the page, escaped."""
    record = replace(
        RECORD, rejected=(Rejection(HOSTILE, HOSTILE),), warnings=(HOSTILE,), data=HOSTILE
    )
    hostile = page(record)
    assert hostile.text.count(HOSTILE) == 5
    assert hostile.all("script") == [{}] and not hostile.unbalanced
    assert "1 file could not be used." in hostile.text
    assert "None: all files could be read and used." in page().text
