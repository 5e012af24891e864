"""How a comparison of models is shown in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import Row, print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.record import metric_title
from headstart.record.comparison import ComparisonRecord, MetricDifference, Pair

_SMALL = 0.001
_LEVEL, _FEW = 0.05, 12


def show_comparison(
    console: Console, record: ComparisonRecord, *, written: Path | None = None
) -> None:
    """Show each pair of models: their metrics, the differences, and what they mean.

    Args:
        console: Where to print.
        record: The comparison.
        written: The page that was written, if any.
    """
    show_rejections(console, record.rejected)
    groups = f" of {record.groups:,} groups" if record.groups else ""
    part = f"{record.split} images" if record.split != "all" else "images"
    print_line(console, f"Compared on {record.images:,} {part}{groups} of '{record.data}'.")
    for pair in record.pairs:
        show_pair(console, pair)
    if written:
        print_line(console, f"  page  {written}")


def show_pair(console: Console, pair: Pair) -> None:
    """Show the metrics of two models, their differences, and what these mean."""
    columns = ("metric", f"{pair.first}>", f"{pair.second}>", "difference>", "95% interval")
    print_table(console, (*columns, "p>", "test"), map(_difference_row, pair.differences))
    print_line(console, pair.sentence)
    _show_subsets(console, pair)


def _show_subsets(console: Console, pair: Pair) -> None:
    """Show each class and slice; of many, those that differ by more than chance."""
    parts = [
        one
        for one in pair.subsets
        if len(pair.subsets) <= _FEW or (one.p is not None and one.p < _LEVEL)
    ]
    if not parts:
        return
    corrected = f" (p is corrected for {len(pair.subsets)})" if len(pair.subsets) > 1 else ""
    print_line(console, f"Correct in parts of the images{corrected}:")
    rows = [
        [
            *(Text(f"{one.column} '{one.value}'"), Text(f"{one.images:,}")),
            *(Text(f"{one.first:.1%}"), Text(f"{one.second:.1%}"), Text(_p(one.p))),
        ]
        for one in parts
    ]
    columns = ("part", "images>", f"{pair.first}>", f"{pair.second}>", "p>")
    print_table(console, columns, rows)


def _difference_row(one: MetricDifference) -> Row:
    numbers = (_number(one.first), _number(one.second), _number(one.difference, "+.3f"))
    interval = f"{one.ci95[0]:+.3f} to {one.ci95[1]:+.3f}" if one.ci95 else "\u2013"
    return (
        Text(metric_title(one.metric)),
        *map(Text, numbers),
        Text(interval),
        Text(_p(one.p)),
        Text(one.method, "dim"),
    )


def _number(value: float | None, form: str = ".3f") -> str:
    return "\u2013" if value is None else format(value, form)


def _p(value: float | None) -> str:
    if value is None:
        return "\u2013"
    return "< 0.001" if value < _SMALL else f"{value:.3f}"
