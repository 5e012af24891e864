"""The report of several labels per image: its figures, curves, and its only script."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from headstart.evaluation.multi_metrics import evaluate_labels
from headstart.record import EvaluationRecord, MetricValue, MultiEvaluation
from headstart.report import PicturedMistake, render_evaluation, render_report
from headstart.report.multi import MAX_MATRIX, multi_part
from headstart.task import Mistake
from tests.record.test_multi import EVALUATION, multi_record
from tests.report.test_page import HOSTILE, Page, mistake, spaced


@pytest.fixture(scope="module")
def many() -> MultiEvaluation:
    """Return the evaluation of 50 labels, of which the first are the most frequent."""
    draw = np.random.default_rng(1)
    share = np.linspace(0.9, 0.1, 50)
    targets = (draw.random((60, 50)) < share).astype(np.int64)
    names = [f"label {number:02d}" for number in range(50)]
    return evaluate_labels(draw.random((60, 50)), targets, names, [0.5] * 50)


def page(
    evaluation: MultiEvaluation = EVALUATION,
    *mistakes: PicturedMistake,
    trained_on: tuple[int, ...] = (),
) -> Page:
    shown = multi_record(evaluation)
    return Page(render_report(shown, multi_part(evaluation, trained_on), mistakes))


def about(label: str, truth: str, predicted: str, probability: float) -> PicturedMistake:
    pictured = mistake(image=f"{label}-{probability}.png")
    return replace(pictured, mistake=Mistake(7, truth, predicted, probability, about=label))


def test_the_headline_has_the_macro_auroc_and_chance() -> None:
    """The big number, what it means, and which labels are not measured."""
    low, high = EVALUATION.auroc.macro.ci95
    shown = page()
    assert "0.833 macro AUROC on test images" in spaced(shown.html)
    assert (
        "Of an image with a label and one without it, the model gives the first the higher "
        f"probability in 83.3% of cases (95% interval {100 * low:.1f} to {100 * high:.1f}%), on "
        "average over 2 labels; 50% is chance. Measured on 5 unseen test images."
    ) in shown.text
    assert "Not measured: 'never' (no image has it)." in shown.text
    assert "Chance (mean prevalence) 0.500" in spaced(shown.html)


def test_an_interval_that_includes_chance_has_a_note() -> None:
    """A model that may be no better than chance is not presented as a success."""
    note = "this test does not show that the model is better than chance"
    good = replace(EVALUATION.auroc, macro=MetricValue(0.8, (0.6, 0.9), "bootstrap"))
    bad = replace(EVALUATION.auroc, macro=MetricValue(0.8, (0.4, 0.9), "bootstrap"))
    assert note not in page(replace(EVALUATION, auroc=good)).text
    assert note in page(replace(EVALUATION, auroc=bad)).text


def test_each_label_is_a_row_that_can_be_sorted() -> None:
    """Cells have the exact values as keys; a label that is not measured comes last."""
    shown = page(trained_on=(12, 1345, 0))
    low, high = EVALUATION.per_class[0].auroc.ci95
    assert f"a 60.0% 3 of 5 0.833 {low:.3f}\u2013{high:.3f} 0.917" in spaced(shown.html)
    assert "never 0.0% 0 of 4 \u2013 \u2013 0.250 \u2013 \u2013 \u2013 \u2013 \u2013 0" in spaced(
        shown.html
    )
    keys = [td.get("data-value") for td in shown.all("td")]
    assert {str(5 / 6), "", "1345"} <= set(keys)
    rows = re.findall(r'<th scope="row"><bdi class="name">([^<]+)</bdi></th>\s*<td', shown.html)
    assert rows[2] == "never"
    headings = [th for th in shown.all("th") if "aria-sort" in th]
    assert [th["aria-sort"] for th in headings] == ["ascending"]


def test_the_only_script_is_the_one_that_the_policy_allows() -> None:
    """The policy has the digest of the script and allows nothing else to be loaded."""
    shown = page()
    scripts = re.findall(r"<script>(.*?)</script>", shown.html, flags=re.DOTALL)
    assert len(scripts) == 1 == len(shown.all("script"))
    digest = b64encode(sha256(scripts[0].encode()).digest()).decode()
    policy = next(m for m in shown.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    assert "http" not in shown.html.replace("http-equiv", "")
    assert not shown.unbalanced


def test_curves_are_drawn_once_and_used_again() -> None:
    """Each measured label has a ROC and a precision-recall path, in units of the plot."""
    shown = page()
    paths = {str(path["id"]): path["d"] for path in shown.all("path")}
    assert set(paths) == {"roc-0", "roc-1", "precision-0", "precision-1"}
    assert paths["roc-0"] == "M0 100L0 66.7L0 33.3L50 33.3L50 0L100 0"
    assert paths["precision-0"] == "M0 0V0H33.3V0H66.7V25H100"
    used = {str(use["href"]).removeprefix("#") for use in shown.all("use")}
    assert used == {*paths, "grid"}


def test_the_threshold_is_a_point_on_the_curves() -> None:
    """At the threshold of label a, half of the negatives and two of three positives are found."""
    panel = next(
        panel for panel in multi_part(EVALUATION).values["panels"] if panel.result.name == "a"
    )
    assert (panel.at_threshold.x, panel.at_threshold.y) == pytest.approx((50, 100 / 3))
    at = panel.precision_at_threshold
    assert (at.x, at.y) == pytest.approx((200 / 3, 100 / 3))


def test_a_label_that_is_never_predicted_has_no_precision() -> None:
    """There is a point on the ROC curve, but none on the other."""
    evaluation = evaluate_labels(np.array([[0.1], [0.2]]), np.array([[0], [1]]), ("rare",), (0.5,))
    panel = multi_part(evaluation).values["panels"][0]
    assert (panel.at_threshold.x, panel.at_threshold.y) == (0, 100)
    assert panel.precision_at_threshold is None
    assert "Labels that occur together" not in page(evaluation).text


def test_pairs_of_labels_are_counted() -> None:
    """A cell has the true and the predicted count; its heat is the share of the row."""
    shown = page()
    heats = re.findall(r'<td class="right" style="--heat:([\d.]+)">(\d+)<small>(\d+)<', shown.html)
    # a and <i>, a and never, <i> and a, never and a.
    assert heats == [("0.33", "1", "1"), ("0.00", "0", "1"), ("0.50", "1", "1"), ("0.00", "0", "1")]


def test_differing_pairs_are_listed(many: MultiEvaluation) -> None:
    """The pair with the largest difference between truth and prediction comes first."""
    difference = np.array(many.predicted_cooccurrence) - np.array(many.cooccurrence)
    first, second = np.unravel_index(np.abs(np.triu(difference, 1)).argmax(), (50, 50))
    count = many.cooccurrence[first][second]
    listed = re.findall(r"'label (\d+)' with 'label (\d+)': (\d+) test images?", page(many).text)
    assert len(listed) == 10
    assert tuple(map(int, listed[0])) == (first, second, count)


def test_a_large_matrix_has_the_most_frequent_labels(many: MultiEvaluation) -> None:
    """Of 50 labels, the 40 with most images are shown, and it says so."""
    shown = page(many)
    assert "The 40 most frequent of 50 labels are shown." in shown.text
    assert len(multi_part(many).values["matrix"].names) == MAX_MATRIX
    region = next(d for d in shown.all("div") if d.get("aria-label") == "Co-occurrence matrix")
    assert {"scroll", "tall", "dense"} <= set(str(region["class"]).split())


def test_of_many_labels_only_the_weakest_is_opened(many: MultiEvaluation) -> None:
    """The other panels are closed, in a container that scrolls."""
    panels = [each for each in page(many).all("details") if each.get("class") == "panel"]
    assert ["open" in each for each in panels] == [True] + [False] * 49


def test_mistakes_are_in_the_order_of_labels() -> None:
    """Each has its label, the truth, the prediction and its confidence."""
    shown = page(
        EVALUATION,
        about("b", "absent", "present", 0.97),
        about("a", "present", "absent", 0.8),
        about("a", "absent", "present", 0.9),
    )
    assert re.findall(r">(\w-0\.\d+)\.png<", shown.html) == ["a-0.9", "a-0.8", "b-0.97"]
    assert (
        "b True absent Predicted present Probability that it is present 97.0% b-0.97.png"
        in spaced(shown.html)
    )
    assert shown.all("img")[2]["alt"] == "Test image b-0.97.png: b is absent, predicted present"


def test_missing_thumbnails_are_not_a_perfect_result() -> None:
    """Only if all labels are correct does the page say that there are no mistakes."""
    assert "This page was rendered without images of mistakes." in page().text
    perfect = replace(EVALUATION, subset_accuracy=MetricValue(1.0))
    assert (
        "None: all known labels of all test images were predicted correctly." in page(perfect).text
    )


def test_hostile_names_are_escaped_everywhere() -> None:
    """Markup in the name of a label is shown as text."""
    result = replace(EVALUATION.per_class[0], name=HOSTILE)
    hostile = replace(EVALUATION, per_class=(result, *EVALUATION.per_class[1:]))
    shown = page(hostile, about(HOSTILE, "absent", "present", 0.9))
    plain = page(EVALUATION, about("a", "absent", "present", 0.9))
    assert [tag for tag, _ in shown.elements] == [tag for tag, _ in plain.elements]
    assert [set(attributes) for _, attributes in shown.elements] == [
        set(attributes) for _, attributes in plain.elements
    ]
    assert shown.text.count(HOSTILE) >= 6


def test_intervals_say_how_they_were_computed() -> None:
    """With groups, it is the cluster bootstrap, and the groups are counted."""
    assert "Intervals are DeLong\u2019s for the AUROC of a label" in page().text
    grouped = page(replace(EVALUATION, groups=3)).text
    assert "Intervals are those of the cluster bootstrap (2,000 resamples)" in grouped
    assert "Measured on 5 unseen test images in 3 groups." in grouped


def test_nothing_measured_is_said() -> None:
    """Without any measured label there are no curves, and the page says why."""
    evaluation = evaluate_labels(
        np.full((2, 2), 0.5), np.zeros((2, 2), np.int64), ("a", "b"), (0.6, 0.6)
    )
    shown = page(evaluation)
    assert "Not measured. Ranking needs a label that some of the 2 test images have" in shown.text
    assert "Not measured: 'a' (no image has it), 'b' (no image has it)." in shown.text
    assert not shown.all("path")


def test_many_unmeasured_labels_are_counted() -> None:
    """Eight are named, the others are counted."""
    names = [f"label {number}" for number in range(12)]
    evaluation = evaluate_labels(
        np.full((2, 12), 0.5), np.zeros((2, 12), np.int64), names, [0.6] * 12
    )
    assert (
        "'label 7' (no image has it) and 4 more, which are last in the table."
        in page(evaluation).text
    )


def test_evaluate_has_the_same_part() -> None:
    """The page of `evaluate` shows the same figures and may run the same script."""
    shown = EvaluationRecord(
        headstart="0.1.0",
        created="2026-11-23T18:00:00+00:00",
        model="runs/x",
        data="new",
        split="all",
        evaluation=EVALUATION,
        temperature=1.0,
        trained_on=(),
        rejected=(),
        warnings=(),
        recorded=None,
    )
    rendered = Page(render_evaluation(shown, multi_part(EVALUATION), []))
    assert "0.833 macro AUROC" in spaced(rendered.html)
    assert "Measured on 5 images." in rendered.text
    assert "This class of the model is not measured" not in rendered.text
    assert len(rendered.all("script")) == 1
    policy = next(m for m in rendered.all("meta") if m.get("http-equiv"))
    assert "script-src 'sha256-" in str(policy["content"])
