"""Results as tables that a person wants to read."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headstart.classifier import Prediction
from headstart.commands.backbones import Listed
from headstart.commands.cache import CacheInfo
from headstart.commands.evaluate import EvaluateResult
from headstart.commands.predict import Unread
from headstart.commands.recommend import Recommendation
from headstart.commands.train import TrainResult
from headstart.record import ClassResult

_CLASSES = 12


def show_training(console: Console, result: TrainResult) -> None:
    """Show what was chosen from, what was measured, and where it lies."""
    metrics = result.metrics
    if metrics["recommendation"]:
        _show_tried(console, metrics["recommendation"])
    if len(metrics["choice"]) > 1:
        _show_choice(console, metrics["choice"], tuned=bool(metrics["tuned"]))
    if metrics["tuned"]:
        _show_tuning(console, metrics["tuning"])
    _show_rejections(console, [(one["image"], one["reason"]) for one in metrics["rejected"]])
    if metrics["test"]:
        rows = [_class_row(one) for one in metrics["per_class"]]
        _show_measured(console, metrics["test"], rows, "test")
    else:
        _line(console, "Nothing was kept for a test, so how good the model is was not measured.")
    _line(console, f"Done in {metrics['seconds']['total']:.1f} s")
    _line(console, f"  report   {result.run}/report.html")
    _line(console, f"  use it   headstart predict {result.run} IMAGE")


def show_evaluation(console: Console, result: EvaluateResult) -> None:
    """Show what was measured."""
    _show_rejections(console, result.rejected)
    rows = [_class_values(one) for one in result.evaluation.per_class if one.images]
    split = "" if result.split == "all" else result.split
    _show_measured(console, result.evaluation.headline(), rows, split)


def show_predictions(console: Console, told: Sequence[Prediction | Unread]) -> None:
    """Show a line for each image."""
    table = _table("image", "label", "probability>", "otherwise")
    for one in told:
        if isinstance(one, Unread):
            table.add_row(Text(one.image), Text(f"cannot be read: {one.error}", "red"), "", "")
        else:
            others = ", ".join(f"{name} {other:.0%}" for name, other in one.top[1:3])
            label, share = Text(one.label, "bold"), f"{one.probability:.1%}"
            table.add_row(Text(one.image), label, share, Text(others, "dim"))
    console.print(table)


def show_recommendation(console: Console, result: Recommendation) -> None:
    """Show what was tried, most accurate first, and which one to take."""
    _show_tried(console, result.summary())
    if result.run is not None:
        _line(console, f"  picture  {result.run}/report.html")
    weights = "" if result.weights == "imagenet" else f" --weights {result.weights}"
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
            one.licence,
            Text("yes", "green") if one.here else Text("-", "dim"),
            *figures,
        )
    console.print(table)
    _line(console, "Weights that are not here are fetched from the hub when they are first used.")
    if measured:
        _line(console, "Those that are not here were measured with random weights.")


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
    """Give a size in megabytes."""
    return f"{size / 1e6:,.1f} MB"


def _show_tried(console: Console, recommendation: dict[str, Any]) -> None:
    _line(console, f"Tried on {recommendation['images']:,} training images:")
    table = _table(
        *("backbone", "accuracy>", "95 % interval>", "neighbours>", "LogME>", "images/s>", "")
    )
    for one in recommendation["backbones"]:
        weights = "" if one["weights"] == "imagenet" else f" ({one['weights']})"
        table.add_row(
            Text(f"{one['name']}{weights}"),
            f"{one['accuracy']:.1%}",
            _interval(one["accuracy_ci95"]),
            f"{one['knn_accuracy']:.1%}",
            f"{one['log_me']:.3f}",
            f"{one['images_per_second']:,.0f}",
            "← take" if one["taken"] else "on the front" if one["on_front"] else "",
            style="bold" if one["taken"] else "dim",
        )
    console.print(table)
    _line(console, f"{recommendation['recommended']}: {recommendation['why']}.")


def _show_tuning(console: Console, tuning: dict[str, Any]) -> None:
    if tuning["tuned_accuracy"] is None and not tuning["kept"]:
        minutes = f"{tuning['seconds'] / 60:.1f} minutes"
        _line(console, f"Nothing came of fine-tuning {tuning['part']} in {minutes}.")
        return
    if tuning["gain_ci95"] is None:
        _line(console, f"Fine-tuned {tuning['part']} in {tuning['seconds'] / 60:.1f} minutes.")
        return
    low, high = tuning["gain_ci95"]
    _line(
        console,
        f"Fine-tuned {tuning['part']} in {tuning['seconds'] / 60:.1f} minutes: "
        f"{tuning['tuned_accuracy']:.1%} on {tuning['images']:,} held-out images, frozen "
        f"{tuning['probe_accuracy']:.1%}; gain {low:+.1%} … {high:+.1%}, "
        f"{tuning['loss_gain_errors']:+.1f} standard errors of log loss.",
    )


def _show_choice(console: Console, choice: Sequence[dict[str, Any]], *, tuned: bool) -> None:
    taken = "← taken, then fine-tuned" if tuned else "← taken"
    _line(console, "Compared on held-out folds of the training images:")
    table = _table("features", "head", "accuracy>", "95 % interval>", "log loss>", "")
    for one in choice:
        table.add_row(
            one["features"],
            one["head"],
            f"{one['accuracy']:.1%}",
            _interval(one["accuracy_ci95"]),
            f"{one['log_loss']:.3f}",
            taken if one["chosen"] else "",
            style="bold" if one["chosen"] else "dim",
        )
    console.print(table)


def _show_measured(
    console: Console,
    test: dict[str, Any],
    rows: Sequence[tuple[str, float, float, float, int]],
    split: str,
) -> None:
    right = Text(f"{test['accuracy']:.1%} right", style="bold green")
    images = f"{test['images']:,} {split} images".replace("  ", " ")
    console.print(
        right.append(f" on {images}, 95 % interval ", style="default").append(
            _interval(test["accuracy_ci95"])
        ),
        soft_wrap=True,
    )
    area = "not defined" if test["auroc"] is None else f"{test['auroc']:.3f}"
    _line(
        console,
        f"AUROC {area} · macro-F1 {test['macro_f1']:.3f} · calibration error {test['ece']:.3f} · "
        f"always telling the commonest class: {test['majority']:.1%}",
    )
    table = _table("class", "precision>", "recall>", "F1>", "images>")
    hardest = sorted(rows, key=lambda row: row[2])[:_CLASSES] if len(rows) > _CLASSES else rows
    for name, precision, recall, f1, count in hardest:
        table.add_row(Text(name), f"{precision:.1%}", f"{recall:.1%}", f"{f1:.3f}", f"{count:,}")
    if len(hardest) < len(rows):
        table.add_row(f"… the {len(hardest)} hardest of {len(rows)}")
    console.print(table)


def _show_rejections(console: Console, rejected: Sequence[tuple[str, str]]) -> None:
    if not rejected:
        return
    _line(console, f"Not used: {len(rejected):,} images")
    table = _table("image", "reason")
    for image, reason in rejected[:_CLASSES]:
        table.add_row(Text(image), Text(reason))
    if len(rejected) > _CLASSES:
        table.add_row(f"… and {len(rejected) - _CLASSES:,} more")
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


def _class_row(one: dict[str, Any]) -> tuple[str, float, float, float, int]:
    return one["class"], one["precision"], one["recall"], one["f1"], one["images"]


def _class_values(one: ClassResult) -> tuple[str, float, float, float, int]:
    return one.name, one.precision, one.recall, one.f1, one.images
