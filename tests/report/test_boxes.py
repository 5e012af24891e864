"""The report of boxes: its figures, and its pictures with true and predicted boxes."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from headstart.answers import Thresholds
from headstart.boxes import Boxes, Detections
from headstart.evaluation.boxes.measure import evaluate_boxes
from headstart.record import BoxErrors, BoxesEvaluation, EvaluationRecord, MetricValue, MissingBox
from headstart.report import render_evaluation, render_report
from headstart.report.box_pictures import (
    MAX_CROPS,
    MAX_NAMED,
    AnalysedPicture,
    BoxCrops,
    Drawing,
    false_alarm_crops,
    missed_crops,
    missing_crop,
)
from headstart.report.boxes import BoxesPicture, boxes_part
from tests.evaluation.boxes.scenes import boxes, found, make_scenes
from tests.record.test_boxes import CLASSES, EVALUATION, boxes_record
from tests.report.test_page import HOSTILE, Page

TRUTH = boxes((10, 20, 110, 220, 0), (300, 100, 400, 200, 1), (500, 300, 520, 310, 0))
FOUND = found(
    (12, 20, 110, 220, 0, 0.97),
    (300, 100, 400, 140, 1, 0.8),
    (600, 10, 630, 40, 0, 0.7),
    (600, 400, 630, 440, 0, 0.1),
)
NAMES = ("cat", "dog")


def pixels(width: int = 640, height: int = 480) -> np.ndarray:
    """Return an image whose red is its column and whose green is its row, from 0 to 255."""
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    blue = np.zeros((height, width))
    return np.dstack([*np.broadcast_arrays(across, down[:, None]), blue]).astype(np.uint8)


PICTURE = BoxesPicture("street/1.jpg", pixels(), TRUTH, FOUND)


def analysed(picture: BoxesPicture = PICTURE, threshold: float = 0.5) -> AnalysedPicture:
    return AnalysedPicture(picture, NAMES, [threshold] * 2)


def opened(drawing: Drawing) -> Image.Image:
    return Image.open(BytesIO(b64decode(drawing.source.partition(",")[2])))


def page(evaluation: BoxesEvaluation = EVALUATION, *pictures: BoxesPicture, **more: object) -> Page:
    return Page(
        render_report(boxes_record(evaluation), boxes_part(evaluation, pictures, **more), ())
    )


def spaced(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("\u00a0", " ").split())


# Drawings ----------------------------------------------------------------------------------------


def test_a_picture_has_all_boxes_in_pixels_of_the_image() -> None:
    """True and predicted ones, without those below the thresholds; the largest come first."""
    drawing = analysed().whole().drawing
    assert (drawing.x, drawing.y, drawing.width, drawing.height) == (0, 0, 640, 480)
    assert [(box.title, box.kind, box.wrong) for box in drawing.boxes] == [
        ("True: cat, found", "true", False),
        ("Predicted: cat 97%, right", "predicted", False),
        ("True: dog, missed", "true", True),
        ("Predicted: dog 80%, badly located", "predicted", True),
        ("Predicted: cat 70%, background", "predicted", True),
        ("True: cat, missed", "true", True),
    ]
    box = drawing.boxes[0]
    assert (box.x, box.y, box.width, box.height) == (10, 20, 100, 200)


def test_what_is_said_about_a_picture() -> None:
    """The facts below it are also its description for those who cannot see it."""
    shown = analysed().whole()
    assert shown.facts == (
        ("Found", "1 of 3"),
        ("False alarms", "1 badly located, 1 on the background"),
    )
    assert shown.drawing.described == (
        "street/1.jpg with true and predicted boxes; found: 1 of 3; false alarms: 1 badly "
        "located, 1 on the background"
    )
    perfect = BoxesPicture("1.jpg", pixels(), boxes((0, 0, 9, 9, 0)), found((0, 0, 9, 9, 0, 0.9)))
    assert analysed(perfect).whole().facts == (("Found", "1 of 1"),)


def test_crowds_and_detections_in_them_are_not_errors() -> None:
    """Their tooltips say so."""
    crowd = replace(PICTURE, truth=boxes((0, 0, 200, 300, 0), crowd=True), detections=FOUND)
    drawn = analysed(crowd).whole()
    titles = {box.title: box.wrong for box in drawn.drawing.boxes}
    assert not titles["True: cat, a crowd"]
    assert not titles["Predicted: cat 97%, in a crowd"]
    assert drawn.facts[0] == ("Found", "0 of 0")


@pytest.mark.parametrize("size", [(2000, 1000), (100, 1500), (60, 40)])
def test_pictures_are_at_most_480_pixels(size: tuple[int, int]) -> None:
    """Small ones are not enlarged; the shape is kept."""
    drawing = analysed(replace(PICTURE, image=pixels(*size))).whole().drawing
    scale = min(1, 480 / max(size))
    assert opened(drawing).size == (round(size[0] * scale), round(size[1] * scale))
    assert (drawing.width, drawing.height) == size


def test_a_picture_may_be_a_smaller_file() -> None:
    """Boxes are in pixels of the image itself, and crops are of the same place."""
    buffer = BytesIO()
    Image.fromarray(pixels(320, 240)).save(buffer, "JPEG", quality=95)
    small = replace(PICTURE, image=buffer.getvalue(), size=(640, 480))
    drawing = analysed(small).whole().drawing
    assert drawing == replace(analysed().whole().drawing, source=drawing.source)
    assert opened(drawing).size == (320, 240)
    _, crop = next(analysed(small).misses())
    _, same = next(analysed().misses())
    colours = [np.asarray(opened(one.drawing)).mean(axis=(0, 1)) for one in (crop, same)]
    assert colours[0] == pytest.approx(colours[1], abs=3)


def test_labels_neither_overlap_nor_leave_the_image() -> None:
    """The most probable detections are labelled first; the others have tooltips."""
    rows = [(600, 2 * n, 640, 2 * n + 30, 0, 0.9 - n / 100) for n in range(MAX_NAMED)]
    drawing = analysed(replace(PICTURE, detections=found(*rows))).whole().drawing
    assert drawing.labels[0].text == "cat 90%"
    assert 2 <= len(drawing.labels) < MAX_NAMED
    for label in drawing.labels:
        assert label.x >= 0 and label.x + 0.6 * drawing.letters * len(label.text) <= 640
        assert drawing.letters <= label.y <= 480
    lines = sorted(label.y for label in drawing.labels)
    assert min(np.diff(lines)) >= drawing.letters
    more = found(*rows, (0, 0, 9, 9, 0, 0.6))
    assert analysed(replace(PICTURE, detections=more)).whole().drawing.labels == ()


def test_a_crop_shows_a_false_alarm_with_what_is_around_it() -> None:
    """It stays inside the image, and has the true boxes nearby."""
    background, located = sorted(analysed().false_alarms(), key=lambda one: one[0])
    score, crop = background
    drawing = crop.drawing
    assert score == 0.7
    assert crop.facts == (("Predicted", "cat, 70%"), ("Error", "background"))
    assert [box.title for box in drawing.boxes] == ["Predicted: cat 70%, background"]
    # A square of 1.8 times the longer side, moved into the image.
    assert (drawing.x, drawing.y, drawing.width, drawing.height) == pytest.approx((586, 0, 54, 54))
    kinds = [box.kind for box in located[1].drawing.boxes]
    assert kinds == ["true", "predicted"]
    assert drawing.described == "Predicted cat, 70%: background, in street/1.jpg"


def test_a_crop_is_of_the_right_place() -> None:
    """The colours of the middle are those of the middle of the box."""
    _, crop = next(analysed().misses())
    middle = np.asarray(opened(crop.drawing))[90:91, 90:91].ravel()
    assert middle[:2] == pytest.approx([255 * 350 / 640, 255 * 150 / 480], abs=4)


def test_a_crop_of_a_missed_box_says_what_was_predicted_instead() -> None:
    """If a badly located box, or one of the wrong class, was meant for it."""
    (_, dog), (_, cat) = analysed().misses()
    assert dog.facts == (
        ("True", "dog"),
        ("Size", "100 x 100 pixels"),
        ("Instead", "dog, 80%, badly located"),
    )
    assert cat.facts == (("True", "cat"), ("Size", "20 x 10 pixels"))


def test_the_most_probable_false_alarms_and_the_largest_misses_are_shown() -> None:
    """Of all pictures together, and how many more there are."""
    pictures = [analysed(replace(PICTURE, name=f"{number}.jpg")) for number in range(8)]
    alarms, missed = false_alarm_crops(pictures), missed_crops(pictures)
    assert len(alarms.shown) == len(missed.shown) == MAX_CROPS
    assert (alarms.more, missed.more) == (4, 4)
    assert [one.facts[0][1] for one in alarms.shown[:9]] == ["dog, 80%"] * 8 + ["cat, 70%"]
    assert [one.facts[0][1] for one in missed.shown[:9]] == ["dog"] * 8 + ["cat"]


def test_an_image_without_boxes_is_shown() -> None:
    """There is nothing to draw."""
    shown = analysed(BoxesPicture("1.jpg", pixels(), Boxes.none(), Detections.none())).whole()
    assert (shown.drawing.boxes, shown.facts) == ((), (("Found", "0 of 0"),))


# The page ----------------------------------------------------------------------------------------


def test_the_headline_has_map50_recall_and_precision() -> None:
    """The big number, what it means, and which classes are not measured."""
    low, high = EVALUATION.map50.ci95
    shown = page()
    assert f"{EVALUATION.map50.value:.3f} mAP50 on test images" in spaced(shown.html)
    assert (
        f"At the thresholds, the model finds {EVALUATION.recall:.1%} of {EVALUATION.boxes} true "
        f"boxes, and {EVALUATION.precision:.1%} of its boxes are right"
    ) in shown.text
    assert (
        f"(mAP50) is {EVALUATION.map50.value:.3f} (95% interval {low:.3f} to {high:.3f}), the "
        "mean over 3 classes. Measured on 30 unseen test images."
    ) in shown.text
    assert "no test image has a box of them: 'never'. Means are over the other" in shown.text


def test_classes_have_rows_and_curves_weakest_first() -> None:
    """The class without boxes is last in the table, and has no curve."""
    shown = page(trained_on=(12, 34, 5, 0))
    measured = [one for one in EVALUATION.per_class if one.boxes]
    ranked = sorted(measured, key=lambda one: one.ap50)
    curves = [one for one in shown.all("svg") if "Precision-recall" in str(one.get("aria-label"))]
    assert [one["aria-label"] for one in curves] == [
        f"Precision-recall curve of {one.name}, AP50 {one.ap50:.3f}" for one in ranked
    ]
    rows = spaced(shown.html.partition('id="per-class"')[2])
    places = [rows.index(name) for name in ("cat", "&lt;i&gt;", "bird", "never")]
    assert max(places) == places[3]
    assert "Training boxes" in rows and "No boxes." in rows
    assert "Training boxes" not in page().text


def test_a_curve_ends_on_the_axis_of_recall() -> None:
    """Its points are recall and precision in percent, from the top; the dot is the threshold."""
    result = replace(
        EVALUATION.per_class[0],
        precision_recall=((0.0, 1.0), (0.01, 0.5)),
        recall=0.25,
        precision=0.9,
    )
    part = boxes_part(replace(EVALUATION, per_class=(result,)))
    (panel,) = part.values["panels"]
    assert panel.curve == "M0 0.0L1 50.0V100"
    assert panel.at_threshold == pytest.approx((25, 10))


def test_pictures_with_the_most_errors_come_first() -> None:
    """With their crops; without any, the page says so."""
    scenes = [
        BoxesPicture(f"{row}.jpg", pixels(), truth, each)
        for row, (truth, each, _) in enumerate(zip(*make_scenes(30), strict=True))
    ]
    values = boxes_part(EVALUATION, scenes).values
    thresholds = [0.5] * 4
    errors = {one.name: AnalysedPicture(one, CLASSES, thresholds).wrong for one in scenes}
    shown = [errors[one.image] for one in values["pictures"]]
    assert shown == sorted(errors.values(), reverse=True)[: len(shown)]
    assert shown[0] > shown[-1]
    html = page(EVALUATION, *scenes)
    assert len([one for one in html.all("svg") if one.get("class") == "drawing"]) == 36
    assert "This page was rendered without images." not in html.text
    assert "This page was rendered without images." in page().text


def test_kinds_of_errors_are_bars() -> None:
    """Their number, and what correcting them is worth."""
    text = spaced(page().html)
    for one in EVALUATION.errors:
        assert f"{one.count} mAP50 {one.gain:+.3f}" in text
    bars = boxes_part(EVALUATION).values["errors"]
    most = max(one.count for one in EVALUATION.errors)
    assert [bar.share for bar in bars] == [one.count / most for one in EVALUATION.errors]


def test_counts_and_gains_that_seem_to_contradict_each_other_are_explained() -> None:
    """Missed boxes that are found below the threshold, and errors only there."""
    errors = (BoxErrors("missed", 18, 0.0), BoxErrors("class", 0, 0.1), BoxErrors("both", 2, 0.1))
    text = spaced(page(replace(EVALUATION, errors=errors)).html)
    assert "18 mAP50 +0.000: found below the threshold" in text
    assert "0 mAP50 +0.100: below the threshold" in text
    assert "2 mAP50 +0.100 " in text


def test_a_detector_that_predicts_nothing() -> None:
    """There is no share of its boxes that are right."""
    silent = replace(EVALUATION, precision=None, recall=0.0)
    text = page(silent).text
    assert (
        f"At the thresholds, the model predicts no box, so it finds none of {EVALUATION.boxes} "
        "true boxes. Average precision at an overlap of at least half (mAP50) is"
    ) in text
    assert "No box is predicted at the thresholds." in text


def test_thresholds_that_could_not_be_chosen() -> None:
    """The page does not say that they were."""
    assert "which were chosen on held-out images for the highest F1." in page().text
    results = tuple(replace(one, threshold=0.5, shortfall="None.") for one in EVALUATION.per_class)
    text = page(replace(EVALUATION, per_class=results)).text
    assert "which are 0.5: none could be chosen on held-out images." in text
    assert "were chosen" not in text


def test_errors_are_counted_in_words() -> None:
    """Two are duplicates, one is a duplicate."""
    for number, word in ((1, "1 duplicate"), (2, "2 duplicates")):
        again = [(10, 20, 110, 219 - n, 0, 0.9 - n / 10) for n in range(number + 1)]
        shown = analysed(BoxesPicture("1.jpg", pixels(), TRUTH, found(*again))).whole()
        assert shown.facts[1] == ("False alarms", word)


def test_boxes_that_may_be_missing_are_crops() -> None:
    """With what was found there, and where; without any, there is no section."""
    one = MissingBox("street/1.jpg", "train", "dog", 0.97, (522, 300, 552, 330))
    crop = missing_crop(one, pixels(), TRUTH, NAMES, None)
    assert crop.facts == (("Found", "dog, 97%"), ("Part", "train"))
    near = [box for box in crop.drawing.boxes if box.kind == "predicted"]
    assert [(box.x, box.y, box.width, box.height) for box in near] == [(522, 300, 30, 30)]
    titles = [(box.title, box.wrong) for box in crop.drawing.boxes]
    assert sorted(titles) == [("Predicted: dog 97%", False), ("True: cat", False)]
    assert crop.drawing.described == "dog, 97%, found where nothing is labelled, in street/1.jpg"
    text = spaced(page(missing=BoxCrops((crop,), 4)).html)
    assert "Labels that may be missing" in text
    assert "Found dog, 97% Part train" in text and "And 4 more." in text
    assert "Labels that may be missing" not in page().text


def test_findings_about_the_labels_are_a_table() -> None:
    """There is none without findings."""
    shown = page(findings=[("Boxes", "12 in 3 images"), ("Sizes", HOSTILE)])
    assert "Boxes 12 in 3 images Sizes" in spaced(shown.html)
    assert "The labelled boxes" not in page().text


def test_names_are_text_and_nothing_is_loaded() -> None:
    """A hostile name of a class and of a file is shown as it is; the page is one valid file."""
    named = tuple(replace(one, name=HOSTILE) for one in EVALUATION.per_class)
    evaluation = replace(EVALUATION, per_class=named)
    picture = replace(PICTURE, name=HOSTILE)
    shown = page(evaluation, picture, findings=[(HOSTILE, HOSTILE)])
    assert shown.unbalanced == []
    assert len(shown.all("script")) == 1
    assert not [one for one in shown.all("img") if one.get("src") == "x"]
    assert HOSTILE in shown.text
    sources = [one["href"] for one in shown.all("image")]
    assert sources and all(one.startswith("data:image/jpeg;base64,") for one in sources)
    assert not re.search(r"(href|src)=\"(?!data:|#)", shown.html)
    assert all(one.get("aria-label") for one in shown.all("svg") if one.get("role") == "img")


def test_nothing_labelled_is_not_measured() -> None:
    """The page says so and has no curves; predicted boxes are still shown."""
    thresholds = Thresholds("f1", (0.5, 0.5), ("", ""))
    empty = evaluate_boxes([Boxes.none()], [FOUND], [(640, 480)], NAMES, thresholds=thresholds)
    shown = page(empty, replace(PICTURE, truth=Boxes.none()))
    assert "Not measured. The 1 test image has no true box." in shown.text
    assert "Precision and recall" not in shown.text
    assert "Predicted cat, 97% Error background" in spaced(shown.html)


def test_one_class_in_groups_without_an_interval() -> None:
    """The sentence is about one class."""
    one = replace(EVALUATION, per_class=EVALUATION.per_class[:1], groups=7, map50=MetricValue(1.0))
    assert (
        "(mAP50) is 1.000, for one class. Measured on 30 unseen test images in 7 groups"
        in page(one).text
    )


def test_an_evaluation_has_the_same_part() -> None:
    """The page of `evaluate` shows boxes, too."""
    shown = EvaluationRecord(
        headstart="0.1.0",
        created="2026-11-23T18:00:00+00:00",
        model="runs/x",
        data="x",
        split="all",
        evaluation=EVALUATION,
        temperature=1.0,
        trained_on=(),
        rejected=(),
        warnings=(),
        recorded=None,
    )
    html = Page(render_evaluation(shown, boxes_part(EVALUATION, [PICTURE]), ()))
    assert html.unbalanced == []
    assert "Measured on 30 images." in html.text
    assert "street/1.jpg" in html.text
