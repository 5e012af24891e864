"""The plots of fine-tuning: their content, and their robustness to any measurement."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.record import Tuning
from headstart.report import render_report
from headstart.report import tuning as plots
from headstart.report.tuning import HEIGHT, WIDTH, Gain, Panel
from tests.report.test_page import HOSTILE, Page, metrics, page, record, spaced


def epoch(number: int, **changes: float) -> dict[str, Any]:
    values = {
        "step": 9 * number,
        "epoch": number,
        "train_loss": 1 / number,
        "val_loss": 0.5,
        "val_accuracy": 0.9,
    }
    return values | {"learning_rate": 2e-4 / number, "seconds": 3.0} | changes


def tuning(*epochs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    solar = {
        "part": "stages:2",
        "kept": True,
        "images": 394,
        "probe_accuracy": 0.8782,
        "tuned_accuracy": 0.9137,
        "gain_ci95": [0.0127, 0.0583],
        "probe_log_loss": 0.302,
        "tuned_log_loss": 0.248,
        "seconds": 742.0,
        "stopped": None,
        "epochs": list(epochs or map(epoch, range(1, 6))),
    }
    return solar | changes


def read(of: dict[str, Any] | None) -> Tuning | None:
    return record(metrics(tuning=of)).tuning


def tuning_panels(of: dict[str, Any] | None) -> list[Panel]:
    return plots.tuning_panels(read(of))


def tuning_gain(of: dict[str, Any] | None) -> Gain | None:
    return plots.tuning_gain(read(of))


def shown(of: dict[str, Any]) -> Page:
    return page(of=metrics(tuning=of))


def test_loss_accuracy_and_learning_rate_are_plotted() -> None:
    """There are three plots with descriptions for screen readers, and a table."""
    html = shown(tuning())
    descriptions = [svg["aria-label"] for svg in html.all("svg") if svg.get("aria-label")]
    loss, accuracy, rate = descriptions
    assert loss == (
        "Loss by epoch, from 1 to 5. Training: first 1.00, last 0.20. "
        "Held-out: first 0.50, last 0.50."
    )
    assert accuracy == (
        "Held-out accuracy (%) by epoch, from 1 to 5. Tuned: first 90.0, last 90.0. "
        "Frozen model: 87.8."
    )
    assert rate == "Learning rate by epoch, from 1 to 5. Learning rate: first 2e-4, last 4e-5."
    assert "Results by epoch" in html.text
    assert html.unbalanced == []


def test_the_frozen_model_is_a_line_below_better_epochs() -> None:
    """Better epochs are above the line of the frozen model."""
    _, accuracy, _ = tuning_panels(tuning())
    assert accuracy.frozen is not None
    assert all(point.y < accuracy.frozen for point in accuracy.curves[0].points)


def test_one_epoch_is_a_dot_in_the_middle() -> None:
    """A single point has no line and does not divide by zero."""
    for panel in tuning_panels(tuning(epoch(1))):
        assert all(point.x == WIDTH / 2 for curve in panel.curves for point in curve.points)
        assert [tick.label for tick in panel.x_ticks] == ["1"]
    assert shown(tuning(epoch(1))).all("circle")


def test_a_hundred_epochs_have_few_ticks_and_no_dots() -> None:
    """Plots of many epochs stay readable."""
    loss, *_ = tuning_panels(tuning(*map(epoch, range(1, 101))))
    assert [tick.label for tick in loss.x_ticks] == ["1", "20", "40", "60", "80", "100"]
    assert not loss.dotted


def test_epochs_without_a_finite_loss_are_gaps() -> None:
    """A value that is not finite is a gap, not a zero."""
    bad = [epoch(1), epoch(2), epoch(3, val_loss=math.nan), epoch(4, val_loss=math.inf), epoch(5)]
    loss, *_ = tuning_panels(tuning(*bad))
    assert [len(segment) for segment in loss.curves[1].segments] == [2, 1]
    assert len(loss.curves[0].points) == 5


def test_a_panel_without_a_finite_value_is_left_out() -> None:
    """Empty plots are not drawn."""
    epochs = [epoch(number, train_loss=math.nan, val_loss=math.nan) for number in (1, 2)]
    titles = [panel.title for panel in tuning_panels(tuning(*epochs))]
    assert titles == ["Held-out accuracy (%)", "Learning rate"]


def test_without_epochs_there_are_no_plots_and_no_table() -> None:
    """A training that ended in its first epoch has the reason."""
    html = shown(tuning(epochs=[], stopped="the time limit was reached"))
    assert "Fine-tuning ended early: the time limit was reached." in html.text
    assert "Results by epoch" not in html.text


finite = st.floats(0, 1e6, allow_nan=False)
anything = finite | st.sampled_from([math.nan, math.inf, -math.inf])


@given(
    losses=st.lists(st.tuples(anything, anything), min_size=1, max_size=30),
    accuracy=st.floats(0, 1),
    frozen=st.floats(0, 1) | st.just(math.nan),
    rate=st.floats(0, 1),
)
def test_all_points_are_within_the_plot(
    losses: list[tuple[float, float]], accuracy: float, frozen: float, rate: float
) -> None:
    """Whatever was measured, points are inside the plot, and accuracies are at most 100%."""
    epochs = [
        epoch(
            number,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=accuracy,
            learning_rate=rate,
        )
        for number, (train_loss, val_loss) in enumerate(losses, 1)
    ]
    for panel in tuning_panels(tuning(*epochs, probe_accuracy=frozen)):
        assert len(panel.y_ticks) <= 9
        assert all(within(point.x, point.y) for curve in panel.curves for point in curve.points)
        if "accuracy" in panel.title:
            assert highest(panel) <= 100


def within(x: float, y: float) -> bool:
    return -0.01 <= x <= WIDTH + 0.01 and -0.01 <= y <= HEIGHT + 0.01


def highest(panel: Panel) -> float:
    return max(float(tick.label) for tick in panel.y_ticks)


def test_gain_is_shown_with_its_interval_and_duration() -> None:
    """The gain has its interval and the duration of fine-tuning."""
    text = spaced(shown(tuning()).html)
    assert "Gain in accuracy +3.5 points 95% interval +1.3 to +5.8 Duration 12.4 minutes" in text


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (
            {"loss_gain_errors": 2.31},
            (
                "Yes: the fine-tuned model is used. Fine-tuning continued the training of the last "
                "2 stages of the network. Two models were compared on 394 training images that "
                "were held out for this purpose: one with the original (frozen) network, and one "
                "with the fine-tuned network. Their accuracy was 87.8% and 91.4%: the "
                "fine-tuned model is better by 14 images in 394. Their log loss, "
                "which measures the predicted probabilities (lower is better), was 0.302 and "
                "0.248. The difference in log loss is 2.3 times its standard error, so it is "
                "probably not due to chance. By default, the fine-tuned model is used if its log "
                "loss is lower and its accuracy is not lower."
            ),
        ),
        (
            {"kept": False, "part": "stages:1", "why_not": "did not lower the log loss"},
            (
                "No: fine-tuning the last stage of the network did not lower the log loss, so the "
                "original network is used."
            ),
        ),
        (
            {"kept": False, "part": "all", "tuned_accuracy": None, "stopped": "it was interrupted"},
            (
                "No: fine-tuning the whole network did not complete a single epoch, because it was "
                "interrupted. The original network is used."
            ),
        ),
        (
            {"part": "layers:10", "probe_accuracy": None},
            (
                "Unknown: fine-tuning the last 10 layers of the network used all training images, "
                "and the recipe keeps its result in any case"
            ),
        ),
        ({"loss_gain_errors": -0.42}, "0.4 times its standard error, so it may be due to chance."),
    ],
)
def test_the_result_is_explained(changes: dict[str, Any], sentences: str) -> None:
    """The answer, the comparison behind it and the rule are given in full sentences."""
    assert sentences in spaced(shown(tuning(**changes)).html)


def test_a_comparison_on_the_validation_part_says_so() -> None:
    """The held-out images are those of the validation part if it decided."""
    decided = replace(record(metrics(tuning=tuning())), val_used_for=("tuning",))
    html = render_report(decided, None, [])
    assert "Two models were compared on 394 validation images: one with the original" in html


def test_a_negative_gain_is_left_of_zero() -> None:
    """A negative gain has a minus sign."""
    worse = tuning(tuned_accuracy=0.8731, gain_ci95=[-0.021, 0.012], kept=False)
    assert "\u22120.5 points 95% interval \u22122.1 to +1.2" in spaced(shown(worse).html)
    gain = tuning_gain(worse)
    assert gain is not None
    low, high = gain.interval_positions
    assert 0 < low < gain.value_position < gain.zero_position < high < 1


@pytest.mark.parametrize("bounds", [[math.nan, 0.1], None])
def test_a_gain_without_interval_is_not_shown(bounds: list[float] | None) -> None:
    """For example, one held-out image gives no interval."""
    assert tuning_gain(tuning(gain_ci95=bounds)) is None
    assert "Gain in accuracy" not in shown(tuning(gain_ci95=bounds)).text


def test_optional_values_are_shown() -> None:
    """The head, the timed settings and the size of the store are shown if known."""
    more = {
        "head": "linear",
        "setting": {"name": "bf16", "images_per_second": {"float32": 4.12, "bf16": 77.9}},
        "store_bytes": 1_830_000_000,
    }
    text = spaced(shown(tuning(**more)).html)
    assert "Classifier linear Disk space 1.8 GB stored output of the frozen layers" in text
    assert "Measured images per second: 4.1 with float32; 78 with bf16" in text


def test_a_blend_of_heads_is_explained() -> None:
    """The page says which heads were averaged."""
    text = spaced(shown(tuning(head="blend")).html)
    assert (
        "Classifier blend average of two: trained together with the network, and fitted afterwards"
        in text
    )
    text = spaced(shown(tuning(head="stack")).html)
    assert "Classifier stack average of the original model's heads, fitted again" in text


def test_missing_optional_values_are_omitted() -> None:
    """Runs of older versions, which do not record these values, can be rendered."""
    text = shown(tuning()).text
    assert not re.search("Classifier|Weights interpolated|Training steps|Disk space", text)


def test_hostile_names_are_escaped() -> None:
    """Markup in a part, a head or a setting is shown as text."""
    setting = {"name": HOSTILE, "images_per_second": {HOSTILE: 1.0}}
    html = shown(tuning(part=HOSTILE, head=HOSTILE, setting=setting, stopped=HOSTILE))
    assert html.all("script") == [{}]
    assert html.text.count(HOSTILE) == 5
