"""Predictions on stdout, or written to a file with a summary on stdout."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from headstart.cli.columns import print_line
from headstart.cli.json_output import print_json, print_json_list
from headstart.cli.tables import show_predictions, show_written
from headstart.commands.predict import predict_to_file, run_prediction, was_read
from headstart.options import PredictOptions
from headstart.watching import Watcher


def print_predictions(
    console: Console,
    model: Path,
    images: Sequence[str],
    options: PredictOptions,
    watcher: Watcher,
    *,
    json_: bool,
) -> bool:
    """Predict and print all results; return what `was_read` returns."""
    predictions = run_prediction(model, images, options, watcher)
    if json_:
        print_json([prediction.to_json() for prediction in predictions])
    else:
        show_predictions(console, predictions)
        _show_pictures(console, options)
    return was_read(predictions, images)


def write_predictions(
    console: Console,
    model: Path,
    images: Sequence[str],
    options: PredictOptions,
    watcher: Watcher,
    *,
    json_: bool,
) -> bool:
    """Predict to a file, and print a summary, or all results as JSON; see `print_predictions`."""
    with predict_to_file(model, images, options, watcher) as written:
        if json_:
            print_json_list(prediction.to_json() for prediction in written.results)
        else:
            show_written(console, written)
            _show_pictures(console, options)
        return not written.counts.unreadable or was_read(written.results, images)


def _show_pictures(console: Console, options: PredictOptions) -> None:
    if folder := options.pictures or options.explain:
        print_line(console, f"  pictures  {folder}")
