"""The table of slices in the terminal."""

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import Row, print_table
from headstart.record import SliceResult, SliceResults, metric_title


def show_slices(console: Console, results: SliceResults | None) -> None:
    """Show each slice with its metrics, worst first, if there are any."""
    if results is None:
        return
    tested, *others = results.metrics
    title = metric_title(tested)
    console.print(f"Slices, lowest {title} first:", markup=False, highlight=False, soft_wrap=True)
    columns = ("column", "value", "images>", f"{title}>", "95% interval>", "p>")
    titles = [f"{metric_title(name)}>" for name in others]
    rows = [_row(one, tested, others) for one in results.slices]
    print_table(console, (*columns, *titles), rows, optional=titles[::-1])


def _row(one: SliceResult, tested: str, others: list[str]) -> Row:
    metric = one.metrics[tested]
    interval = "{:.3f} to {:.3f}".format(*metric.ci95) if metric.ci95 else ""
    values = [_number(one.metrics[name].value) for name in others]
    cells = [one.column, one.title, f"{one.images:,}", _number(metric.value), interval]
    cells += ["" if one.adjusted_p is None else f"{one.adjusted_p:.2g}", *values]
    return [Text(cell, "bold yellow" if one.differs else "") for cell in cells]


def _number(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.3f}"
