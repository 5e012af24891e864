"""Predictions as they are kept until all are done: rows of a Parquet file, which lose nothing."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headstart.answers import BoxesPrediction, MultiPrediction, PredictedBox, Prediction
from headstart.boxes import Detections
from headstart.files import atomic_replace
from headstart.predictor.predictor import AnyResult, FailedPrediction
from headstart.runs.predictions import in_groups

# The result as JSON, without the probabilities of all classes.
_SCHEMA = pa.schema({"result": pa.string(), "probabilities": pa.list_(pa.float64())})
# A file may have any number of images, so that results are written while they come.
_ROWS = 256


def write_results(path: Path, results: Iterable[AnyResult]) -> None:
    """Write results to a file completely or not at all, with few in memory at once.

    Raises:
        OSError: It cannot be written.
    """
    with atomic_replace(path) as partial, pq.ParquetWriter(partial, _SCHEMA) as writer:
        for group in in_groups(results, _ROWS):
            columns = [pa.array(map(_text, group)), pa.array(map(_probabilities, group))]
            writer.write_table(pa.table(columns, schema=_SCHEMA))


def read_results(path: Path) -> Iterator[AnyResult]:
    """Yield the results in a file, equal to those that were written.

    Raises:
        OSError: It cannot be read.
    """
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
            texts, rows = batch.columns
            for text, row in zip(texts.to_pylist(), rows, strict=True):
                yield _result(json.loads(text), row)


def is_complete(path: Path) -> bool:
    """Return whether a file of results exists and is not damaged, by the end of its content."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def _text(result: AnyResult) -> str:
    if isinstance(result, BoxesPrediction):
        return json.dumps(_of_boxes(result))
    names = (field.name for field in fields(result) if field.name != "probabilities")
    return json.dumps({name: getattr(result, name) for name in names})


def _probabilities(result: AnyResult) -> object:
    return None if isinstance(result, FailedPrediction) else result.probabilities


def _result(values: dict[str, Any], row: pa.ListScalar) -> AnyResult:
    if "error" in values:
        return FailedPrediction(**values)
    if "detections" in values:
        return _boxes(values, row)
    kind = MultiPrediction if "labels" in values else Prediction
    known: dict[str, Any] = {name: _tuples(value) for name, value in values.items()}
    return kind(**known, probabilities=row.values.to_numpy())


def _of_boxes(result: BoxesPrediction) -> dict[str, object]:
    found = result.detections
    return {
        "image": result.image,
        "size": result.size,
        "boxes": [(box.label, box.probability, box.box) for box in result.boxes],
        "detections": [found.corners.tolist(), found.classes.tolist(), found.scores.tolist()],
        "picture": result.picture,
    }


def _boxes(values: Mapping[str, Any], row: pa.ListScalar) -> BoxesPrediction:
    corners, classes, scores = values["detections"]
    width, height = values["size"]
    return BoxesPrediction(
        values["image"],
        tuple(PredictedBox(label, score, tuple(box)) for label, score, box in values["boxes"]),
        (width, height),
        Detections(
            np.array(corners, np.float32).reshape(-1, 4),
            np.array(classes, np.int64),
            np.array(scores, np.float64),
        ),
        row.values.to_numpy(),
        picture=values["picture"],
    )


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
