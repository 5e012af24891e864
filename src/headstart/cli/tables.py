"""Results as tables that a person wants to read."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headstart.classifier import Prediction
from headstart.commands.cache import CacheInfo
from headstart.commands.evaluate import EvaluateResult
from headstart.commands.predict import Unread
from headstart.commands.train import TrainResult
from headstart.evaluation.metrics import ClassResult

_CLASSES = 12


def show_training(console: Console, result: TrainResult) -> None:
    """Show what was chosen from, what was measured, and where it lies."""
    metrics = result.metrics
    if len(metrics["choice"]) > 1:
        console.print(_choice(metrics["choice"]))
    rejected = metrics["data"]["images"]["rejected"]
    if rejected:
        console.print(_rejections([(one["image"], one["reason"]) for one in metrics["rejected"]]))
    if metrics["test"]:
        rows = [_class_row(one) for one in metrics["per_class"]]
        console.print(_measured(metrics["test"], metrics["data"]["classes"], rows))
    else:
        console.print("Nothing was kept for a test, so how good the model is was not measured.")
    run, seconds = result.run, metrics["seconds"]["total"]
    console.print(f"\nDone in {seconds:.1f} s. Report: [bold]{run}/report.html[/]", highlight=False)
    console.print(f"Use it:  headstart predict {run} IMAGE…", highlight=False)


def show_evaluation(console: Console, result: EvaluateResult) -> None:
    """Show what was measured."""
    if result.rejected:
        console.print(_rejections(result.rejected))
    rows = [_class_values(one) for one in result.evaluation.per_class if one.images]
    console.print(_measured(result.evaluation.headline(), result.classes, rows, result.split))


def show_predictions(console: Console, told: Sequence[Prediction | Unread]) -> None:
    """Show a line for each image."""
    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    table.add_column("label", style="bold")
    table.add_column("probability", justify="right")
    table.add_column("else", style="dim")
    for one in told:
        if isinstance(one, Unread):
            table.add_row(Text(one.image), Text(f"cannot be read: {one.error}", "red"), "", "")
        else:
            others = ", ".join(f"{label} {share:.0%}" for label, share in one.top[1:3])
            table.add_row(Text(one.image), Text(one.label), f"{one.probability:.1%}", Text(others))
    console.print(table)


def show_cache(console: Console, info: CacheInfo) -> None:
    """Show what is kept."""
    console.print(f"Kept in {info.folder}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name in ("backbone", "image size", "precision"):
        table.add_column(name)
    table.add_column("images", justify="right")
    table.add_column("size", justify="right")
    for one in info.tables:
        size = str(one.about.get("preprocess", {}).get("size", "?"))
        precision = one.about.get("precision", "?")
        architecture = one.about["architecture"]
        table.add_row(architecture, size, precision, f"{one.images:,}", megabytes(one.bytes))
    if info.tables:
        console.print(table)
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in info.bytes.items())
    console.print(f"In all: {parts}", highlight=False)


def megabytes(size: int) -> str:
    """Give a size in megabytes."""
    return f"{size / 1e6:,.1f} MB"


def _choice(choice: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Chosen on held-out folds of the training images", title_justify="left")
    table.add_column("features")
    table.add_column("head")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right", style="dim")
    table.add_column("log loss", justify="right")
    table.add_column("")
    for one in choice:
        low, high = one["accuracy_ci95"]
        table.add_row(
            one["features"],
            one["head"],
            f"{one['accuracy']:.1%}",
            f"{low:.1%} … {high:.1%}",
            f"{one['log_loss']:.3f}",
            "← taken" if one["chosen"] else "",
            style="bold" if one["chosen"] else None,
        )
    return table


def _measured(
    test: dict[str, Any],
    classes: Sequence[str],
    rows: Sequence[tuple[str, float, float, float, int]],
    split: str = "test",
) -> Table:
    low, high = test["accuracy_ci95"]
    area = "-" if test["auroc"] is None else f"{test['auroc']:.3f}"
    title = (
        f"{test['accuracy']:.1%} right on {test['images']:,} {split} images "
        f"(95 % interval {low:.1%} … {high:.1%})"
    )
    caption = (
        f"AUROC {area} · macro-F1 {test['macro_f1']:.3f} · calibration error {test['ece']:.3f} · "
        f"always telling the commonest class: {test['majority']:.1%}"
    )
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.title_style, table.caption_style = "bold green", "dim"
    table.add_column("class", overflow="fold")
    for name in ("precision", "recall", "F1", "images"):
        table.add_column(name, justify="right")
    hardest = sorted(rows, key=lambda row: row[2])[:_CLASSES] if len(rows) > _CLASSES else rows
    for name, precision, recall, f1, images in hardest:
        table.add_row(Text(name), f"{precision:.1%}", f"{recall:.1%}", f"{f1:.3f}", f"{images:,}")
    if len(hardest) < len(rows):
        table.add_row(f"… the {len(hardest)} hardest of {len(classes)}", "", "", "", "")
    return table


def _rejections(rejected: Sequence[tuple[str, str]]) -> Table:
    table = Table(title=f"Not used: {len(rejected):,} images", title_justify="left")
    table.add_column("image", overflow="fold")
    table.add_column("reason", overflow="fold")
    for image, reason in rejected[:_CLASSES]:
        table.add_row(Text(image), Text(reason))
    if len(rejected) > _CLASSES:
        table.add_row(f"… and {len(rejected) - _CLASSES:,} more", "")
    return table


def _class_row(one: dict[str, Any]) -> tuple[str, float, float, float, int]:
    return one["class"], one["precision"], one["recall"], one["f1"], one["images"]


def _class_values(one: ClassResult) -> tuple[str, float, float, float, int]:
    return one.name, one.precision, one.recall, one.f1, one.images
