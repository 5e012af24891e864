"""Results as tables that a person wants to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headstart.predictor.predictor import Unread
from headstart.record import Candidate, Recommendation, Rejection, Tuning
from headstart.task import Prediction, Summary

if TYPE_CHECKING:
    from headstart.commands.backbones import Listed
    from headstart.commands.cache import CacheInfo
    from headstart.commands.evaluate import EvaluateResult
    from headstart.commands.recommend import RecommendResult
    from headstart.commands.train import TrainResult

_REJECTED = 12


def show_training(console: Console, result: TrainResult) -> None:
    """Show what was chosen from, what was measured, and where it lies."""
    record = result.record
    if record.recommendation:
        _show_tried(console, record.recommendation)
    if len(record.choice) > 1:
        _show_choice(console, record.choice, tuned=record.tuned is not None)
    if record.tuning and record.tuned:
        _show_tuning(console, record.tuning)
    _show_rejections(console, record.rejected)
    if result.summary:
        _show_summary(console, result.summary)
    else:
        _line(console, "Nothing was kept for a test, so how good the model is was not measured.")
    _line(console, f"Done in {record.seconds['total']:.1f} s")
    _line(console, f"  report   {result.run}/report.html")
    _line(console, f"  use it   headstart predict {result.run} IMAGE")


def show_evaluation(console: Console, result: EvaluateResult) -> None:
    """Show what was measured."""
    _show_rejections(console, result.rejected)
    _show_summary(console, result.summary)


def show_predictions(console: Console, predictions: Sequence[Prediction | Unread]) -> None:
    """Show a line for each image."""
    table = _table("image", "label", "probability>", "otherwise")
    for one in predictions:
        if isinstance(one, Unread):
            table.add_row(Text(one.image), Text(f"cannot be read: {one.error}", "red"), "", "")
        else:
            others = ", ".join(f"{name} {other:.0%}" for name, other in one.top[1:3])
            label, share = Text(one.label, "bold"), f"{one.probability:.1%}"
            table.add_row(Text(one.image), label, share, Text(others, "dim"))
    console.print(table)


def show_recommendation(console: Console, result: RecommendResult) -> None:
    """Show what was tried, most accurate first, and which one to take."""
    _show_tried(console, result.recommendation)
    _line(console, f"  picture  {result.run}/report.html")
    source = result.recommendation.weights
    weights = "" if source == "imagenet" else f" --weights {source}"
    _line(console, f"  use it   headstart train DATA --backbone {result.recommended}{weights}")


def show_backbones(console: Console, listed: Sequence[Listed], *, measured: bool) -> None:
    """Show the catalogue."""
    extra = ("images/s>", "cosine>") if measured else ()
    if not listed:
        _line(console, "No backbone of the catalogue has that in its name.")
        return
    table = _table(
        *("name", "family", "parameters>", "MACs>", "image>", "width>", "licence", "here"), *extra
    )
    for one in listed:
        entry = one.entry
        speed, cosine = one.images_per_second, one.cosine
        figures = (f"{speed:,.1f}", f"{cosine:.5f}") if speed and cosine else ()
        table.add_row(
            Text(entry.name, "bold" if one.here else ""),
            entry.family,
            f"{entry.parameters / 1e6:.1f} M",
            f"{entry.macs / 1e9:.2f} G",
            f"{entry.image_size}",
            f"{entry.width:,}",
            _licence(one),
            Text("yes", "green") if one.here else Text("-", "dim"),
            *figures,
        )
    console.print(table)
    _line(console, "Weights that are not here are fetched from the hub when they are first used.")
    if measured:
        _line(console, "Those that are not here were measured with random weights.")


def _licence(one: Listed) -> Text:
    """Name a licence, marked unless it allows commercial use."""
    if one.commercial_use:
        return Text(one.licence)
    if one.licence == "unknown":
        return Text(one.licence, "yellow")
    if one.commercial_use is False:
        return Text(f"{one.licence} (not for commercial use)", "red")
    return Text(f"{one.licence} (may restrict commercial use)", "yellow")


def show_cache(console: Console, info: CacheInfo) -> None:
    """Show what is kept."""
    _line(console, f"Kept in {info.folder}")
    table = _table("backbone", "image size>", "precision", "images>", "size>")
    for one in info.tables:
        about = (one.architecture, one.image_size, one.precision)
        table.add_row(*about, f"{one.images:,}", megabytes(one.bytes))
    if info.tables:
        console.print(table)
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in info.bytes.items())
    _line(console, f"In all: {parts}")


def megabytes(size: int) -> str:
    """Return a size in megabytes."""
    return f"{size / 1e6:,.1f} MB"


def _show_tried(console: Console, recommendation: Recommendation) -> None:
    _line(console, f"Tried on {recommendation.images:,} training images:")
    table = _table(
        *("backbone", "accuracy>", "95 % interval>", "neighbours>", "LogME>", "images/s>", "")
    )
    for one in recommendation.backbones:
        weights = "" if one.weights == "imagenet" else f" ({one.weights})"
        table.add_row(
            Text(f"{one.name}{weights}"),
            f"{one.accuracy:.1%}",
            _interval(one.accuracy_ci95),
            f"{one.knn_accuracy:.1%}",
            f"{one.log_me:.3f}",
            f"{one.images_per_second:,.0f}",
            "← take" if one.taken else "on the front" if one.on_front else "",
            style="bold" if one.taken else "dim",
        )
    console.print(table)
    _line(console, f"{recommendation.recommended}: {recommendation.why}.")


def _show_tuning(console: Console, tuning: Tuning) -> None:
    if tuning.tuned_accuracy is None and not tuning.kept:
        minutes = f"{tuning.seconds / 60:.1f} minutes"
        _line(console, f"Nothing came of fine-tuning {tuning.part} in {minutes}.")
        return
    if tuning.gain_ci95 is None:
        _line(console, f"Fine-tuned {tuning.part} in {tuning.seconds / 60:.1f} minutes.")
        return
    low, high = tuning.gain_ci95
    _line(
        console,
        f"Fine-tuned {tuning.part} in {tuning.seconds / 60:.1f} minutes: "
        f"{tuning.tuned_accuracy:.1%} on {tuning.images:,} held-out images, frozen "
        f"{tuning.probe_accuracy:.1%}; gain {low:+.1%} … {high:+.1%}, "
        f"{tuning.loss_gain_errors:+.1f} standard errors of log loss.",
    )


def _show_choice(console: Console, choice: Sequence[Candidate], *, tuned: bool) -> None:
    taken = "← taken, then fine-tuned" if tuned else "← taken"
    _line(console, "Compared on held-out folds of the training images:")
    table = _table("features", "head", "accuracy>", "95 % interval>", "log loss>", "")
    for one in choice:
        table.add_row(
            one.features,
            one.head,
            f"{one.accuracy:.1%}",
            _interval(one.accuracy_ci95),
            f"{one.log_loss:.3f}",
            taken if one.chosen else "",
            style="bold" if one.chosen else "dim",
        )
    console.print(table)


def _show_summary(console: Console, summary: Summary) -> None:
    headline = Text(summary.headline, style="bold green")
    console.print(headline.append(summary.context, style="default"), soft_wrap=True)
    _line(console, summary.figures)
    table = _table(*summary.columns)
    for row in summary.rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _show_rejections(console: Console, rejected: Sequence[Rejection]) -> None:
    if not rejected:
        return
    _line(console, f"Not used: {len(rejected):,} images")
    table = _table("image", "reason")
    for one in rejected[:_REJECTED]:
        table.add_row(Text(one.image), Text(one.reason))
    if len(rejected) > _REJECTED:
        table.add_row(f"… and {len(rejected) - _REJECTED:,} more")
    console.print(table)


def _table(*columns: str) -> Table:
    """Make a table; a column whose name ends in ">" is aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.endswith(">")
        name = column.removesuffix(">")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _interval(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{low:.1%} … {high:.1%}"


def _line(console: Console, text: str) -> None:
    """Print a line as it is: no markup, no colours guessed, no wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
