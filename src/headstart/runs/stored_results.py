"""Predictions as they are kept until all are done: rows of a Parquet file, which lose nothing."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.answers import MultiPrediction, Prediction
from headstart.files import atomic_replace
from headstart.predictor.predictor import AnyPrediction, FailedPrediction
from headstart.runs.predictions import in_groups

# The result as JSON, without the probabilities of all classes.
_SCHEMA = pa.schema({"result": pa.string(), "probabilities": pa.list_(pa.float64())})
# A file may have any number of images, so that results are written while they come.
_ROWS = 256


def write_results(path: Path, results: Iterable[AnyPrediction]) -> None:
    """Write results to a file completely or not at all, with few in memory at once.

    Raises:
        OSError: It cannot be written.
    """
    with atomic_replace(path) as partial, pq.ParquetWriter(partial, _SCHEMA) as writer:
        for group in in_groups(results, _ROWS):
            columns = [pa.array(map(_text, group)), pa.array(map(_probabilities, group))]
            writer.write_table(pa.table(columns, schema=_SCHEMA))


def read_results(path: Path) -> Iterator[AnyPrediction]:
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


def _text(result: AnyPrediction) -> str:
    names = (field.name for field in fields(result) if field.name != "probabilities")
    return json.dumps({name: getattr(result, name) for name in names})


def _probabilities(result: AnyPrediction) -> object:
    return None if isinstance(result, FailedPrediction) else result.probabilities


def _result(values: dict[str, Any], row: pa.ListScalar) -> AnyPrediction:
    if "error" in values:
        return FailedPrediction(**values)
    kind = MultiPrediction if "labels" in values else Prediction
    known: dict[str, Any] = {name: _tuples(value) for name, value in values.items()}
    return kind(**known, probabilities=row.values.to_numpy())


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
