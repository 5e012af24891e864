"""How the evaluation of a gallery is shown in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import Row, print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.record.estimates import MetricValue
from headstart.record.gallery_evaluation import GalleryEvaluation

_LABELS, _CONFUSIONS = 10, 5


def show_gallery_evaluation(
    console: Console, record: GalleryEvaluation, *, out: Path | None = None
) -> None:
    """Show the measures with their intervals, the worst labels, and what to know about them.

    Args:
        console: Where to print.
        record: The evaluation.
        out: The folder that was written, if any.
    """
    show_rejections(console, record.rejected)
    queries = record.measures.queries
    among = "among the others" if record.data is None else f"from '{record.data}'"
    groups = f" in {queries.groups:,} groups" if queries.groups is not None else ""
    print_line(
        console,
        f"Looked up {queries.images:,} images{groups} {among}: {queries.known:,} of enrolled "
        f"labels, {queries.strangers:,} of strangers. The gallery has {record.enrolled:,} images "
        f"of {record.labels:,} labels.",
    )
    print_table(console, ("measure", "value>", "95% interval"), _measure_rows(record))
    _show_labels(console, record)
    for note in record.notes:
        print_line(console, note)
    if out:
        print_line(console, f"  report   {out}/report.html")


def _measure_rows(record: GalleryEvaluation) -> Iterator[Row]:
    measures, own = record.measures, record.measures.own_limit
    yield _row("recall@1", measures.recall_at_1)
    yield _row("recall@5", measures.recall_at_5)
    yield _row("recall@10", measures.recall_at_10)
    yield _row("mAP@R", measures.map_at_r)
    for one in measures.open_set.identified:
        yield _row(f"identified at {one.false_accepts:.0%} false accepts", one.rate)
    limit = "without a limit" if own.distance is None else f"at the limit of {own.distance:.3f}"
    yield _row(f"answered right {limit}", own.right)
    yield _row(f"answered wrong {limit}", own.wrong)
    yield _row(f"called unknown {limit}", own.unknown)
    yield _row(f"strangers called unknown {limit}", own.strangers_unknown)


def _row(name: str, metric: MetricValue) -> Row:
    value = "\u2013" if metric.value is None else f"{metric.value:.1%}"
    interval = f"{metric.ci95[0]:.1%} to {metric.ci95[1]:.1%}" if metric.ci95 else "\u2013"
    return Text(name), Text(value), Text(interval)


def _show_labels(console: Console, record: GalleryEvaluation) -> None:
    """Show the labels that are found worst, and with which others they are confused."""
    missed = [one for one in record.measures.per_label if one.recall_at_1 < 1]
    if not missed:
        print_line(console, "Every label is found for each of its images.")
        return
    rows = [
        [Text(one.label), Text(f"{one.recall_at_1:.1%}"), Text(f"{one.images:,}")]
        for one in missed[:_LABELS]
    ]
    print_table(console, ("worst labels", "recall@1>", "images>"), rows)
    if len(missed) > _LABELS:
        print_line(console, f"… and {len(missed) - _LABELS:,} more with --json")
    confusions = record.measures.confusions[:_CONFUSIONS]
    listed = "; ".join(
        f"'{one.found}' found for '{one.label}', {one.count:,} of {one.images:,}"
        for one in confusions
    )
    print_line(console, f"Most often confused: {listed}.")
