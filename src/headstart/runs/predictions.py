"""Tables of predictions: the file that `predict --out` writes, and the test images of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.answers import Thresholds
from headstart.arrays import Probabilities
from headstart.errors import OptionError, OutputError
from headstart.files import atomic_replace, write_json
from headstart.predictor.predictor import AnyPrediction, FailedPrediction
from headstart.runs.folders import check_writable

if TYPE_CHECKING:  # Importing pyarrow takes time, and most predictions are not written to a file.
    import pyarrow as pa

    from headstart.data.images import ImageSet

SUFFIXES = (".csv", ".parquet", ".json")


def check_output(out: Path | None, *, overwrite: bool) -> None:
    """Check the file for predictions before any work is done.

    Raises:
        OptionError: The suffix is not that of a known format.
        OutputError: The file exists and may not be replaced, or cannot be written.
    """
    if out is None:
        return
    if out.suffix.lower() not in SUFFIXES:
        raise OptionError(f"Output '{out}' must end in .csv, .parquet or .json.")
    if out.is_dir():
        raise OutputError(f"Output '{out}' is a folder. Pass the name of a file.")
    check_writable(out)
    if out.exists() and not overwrite:
        raise OutputError(
            f"Output '{out}' already exists. Pass --overwrite (overwrite=True) to replace it."
        )


def write_predictions(
    out: Path, predictions: Sequence[AnyPrediction], classes: Sequence[str]
) -> None:
    """Write predictions as CSV, Parquet or JSON, by the suffix, completely or not at all.

    Raises:
        OutputError: The file cannot be written; an existing file is unchanged.
    """
    try:
        if out.suffix.lower() == ".json":
            write_json(out, [prediction.to_json() for prediction in predictions])
            return
        table = prediction_table(predictions, classes)
        with atomic_replace(out) as partial:
            _write_table(table, partial)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"Output '{out}' cannot be written: {reason}.") from None


def prediction_table(predictions: Sequence[AnyPrediction], classes: Sequence[str]) -> pa.Table:
    """Return a row per image: image, the answer, p_CLASS of each class, error.

    The answer is "label" and "probability", or "labels" if there may be several. Only the name and
    the error of an image that cannot be read are not null.
    """
    import pyarrow as pa

    read = [None if isinstance(p, FailedPrediction) else p for p in predictions]
    answers = [p.answer if p else {} for p in read]
    names = next(filter(None, answers), {"label": "", "probability": 0.0})
    failed = [p if isinstance(p, FailedPrediction) else None for p in predictions]
    columns = {
        "image": pa.array([prediction.image for prediction in predictions], pa.string()),
        **{name: pa.array([answer.get(name) for answer in answers]) for name in names},
    }
    missing = np.full(len(classes), np.nan)
    rows = np.array([p.probabilities if p else missing for p in read]).reshape(-1, len(classes))
    for name, column in zip(classes, rows.T, strict=True):
        columns[f"p_{name}"] = pa.array(column, pa.float64(), from_pandas=True)  # NaN is null.
    return pa.table(columns | {"error": pa.array([p and p.error for p in failed], pa.string())})


def table_of_test_images(
    images: ImageSet, probabilities: Probabilities, thresholds: Thresholds | None = None
) -> pa.Table:
    """Return a row per test image: image, truth, predicted, p_CLASS of each class.

    Args:
        images: The test images.
        probabilities: Their calibrated probabilities, (images, classes).
        thresholds: The operating point of the model.
    """
    import pyarrow as pa

    answers = images.task.answers(probabilities, images.labels, images.classes, thresholds)
    columns = {"image": images.table["image"]}
    columns |= {name: pa.array(values) for name, values in answers.items()}
    by_class = zip(images.classes, probabilities.T, strict=True)
    return pa.table(columns | {f"p_{name}": pa.array(column) for name, column in by_class})


def _write_table(table: pa.Table, path: Path) -> None:
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path)
    else:
        import pyarrow.csv as csv

        csv.write_csv(table, path, csv.WriteOptions(quoting_style="needed"))
