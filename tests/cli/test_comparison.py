"""A comparison of models in the terminal."""

import io
from dataclasses import replace

from rich.console import Console

from headstart.cli.comparison import show_comparison
from headstart.record.comparison import ComparisonRecord, MetricDifference, Pair


def pair(p: float | None, difference: float | None, adjusted: float | None) -> Pair:
    """Return a comparison of 10 images by accuracy and an undefined metric."""
    accuracy = MetricDifference("accuracy", 0.5, 0.7, difference, (0.01, 0.39), p, "McNemar")
    area = MetricDifference("auroc", None, None, None, None, None, "undefined")
    return Pair("runs/a", "runs/b", 4, 1, 3, 2, (accuracy, area), adjusted)


def shown(*pairs: Pair) -> str:
    """Return what is printed."""
    console = Console(file=io.StringIO(), width=120)
    names = ("runs/a", "runs/b")
    record = ComparisonRecord(
        *("1", "now", names, "photos", "test", 10, 4, ("x", "y"), (), pairs, (), ())
    )
    show_comparison(console, record)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_metrics_differences_and_a_sentence() -> None:
    """Undefined values are dashes, and small p-values are not zero."""
    text = shown(pair(0.0001, 0.2, 0.0001))
    assert "Compared on 10 test images of 4 groups of 'photos'." in text
    assert "+0.200   +0.010 to +0.390   < 0.001   McNemar" in text
    assert "AUROC" in text
    assert (
        "The accuracy of 'runs/b' is higher than that of 'runs/a' (p < 0.001): 3 images only "
        "'runs/b' predicts correctly, 1 only 'runs/a'." in text
    )


def test_what_may_be_chance_is_not_called_better() -> None:
    """The corrected p-value decides."""
    chance = replace(pair(0.04, 0.2, 0.0804), compared=3)
    expected = "no more than chance may explain (p = 0.080, corrected for 3 pairs)"
    assert expected in shown(chance)
    assert "is lower than that of 'runs/a' (p = 0.010)" in shown(pair(0.01, -0.2, 0.01))
    assert "cannot be compared" in shown(pair(None, None, None))
