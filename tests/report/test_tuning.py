"""The drawings of a fine-tuning: what they show, and that no measurement can break them."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.record import Tuning
from headstart.report import tuning as drawings
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
    return drawings.tuning_panels(read(of))


def tuning_gain(of: dict[str, Any] | None) -> Gain | None:
    return drawings.tuning_gain(read(of))


def shown(of: dict[str, Any]) -> Page:
    return page(of=metrics(tuning=of))


def test_loss_accuracy_and_learning_rate_are_drawn_beside_the_table() -> None:
    """Three pictures, each told in words for who does not see it; the numbers stay."""
    html = shown(tuning())
    told = [svg["aria-label"] for svg in html.all("svg") if svg.get("aria-label")]
    loss, accuracy, rate = told
    assert loss == (
        "Loss by epoch, from 1 to 5. Training: first 1.00, last 0.20. "
        "Held-out: first 0.50, last 0.50."
    )
    assert accuracy == (
        "Held-out accuracy (%) by epoch, from 1 to 5. Tuned: first 90.0, last 90.0. "
        "Frozen model: 87.8."
    )
    assert rate == "Learning rate by epoch, from 1 to 5. Learning rate: first 2e-4, last 4e-5."
    assert "What each epoch did" in html.text
    assert html.unbalanced == []


def test_the_frozen_model_is_a_dashed_line_below_what_beats_it() -> None:
    """A glance tells whether tuning ever was better."""
    _, accuracy, _ = tuning_panels(tuning())
    assert accuracy.frozen is not None
    assert all(place.y < accuracy.frozen for place in accuracy.curves[0].places)


def test_one_epoch_is_a_dot_in_the_middle() -> None:
    """There is no line through one point, and nothing is divided by zero."""
    for panel in tuning_panels(tuning(epoch(1))):
        assert all(place.x == WIDTH / 2 for curve in panel.curves for place in curve.places)
        assert [mark.label for mark in panel.epochs] == ["1"]
    assert shown(tuning(epoch(1))).all("circle")


def test_a_hundred_epochs_have_few_marks_and_no_dots() -> None:
    """The picture stays readable."""
    loss, *_ = tuning_panels(tuning(*map(epoch, range(1, 101))))
    assert [mark.label for mark in loss.epochs] == ["1", "20", "40", "60", "80", "100"]
    assert not loss.dotted


def test_no_line_is_drawn_over_an_epoch_without_a_loss() -> None:
    """What was not finite is a gap, never a zero."""
    bad = [epoch(1), epoch(2), epoch(3, val_loss=math.nan), epoch(4, val_loss=math.inf), epoch(5)]
    loss, *_ = tuning_panels(tuning(*bad))
    assert [len(piece) for piece in loss.curves[1].pieces] == [2, 1]
    assert len(loss.curves[0].places) == 5


def test_a_panel_without_a_finite_value_is_left_out() -> None:
    """An empty frame would say nothing."""
    lost = [epoch(number, train_loss=math.nan, val_loss=math.nan) for number in (1, 2)]
    titles = [panel.title for panel in tuning_panels(tuning(*lost))]
    assert titles == ["Held-out accuracy (%)", "Learning rate"]


def test_without_an_epoch_there_is_neither_picture_nor_table() -> None:
    """A training that ended in its first epoch still says why."""
    html = shown(tuning(epochs=[], stopped="the time was up"))
    assert "It ended early: the time was up." in html.text
    assert "What each epoch did" not in html.text


finite = st.floats(0, 1e6, allow_nan=False)
anything = finite | st.sampled_from([math.nan, math.inf, -math.inf])


@given(
    losses=st.lists(st.tuples(anything, anything), min_size=1, max_size=30),
    accuracy=st.floats(0, 1),
    frozen=st.floats(0, 1) | st.just(math.nan),
    rate=st.floats(0, 1),
)
def test_everything_lies_within_its_frame(
    losses: list[tuple[float, float]], accuracy: float, frozen: float, rate: float
) -> None:
    """Whatever was measured, no dot leaves the picture and no scale passes 100 %."""
    epochs = [
        epoch(number, train_loss=one, val_loss=two, val_accuracy=accuracy, learning_rate=rate)
        for number, (one, two) in enumerate(losses, 1)
    ]
    for panel in tuning_panels(tuning(*epochs, probe_accuracy=frozen)):
        assert len(panel.levels) <= 9
        assert all(within(place.x, place.y) for curve in panel.curves for place in curve.places)
        if "accuracy" in panel.title:
            assert highest(panel) <= 100


def within(x: float, y: float) -> bool:
    return -0.01 <= x <= WIDTH + 0.01 and -0.01 <= y <= HEIGHT + 0.01


def highest(panel: Panel) -> float:
    return max(float(mark.label) for mark in panel.levels)


def test_gain_is_shown_with_its_interval_and_its_price() -> None:
    """What tuning brought, how sure that is, and what it cost."""
    text = spaced(shown(tuning()).html)
    assert "Gain in accuracy +3.5 points 95 % interval +1.3 to +5.8 Price 12.4 minutes" in text


def test_a_loss_has_a_minus_and_lies_left_of_zero() -> None:
    """A worse model is not drawn as a gain."""
    worse = tuning(tuned_accuracy=0.8731, gain_ci95=[-0.021, 0.012], kept=False)
    assert "\u22120.5 points 95 % interval \u22122.1 to +1.2" in spaced(shown(worse).html)
    gain = tuning_gain(worse)
    assert gain is not None
    assert 0 < gain.band[0] < gain.at < gain.zero < gain.band[1] < 1


@pytest.mark.parametrize("bounds", [[math.nan, 0.1], None])
def test_an_unmeasured_gain_is_not_drawn(bounds: list[float] | None) -> None:
    """Of one held-out image there is no interval."""
    assert tuning_gain(tuning(gain_ci95=bounds)) is None
    assert "Gain in accuracy" not in shown(tuning(gain_ci95=bounds)).text


def test_what_a_newer_training_records_is_shown() -> None:
    """Blend, head, timed settings and the size of the store, where they are known."""
    more = {
        "head": "linear",
        "setting": {"name": "bf16", "images_per_second": {"float32": 4.12, "bf16": 77.9}},
        "store_bytes": 1_830_000_000,
    }
    text = spaced(shown(tuning(**more)).html)
    assert "Tuned head linear Stored for it 1.8 GB" in text
    assert "Trained in bf16 Timed, in images per second: float32 4.1, bf16 78" in text


def test_a_blend_of_heads_is_explained() -> None:
    """The reader learns what was averaged."""
    text = spaced(shown(tuning(head="blend")).html)
    assert "Tuned head blend mean of the head trained along and the refitted one" in text


def test_an_older_training_is_shown_without_them() -> None:
    """Pages of runs from before these were recorded can still be made."""
    text = shown(tuning()).text
    assert not re.search("Tuned head|Weights interpolated|Trained in|Stored for it", text)


def test_hostile_names_stay_text() -> None:
    """Markup in a part, a head or a setting never becomes an element."""
    setting = {"name": HOSTILE, "images_per_second": {HOSTILE: 1.0}}
    html = shown(tuning(part=HOSTILE, head=HOSTILE, setting=setting, stopped=HOSTILE))
    assert not html.all("script")
    assert html.text.count(HOSTILE) == 5
