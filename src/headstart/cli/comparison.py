"""How a comparison of models is shown in the terminal."""

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import Row, print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.record import metric_title
from headstart.record.comparison import ComparisonRecord, MetricDifference, Pair

_SMALL = 0.001
_LEVEL = 0.05


def show_comparison(console: Console, record: ComparisonRecord) -> None:
    """Show each pair of models: their metrics, the differences, and what they mean."""
    show_rejections(console, record.rejected)
    groups = f" of {record.groups:,} groups" if record.groups else ""
    part = f"{record.split} images" if record.split != "all" else "images"
    print_line(console, f"Compared on {record.images:,} {part}{groups} of '{record.data}'.")
    for pair in record.pairs:
        show_pair(console, pair)


def show_pair(console: Console, pair: Pair) -> None:
    """Show the metrics of two models, their differences, and what these mean."""
    columns = ("metric", f"{pair.first}>", f"{pair.second}>", "difference>", "95% interval")
    print_table(console, (*columns, "p>", "test"), map(_difference_row, pair.differences))
    print_line(console, pair.sentence)
    for one in pair.subsets:
        if one.p is not None and one.p < _LEVEL:
            print_line(
                console,
                f"  {one.column} '{one.value}': {one.second:.1%} of {one.images:,} images against "
                f"{one.first:.1%} (p = {one.p:.3f}, corrected for {len(pair.subsets)} parts).",
            )


def _difference_row(one: MetricDifference) -> Row:
    numbers = (_number(one.first), _number(one.second), _number(one.difference, "+.3f"))
    interval = f"{one.ci95[0]:+.3f} to {one.ci95[1]:+.3f}" if one.ci95 else "\u2013"
    p = "\u2013" if one.p is None else "< 0.001" if one.p < _SMALL else f"{one.p:.3f}"
    return (
        Text(metric_title(one.metric)),
        *map(Text, numbers),
        Text(interval),
        Text(p),
        Text(one.method, "dim"),
    )


def _number(value: float | None, form: str = ".3f") -> str:
    return "\u2013" if value is None else format(value, form)
