"""Tables that show results in the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from headstart.answers import (
    AnyTaskPrediction,
    BoxesPrediction,
    MultiPrediction,
    Prediction,
)
from headstart.cli.columns import Row, print_line, print_table
from headstart.cli.comparison import show_pair
from headstart.cli.rejections import show_rejections
from headstart.cli.slices import show_slices
from headstart.data.pixel_limits import is_too_large
from headstart.predictor.predictor import AnyResult, FailedPrediction
from headstart.record import (
    Candidate,
    Estimate,
    MissingBox,
    Recommendation,
    Record,
    Tuning,
    describe_gain,
)
from headstart.runs.predictions import Counts
from headstart.task import Summary

if TYPE_CHECKING:
    from headstart.commands.backbones import ListedBackbone
    from headstart.commands.cache import CacheInfo
    from headstart.commands.evaluate import EvaluateResult
    from headstart.commands.predict import WrittenPredictions
    from headstart.commands.recommend import RecommendResult
    from headstart.commands.train import TrainResult

_MIN_SHARE = 0.01
_OTHERS = 2
# Boxes that are listed of an image in a terminal.
_BOXES = 4


def show_training(console: Console, result: TrainResult) -> None:
    """Show the candidates, the evaluation and the location of the run."""
    record = result.record
    if record.recommendation:
        _show_trials(console, record.recommendation)
    if len(record.choice) > 1 or any(candidate.val for candidate in record.choice):
        show_candidates(console, record)
    if record.tuning and record.tuned:
        show_tuning(console, record.tuning)
    if record.metric_tuning:
        print_line(console, record.metric_tuning.sentence)
    show_rejections(console, record.rejected)
    if record.leakage:
        print_line(console, record.leakage.message)
    if result.summary:
        _show_summary(console, result.summary)
        show_slices(console, record.reported.slices if record.reported else None)
    else:
        print_line(console, "No images were held out for testing, so the model was not evaluated.")
    for sentence in record.limits.sentences if record.limits else ():
        print_line(console, sentence)
    if record.label_audit and record.label_audit.message:
        print_line(console, record.label_audit.message)
    if record.missing_boxes:
        print_line(console, _missing(record.missing_boxes))
    if record.learning_curve:
        print_line(console, record.learning_curve.sentence)
    if record.compared:
        print_line(console, f"Compared on {record.compared.images:,} test images:")
        for pair in record.compared.pairs:
            show_pair(console, pair)
    print_line(console, _time_spent(result.seconds))
    print_line(console, f"  report   {result.run}/report.html")
    print_line(console, f"  predict  headstart predict {result.run} IMAGE")


def show_evaluation(console: Console, result: EvaluateResult) -> None:
    """Show an evaluation and the images that were not used."""
    show_rejections(console, result.record.rejected)
    _show_summary(console, result.summary)
    show_slices(console, result.evaluation.slices)
    for sentence in result.record.limits.sentences if result.record.limits else ():
        print_line(console, sentence)
    if result.record.comparison:
        print_line(console, result.record.comparison)
    if result.out:
        print_line(console, f"  report  {result.out}/report.html")


def show_predictions(console: Console, predictions: Sequence[AnyResult]) -> None:
    """Show one line per image, and below them the images that cannot be read."""
    read = [result for result in predictions if not isinstance(result, FailedPrediction)]
    failed = [result for result in predictions if isinstance(result, FailedPrediction)]
    if read:
        print_table(console, ("image", *_prediction_columns(read[0])), map(_prediction_row, read))
    _show_counts(console, Counts.of(predictions), failed)


def show_written(console: Console, written: WrittenPredictions) -> None:
    """Show where predictions are and what they say, with some of the images that cannot be read."""
    counts = written.counts
    read = counts.images - counts.unreadable
    noun = "image" if counts.images == 1 else "images"
    print_line(console, f"Predictions of {read:,} of {counts.images:,} {noun}")
    print_line(console, f"  written  {written.out}")
    _show_counts(console, counts, counts.failed)
    if more := counts.unreadable - len(counts.failed):
        print_line(console, f"and {more:,} more, in the column 'error' of {written.out}")


def _show_counts(console: Console, counts: Counts, failed: Sequence[FailedPrediction]) -> None:
    if unknown := counts.unknown:
        noun = "image is" if unknown == 1 else "images are"
        print_line(console, f"{unknown:,} {noun} unlike all training images (unknown).")
    if counts.abstained:
        print_line(
            console, f"No answer to {counts.abstained:,}: the model is not confident enough."
        )
    if failed:
        print_line(console, f"Images that were not read: {counts.unreadable:,}")
        rows = [(Text(result.image), Text(result.error, "red")) for result in failed]
        print_table(console, ("image", "reason"), rows)
    if any(is_too_large(result.error) for result in failed):
        print_line(console, "To read images with more pixels, raise the limit with --max-pixels.")


def _prediction_columns(result: AnyTaskPrediction | BoxesPrediction) -> tuple[str, ...]:
    if isinstance(result, BoxesPrediction):
        return "boxes>", "labels"
    if isinstance(result, MultiPrediction):
        return "labels", "others"
    columns = ("label", "probability>", "other classes")
    return columns if result.prediction_set is None else (*columns, "set")


def _prediction_row(result: AnyTaskPrediction | BoxesPrediction) -> Row:
    if isinstance(result, BoxesPrediction):
        found = _shares([(box.label, box.probability) for box in result.boxes[:_BOXES]])
        more = len(result.boxes) - _BOXES
        labels = f"{found} and {more} more" if more > 0 else found or "none"
        return Text(result.image), Text(str(len(result.boxes)), "bold"), Text(labels)
    if isinstance(result, MultiPrediction):
        rest = [pair for pair in result.top if pair not in result.labels][:_OTHERS]
        labels = _shares(result.labels) or "none"
        if result.unknown:
            return Text(result.image), Text("unknown", "bold yellow"), Text(labels, "dim")
        return Text(result.image), Text(labels, "bold"), Text(_shares(rest), "dim")
    cells = (*_label_cells(result), Text(_shares(result.top[1 : 1 + _OTHERS]), "dim"))
    members = result.prediction_set
    sets = () if members is None else (Text(", ".join(members) or "none"),)
    return (Text(result.image), *cells, *sets)


def _label_cells(result: Prediction) -> tuple[Text, Text]:
    """Return the label and its probability, or why there is none."""
    probability = Text(f"{result.probability:.1%}")
    if result.unknown or result.abstained:
        word = "unknown" if result.unknown else "no answer"
        return Text.assemble((word, "bold yellow"), (f" ({result.label})", "dim")), probability
    return Text(result.label, "bold"), probability


def _shares(labels: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {share:.0%}" for label, share in labels)


def show_recommendation(console: Console, result: RecommendResult, data: str) -> None:
    """Show all trials, most accurate first, the recommended backbone and how to train on it."""
    _show_trials(console, result.recommendation)
    print_line(console, f"  report   {result.run}/report.html")
    source = result.recommendation.weights
    weights = [] if source == "imagenet" else ["--weights", source]
    command = ["headstart", "train", str(data), "--backbone", result.recommended, *weights]
    print_line(console, f"  train    {shlex.join(command)}")


def show_backbones(console: Console, listed: Sequence[ListedBackbone], *, measured: bool) -> None:
    """Show the backbones of the catalogue."""
    if not listed:
        print_line(console, "No backbone in the catalogue matches that text.")
        return
    columns = ["name", "family", "parameters>", "MACs>", "image>", "width>", "licence", "local"]
    columns += ["images/s>", "cosine>"] if measured else []
    optional = ("family", "width>", "MACs>")
    print_table(console, columns, map(_backbone_row, listed), optional=optional)
    print_line(console, "Other weights are downloaded from the hub when first used.")
    if measured:
        print_line(console, "Backbones without local weights were measured with random weights.")


def _backbone_row(row: ListedBackbone) -> Row:
    entry = row.entry
    speed, cosine = row.images_per_second, row.cosine
    figures = (f"{speed:,.1f}", f"{cosine:.5f}") if speed and cosine else ()
    return [
        Text(entry.name, "bold" if row.local else ""),
        Text(entry.family),
        Text(f"{entry.parameters / 1e6:.1f} M"),
        Text(f"{entry.macs / 1e9:.2f} G"),
        Text(f"{entry.image_size}"),
        Text(f"{entry.width:,}"),
        _licence(row),
        Text("yes", "green") if row.local else Text("-", "dim"),
        *map(Text, figures),
    ]


def _licence(row: ListedBackbone) -> Text:
    """Return the licence, highlighted unless it allows commercial use."""
    if row.commercial_use:
        return Text(row.licence)
    if row.licence == "unknown":
        return Text(row.licence, "yellow")
    if row.commercial_use is False:
        return Text(f"{row.licence} (not for commercial use)", "red")
    return Text(f"{row.licence} (may restrict commercial use)", "yellow")


def show_cache(console: Console, info: CacheInfo) -> None:
    """Show the contents of the cache."""
    print_line(console, f"Cache folder: {info.folder}")
    rows = [
        _row(
            *(table.architecture, table.image_size, table.precision),
            *(f"{table.images:,}", megabytes(table.bytes)),
        )
        for table in info.tables
    ]
    if rows:
        columns = ("backbone", "image size>", "precision", "images>", "size>")
        print_table(console, columns, rows)
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in info.bytes.items())
    print_line(console, f"Disk space: {parts}")


def megabytes(size: int) -> str:
    """Format a number of bytes in megabytes."""
    return f"{size / 1e6:,.1f} MB"


def _time_spent(seconds: Mapping[str, float]) -> str:
    """Return the total time and its parts, without those below 1%."""
    total = seconds["total"]
    parts = [
        f"{name} {taken:.1f}"
        for name, taken in seconds.items()
        if name != "total" and taken >= _MIN_SHARE * total
    ]
    return f"Done in {total:.1f} s" + (f": {', '.join(parts)}" if parts else "")


def _show_trials(console: Console, recommendation: Recommendation) -> None:
    part = "validation" if recommendation.compared_on == "val" else "training"
    print_line(console, f"Compared on {recommendation.images:,} {part} images:")
    rows = [
        _row(
            trial.name + ("" if trial.weights == "imagenet" else f" ({trial.weights})"),
            f"{trial.accuracy:.1%}",
            _interval(trial.accuracy_ci95),
            f"{trial.knn_accuracy:.1%}",
            f"{trial.log_me:.3f}",
            f"{trial.images_per_second:,.0f}",
            "← recommended" if trial.taken else "Pareto-optimal" if trial.on_front else "",
            style="bold" if trial.taken else "dim",
        )
        for trial in recommendation.backbones
    ]
    columns = ("backbone", "accuracy>", "95% interval>", "k-NN>", "LogME>", "images/s>", "")
    print_table(console, columns, rows, optional=("LogME>", "k-NN>"))
    print_line(console, f"{recommendation.recommended}: {recommendation.why}.")


def show_tuning(console: Console, tuning: Tuning) -> None:
    """Show what fine-tuning gained, and whether the result was kept."""
    if tuning.tuned_accuracy is None and not tuning.kept:
        minutes = f"{tuning.seconds / 60:.1f} minutes"
        print_line(console, f"Fine-tuning {tuning.part} did not finish an epoch in {minutes}.")
        return
    if tuning.gain_ci95 is None:
        print_line(console, f"Fine-tuned {tuning.part} in {tuning.seconds / 60:.1f} minutes.")
        return
    low, high = tuning.gain_ci95
    kept = "Kept" if tuning.kept else "Not kept"
    print_line(
        console,
        f"Fine-tuned {tuning.part} in {tuning.seconds / 60:.1f} minutes: "
        f"{tuning.tuned_accuracy:.1%} correct on {tuning.images:,} held-out images, against "
        f"{tuning.probe_accuracy:.1%} with the frozen backbone (95% interval of the difference "
        f"{low:+.1%} to {high:+.1%}). {kept}: {describe_gain(tuning)}.",
    )


def show_candidates(console: Console, record: Record) -> None:
    """Show each candidate's estimates on the folds and, if there is one, on the validation part."""
    val = record.choice[0].val
    if val is None:
        print_line(console, "Compared on held-out folds of the training images:")
        accuracy = "accuracy>" if record.task == "single" else "all labels right>"
        columns = [accuracy, "95% interval>", "log loss>"]
    else:
        print_line(
            console,
            f"Compared on held-out folds of {record.choice[0].images:,} training images and on "
            f"{val.images:,} validation images. Chosen: {record.why_chosen or 'by the options'}.",
        )
        columns = ["folds>", "folds 95%>", "folds log loss>", "val>", "val 95%>", "val log loss>"]
    averaged = any(candidate.share is not None for candidate in record.choice)
    columns += ["share>"] if averaged else []
    rows = [_candidate_row(candidate, averaged=averaged) for candidate in record.choice]
    optional = ("folds 95%>", "val 95%>", "share>") if val else ()
    print_table(console, ("features", "head", *columns, ""), rows, optional=optional)


def _candidate_row(candidate: Candidate, *, averaged: bool) -> Row:
    cells = [candidate.features, candidate.head, *_estimate_cells(candidate)]
    cells += _estimate_cells(candidate.val) if candidate.val else []
    cells += [_share(candidate.share)] if averaged else []
    cells += ["← chosen" if candidate.chosen else ""]
    return _row(*cells, style="bold" if candidate.chosen else "dim")


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _estimate_cells(estimate: Candidate | Estimate) -> list[str]:
    interval = _interval(estimate.accuracy_ci95)
    return [f"{estimate.accuracy:.1%}", interval, f"{estimate.log_loss:.3f}"]


def _show_summary(console: Console, summary: Summary) -> None:
    headline = Text(summary.headline, style="bold green")
    console.print(headline.append(summary.context, style="default"), soft_wrap=True)
    print_line(console, summary.figures)
    if summary.note:
        print_line(console, summary.note)
    print_table(console, summary.columns, [_row(*row) for row in summary.rows])
    for sentence in summary.operating:
        print_line(console, sentence)


def _missing(boxes: Sequence[MissingBox]) -> str:
    images = len({one.image for one in boxes})
    return (
        f"Labels may be missing: {len(boxes):,} confident "
        f"{'detection' if len(boxes) == 1 else 'detections'} in {images:,} "
        f"{'image' if images == 1 else 'images'} where nothing is labelled. metrics.json lists "
        "them."
    )


def _row(*cells: object, style: str = "") -> Row:
    return [Text(str(cell), style) for cell in cells]


def _interval(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{low:.1%} to {high:.1%}"
