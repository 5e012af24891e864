"""An evaluation of boxes as text."""

from dataclasses import replace

from headstart.evaluation.boxes.summary import summarise_boxes
from headstart.record import BoxClassResult, BoxesEvaluation, MetricValue

CAT = BoxClassResult(
    *("cat", 0.512, 0.84, 0.31, 0.75, 0.6, 2 / 3, 1_500, 1_200, 900, 40),
    precision_recall=((0.0, 1.0), (0.01, 0.9)),
)
BIRD = replace(CAT, name="bird", ap=None, ap50=None, precision=None, recall=None, f1=None, boxes=0)
FIXED = BoxesEvaluation(
    images=41,
    map=MetricValue(0.512, (0.45, 0.55), "bootstrap"),
    map50=MetricValue(0.84, (0.8, 0.9), "bootstrap"),
    map75=0.6,
    ar100=0.7,
    by_size=(),
    per_class=(CAT, BIRD),
    precision=0.75,
    recall=0.6,
    f1=2 / 3,
    errors=(),
    recall_at_false_positives=(),
    purpose="f1",
    resamples=1000,
)


def test_the_headline_has_map50_with_images_boxes_and_interval() -> None:
    """The text of the terminal: the headline, its context and other figures."""
    summary = summarise_boxes(FIXED, "test")
    assert summary.headline == "mAP50 0.840"
    assert summary.context == (" on 41 test images with 1,500 boxes, 95% interval 0.800 to 0.900")
    assert summary.figures == (
        "mAP50-95 0.512 (0.450 to 0.550) · mAP75 0.600 · at the thresholds, 75.0% of predicted "
        "boxes are right and 60.0% of true boxes are found"
    )
    one = replace(FIXED, images=1, per_class=(replace(CAT, boxes=1),), map50=MetricValue(0.84))
    assert summarise_boxes(one, "").context == " on 1 image with 1 box"


def test_the_model_card_has_a_sentence() -> None:
    """Means are over the classes that have boxes."""
    assert summarise_boxes(FIXED, "test").sentence == (
        "mAP50 over 1 class on 41 held-out test images with 1,500 boxes: 0.840 (0.800 to 0.900); "
        "mAP50-95 0.512 (0.450 to 0.550) (in brackets: 95% intervals)."
    )


def test_each_class_has_a_row() -> None:
    """A class without boxes has dashes, and the note names it."""
    summary = summarise_boxes(FIXED, "test", (5_000, 3))
    assert summary.columns == (
        *("class", "AP50>", "AP50-95>", "threshold>", "recall>", "precision>", "F1>", "boxes>"),
        "trained on>",
    )
    dash = "\u2013"
    assert summary.rows == (
        ("cat", "0.840", "0.512", "0.310", "60.0%", "75.0%", "0.667", "1,500", "5,000"),
        ("bird", dash, dash, "0.310", dash, dash, dash, "0", "3"),
    )
    assert summary.note == (
        "Not measured, and in no mean, because no image has a box of them: 'bird'."
    )
    assert summarise_boxes(replace(FIXED, per_class=(CAT,), groups=7), "").note == (
        "Intervals are those of 7 groups of images: images of a group are not independent."
    )


def test_of_many_classes_the_weakest_are_shown() -> None:
    """The twelve with the lowest AP50, and how many there are; those without boxes are not."""
    results = [replace(CAT, name=str(number), ap50=1 - number / 20) for number in range(14)]
    rows = summarise_boxes(replace(FIXED, per_class=(*results, BIRD)), "test").rows
    assert [row[0] for row in rows] == [
        *map(str, range(13, 1, -1)),
        "… the 12 of 14 classes with the lowest AP50",
    ]


def test_thresholds_are_described_unless_they_are_those_of_the_highest_f1() -> None:
    """A class that does not reach the purpose says so."""
    assert summarise_boxes(FIXED, "test").operating == ()
    short = replace(CAT, shortfall="Not reached.")
    at = replace(FIXED, per_class=(CAT, BIRD, short), purpose="precision=0.9")
    sentence = (
        "'cat' at precision=0.9 (probability of at least 0.310): precision 75.0% of 1,200 "
        "predicted, recall 60.0% of 1,500 true boxes."
    )
    assert summarise_boxes(at, "test").operating == (sentence, f"{sentence} Not reached.")
    many = replace(FIXED, per_class=(short,) * 15)
    assert summarise_boxes(many, "test").operating[-1] == "… and 3 more classes"


def test_without_predicted_or_true_boxes_there_are_no_empty_values() -> None:
    """Sentences say which boxes there are none of."""
    nothing = replace(CAT, predicted=0, hits=0, precision=None, recall=0.0)
    silent = replace(FIXED, precision=None, recall=0.0, per_class=(nothing,), purpose="recall=0.9")
    summary = summarise_boxes(silent, "test")
    assert summary.figures.endswith(" · it predicts no box at the thresholds")
    assert list(summary.operating) == [
        (
            "'cat' at recall=0.9 (probability of at least 0.310): none of 1,500 true boxes "
            "is found, as no box is predicted."
        )
    ]
    unlabelled = replace(
        FIXED, precision=0.0, recall=None, per_class=(replace(BIRD, shortfall="Why."),)
    )
    summary = summarise_boxes(unlabelled, "test")
    assert summary.figures.endswith(" · there are no true boxes")
    assert list(summary.operating) == [
        (
            "'bird' at f1 (probability of at least 0.310): there are no true boxes, and "
            "1,200 boxes are predicted. Why."
        )
    ]
