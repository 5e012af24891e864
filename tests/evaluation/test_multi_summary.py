"""An evaluation with several labels per image as text."""

from dataclasses import replace

import numpy as np

from headstart.evaluation.multi_metrics import evaluate_labels
from headstart.evaluation.multi_summary import summarise
from headstart.record import Means, MetricValue
from tests.record.test_multi import EVALUATION

# Round intervals, so that the text does not depend on resamples.
FIXED = replace(
    EVALUATION,
    auroc=replace(EVALUATION.auroc, macro=MetricValue(0.8333, (0.7, 0.9), "bootstrap")),
    average_precision=Means(MetricValue(0.75, (0.6, 0.8)), MetricValue(0.7), MetricValue(0.7)),
    f1=replace(EVALUATION.f1, micro=MetricValue(0.6, (0.5, 0.7))),
    subset_accuracy=MetricValue(0.4, (0.1, 0.8)),
    ece=0.125,
)


def test_the_headline_has_the_macro_auroc_with_labels_images_and_interval() -> None:
    """The text of the terminal: the headline, its context and other figures."""
    summary = summarise(FIXED, "test")
    assert summary.headline == "macro AUROC 0.833"
    assert summary.context == " over 2 labels on 5 test images, 95% interval 0.700 to 0.900"
    assert summary.figures == (
        "macro average precision 0.750 (0.600 to 0.800) · micro-F1 0.600 (0.500 to 0.700) · "
        "all labels of an image correct 40.0% · calibration error 0.125"
    )
    assert summarise(FIXED, "").context.startswith(" over 2 labels on 5 images, ")


def test_the_model_card_has_a_sentence() -> None:
    """The part is named as in a sentence, and brackets are explained."""
    assert summarise(FIXED, "test").sentence == (
        "Macro AUROC over 2 labels on 5 held-out test images: 0.833 (0.700 to 0.900); macro "
        "average precision 0.750 (0.600 to 0.800) (in brackets: 95% intervals)."
    )
    assert "on 5 validation images:" in summarise(FIXED, "validation").sentence


def test_each_label_has_a_row() -> None:
    """A label that is not measured has dashes; training images have a column if counted."""
    summary = summarise(FIXED, "test", (12, 1345, 0))
    assert summary.columns == (
        *("label", "AUROC>", "95% interval", "AP>", "threshold>", "recall>", "precision>", "F1>"),
        *("positives>", "trained on>"),
    )
    first, _, never = summary.rows
    low, high = EVALUATION.per_class[0].auroc.ci95
    assert first == (
        *("a", "0.833", f"{low:.3f} to {high:.3f}", "0.917", "0.500", "66.7%", "66.7%", "0.667"),
        *("3 of 5", "12"),
    )
    assert never == ("never", *["\u2013"] * 3, "0.250", *["\u2013"] * 3, "0 of 4", "0")
    assert "trained on>" not in summarise(FIXED, "test").columns


def test_what_is_not_measured_is_said() -> None:
    """The note names the label and the reason; without such labels there is none."""
    assert summarise(FIXED, "test").note == (
        "Not measured, and in no macro mean: 'never' (no image has it)."
    )
    assert summarise(replace(FIXED, per_class=FIXED.per_class[:2]), "test").note == ""


def test_groups_are_mentioned() -> None:
    """The note says that images are not independent."""
    note = summarise(replace(FIXED, per_class=FIXED.per_class[:2], groups=3), "test").note
    assert note == (
        "Intervals are those of 3 groups of images: images of a group are not independent."
    )


def test_of_many_labels_the_weakest_are_shown() -> None:
    """The twelve labels with the lowest AUROC are in the table, and how many there are."""
    draw = np.random.default_rng(0)
    probabilities, targets = draw.random((30, 20)), draw.integers(0, 2, (30, 20))
    names = [f"label {number}" for number in range(20)]
    evaluation = evaluate_labels(probabilities, targets, names, [0.5] * 20)
    rows = summarise(evaluation, "test").rows
    areas = [result.auroc.value for result in evaluation.per_class]
    weakest = sorted(range(20), key=lambda number: areas[number])[:12]
    assert [row[0] for row in rows[:12]] == [names[number] for number in weakest]
    assert rows[12:] == (("… the 12 of 20 labels with the lowest AUROC",),)


def test_nothing_measured_is_not_defined() -> None:
    """Without any measured label, the headline says so and there is no interval."""
    evaluation = evaluate_labels(np.full((2, 1), 0.5), np.zeros((2, 1), np.int64), ("a",), (0.5,))
    summary = summarise(evaluation, "test")
    assert summary.headline == "macro AUROC not defined"
    assert summary.context == " over 0 labels on 2 test images"
    assert "calibration error \u2013" in summary.figures
