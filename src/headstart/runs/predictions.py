"""Tables of predictions: the file that `predict --out` writes, and the test images of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from pydantic import JsonValue

from headstart.answers import AnyTaskPrediction, BoxesPrediction, Prediction, Thresholds
from headstart.arrays import Numbers, Probabilities
from headstart.errors import OptionError, OutputError, reason_of
from headstart.files import atomic_replace, json_list, json_text
from headstart.options import PredictionFormat
from headstart.predictor.predictor import AnyResult, FailedPrediction
from headstart.runs.folders import check_writable

if TYPE_CHECKING:  # Importing pyarrow takes time, and most predictions are not written to a file.
    import pyarrow as pa

    from headstart.data.boxes.coco_listing import CocoListing
    from headstart.data.images import ImageSet

SUFFIXES = (".csv", ".parquet", ".json")

# Rows that are written at once: many, because a Parquet file describes each group of rows and must
# hold all descriptions in memory; but fewer if there are many classes.
_MIN_ROWS, _MAX_ROWS, _MAX_CELLS = 256, 1024, 2**20
# Images that are named if they cannot be read.
_NAMED = 10

_Item = TypeVar("_Item")


def check_suffix(out: Path | str, format_: PredictionFormat = "headstart") -> None:
    """Check the suffix of a path or URL for predictions.

    Raises:
        OptionError: It is not that of a known format.
    """
    suffix = PurePath(out).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"Output '{out}' must end in .csv, .parquet or .json.")
    if format_ == "coco" and suffix != ".json":
        raise OptionError(f"Output '{out}' must end in .json for --format coco.")


def check_output(out: Path, *, overwrite: bool, format_: PredictionFormat = "headstart") -> None:
    """Check the file for predictions before any work is done.

    Raises:
        OptionError: The suffix is not that of a known format.
        OutputError: The file exists and may not be replaced, or cannot be written.
    """
    check_suffix(out, format_)
    if out.is_dir():
        raise OutputError(f"Output '{out}' is a folder. Pass the name of a file.")
    check_writable(out)
    if out.exists() and not overwrite:
        raise OutputError(
            f"Output '{out}' already exists. Pass --overwrite (overwrite=True) to replace it."
        )


@dataclass
class Counts:
    """What predictions say, counted as they pass by.

    Attributes:
        images: The number of images.
        unreadable: Of these, how many cannot be read.
        unknown: How many are unlike all training images.
        abstained: To how many the model has no answer.
        failed: The first images that cannot be read.
    """

    images: int = 0
    unreadable: int = 0
    unknown: int = 0
    abstained: int = 0
    failed: list[FailedPrediction] = field(default_factory=list)

    @classmethod
    def of(cls, predictions: Iterable[AnyResult]) -> Self:
        """Return the counts of predictions."""
        counts = cls()
        for prediction in predictions:
            counts._add(prediction)
        return counts

    def passing(self, predictions: Iterable[AnyResult]) -> Iterator[AnyResult]:
        """Yield predictions, and count them."""
        for prediction in predictions:
            self._add(prediction)
            yield prediction

    def _add(self, prediction: AnyResult) -> None:
        self.images += 1
        if isinstance(prediction, FailedPrediction):
            self.unreadable += 1
            if len(self.failed) < _NAMED:
                self.failed.append(prediction)
            return
        self.unknown += bool(prediction.unknown)
        self.abstained += isinstance(prediction, Prediction) and bool(prediction.abstained)


def write_predictions(
    out: Path,
    predictions: Iterable[AnyResult],
    classes: Sequence[str],
    format_: PredictionFormat = "headstart",
    numbering: CocoListing | None = None,
) -> None:
    """Write predictions as CSV, Parquet or JSON, by the suffix, completely or not at all.

    Raises:
        OutputError: The file cannot be written; an existing file is unchanged.
    """
    try:
        with atomic_replace(out) as partial:
            stream_predictions(partial, predictions, classes, format_, numbering)
    except OSError as error:
        raise unwritable(out, error) from None


def stream_predictions(
    path: Path,
    predictions: Iterable[AnyResult],
    classes: Sequence[str],
    format_: PredictionFormat = "headstart",
    numbering: CocoListing | None = None,
) -> Counts:
    """Write predictions as CSV, Parquet or JSON, by the suffix, with few in memory at once.

    Args:
        path: The file to write.
        predictions: They are iterated over twice: all of them have the columns of the first one of
            an image that could be read.
        classes: The classes of the model.
        format_: "coco" for COCO's results, of which a file has one item for each box.
        numbering: Has the ids of COCO's results; without it, images and classes are counted.

    Raises:
        OSError: The file cannot be written.
    """
    counts = Counts()
    passing = counts.passing(predictions)
    if format_ == "coco":
        items = _listed(passing, numbering) if numbering else _counted(passing)
        ids = numbering.categories if numbering else {one: n for n, one in enumerate(classes, 1)}
        results = _coco_results(items, classes, ids)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json_list(map(json_text, results)))
            file.write("\n")
        return counts
    if path.suffix.lower() == ".json":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json_list(json_text(one.to_json()) for one in passing))
            file.write("\n")
        return counts
    read = (one for one in predictions if not isinstance(one, FailedPrediction))
    schema = _schema(next(read, None), classes)
    size = max(_MIN_ROWS, min(_MAX_ROWS, _MAX_CELLS // len(schema)))
    tables = (_table(group, schema, len(classes)) for group in in_groups(passing, size))
    (_write_parquet if path.suffix.lower() == ".parquet" else _write_csv)(path, schema, tables)
    return counts


_CocoItem = tuple[BoxesPrediction, "int | str", Numbers]
"""A prediction with the id of its image, and its boxes as x1, y1, x2, y2."""


def _counted(predictions: Iterable[AnyResult]) -> Iterator[_CocoItem]:
    """Yield predictions with the numbers of their images, from 1."""
    for number, prediction in enumerate(predictions, 1):
        if isinstance(prediction, BoxesPrediction):
            yield prediction, number, prediction.detections.corners.astype(float)


def _listed(predictions: Iterable[AnyResult], numbering: CocoListing) -> Iterator[_CocoItem]:
    """Yield predictions with the ids of their images in a file, and boxes as it has them."""
    for prediction in predictions:
        if isinstance(prediction, BoxesPrediction):
            for image in numbering.images.get(prediction.image, ()):
                corners = prediction.detections.corners.astype(float)
                yield prediction, image.id, image.as_listed(corners, prediction.size)


def _coco_results(
    items: Iterable[_CocoItem], classes: Sequence[str], ids: Mapping[str, int | str]
) -> Iterator[dict[str, JsonValue]]:
    """Yield all detections as COCO's results; those of classes without an id are left out.

    Those below the thresholds are among them: average precision is computed from all.
    """
    for prediction, identity, corners in items:
        found = prediction.detections
        for (x1, y1, x2, y2), number, score in zip(
            corners.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True
        ):
            if (name := classes[number]) in ids:
                yield {
                    "image_id": identity,
                    "file_name": prediction.image,
                    "category_id": ids[name],
                    "category": name,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }


def in_groups(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield lists of so many items; the last one may be shorter."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group


def unwritable(out: Path, error: OSError, advice: str = "") -> OutputError:
    """Return the error for a file that cannot be written."""
    # Libraries put more than the reason into the text.
    reason = os.strerror(error.errno) if error.errno else reason_of(error)
    return OutputError(f"Output '{out}' cannot be written: {reason}.{advice}")


def _schema(like: AnyTaskPrediction | BoxesPrediction | None, classes: Sequence[str]) -> pa.Schema:
    """Return the columns of predictions: image, the answer, p_CLASS of each class, error.

    The answer is "label" and "probability", or "labels" if there may be several.

    Args:
        like: A prediction with the same answers; None if no image could be read.
        classes: The classes of the model.
    """
    import pyarrow as pa

    types = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    answer = like.answer if like else {"label": "", "probability": 0.0}
    columns = {"image": pa.string(), **{name: types[type(cell)] for name, cell in answer.items()}}
    columns |= {f"p_{name}": pa.float64() for name in classes}
    return pa.schema([*columns.items(), ("error", pa.string())])


def _table(predictions: Sequence[AnyResult], schema: pa.Schema, classes: int) -> pa.Table:
    """Return a row per image. Of one that cannot be read, only name and error are not null."""
    import pyarrow as pa

    read = [None if isinstance(p, FailedPrediction) else p for p in predictions]
    failed = [p if isinstance(p, FailedPrediction) else None for p in predictions]
    answers = [p.answer if p else {} for p in read]
    missing = np.full(classes, np.nan)
    rows = np.array([p.probabilities if p else missing for p in read]).reshape(-1, classes)
    answer = schema.names[1 : len(schema) - classes - 1]
    columns: list[Sequence[object]] = [[prediction.image for prediction in predictions]]
    columns += [[cells.get(name) for cells in answers] for name in answer]
    columns += [*rows.T, [p and p.error for p in failed]]
    arrays = [
        pa.array(column, kind, from_pandas=True)  # NaN is null.
        for column, kind in zip(columns, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


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


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(table)


def _write_csv(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    import pyarrow.csv as csv

    options = csv.WriteOptions(quoting_style="needed")
    with csv.CSVWriter(path, schema, write_options=options) as writer:
        for table in tables:
            writer.write_table(table)
