"""The log of the answers of a server: Parquet files by day, without pictures or file names."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from headstart.answers import AnyTaskPrediction
from headstart.arrays import Features
from headstart.errors import OutputError, reason_of
from headstart.files import atomic_replace

if TYPE_CHECKING:
    import pyarrow as pa

_KIND = b"headstart answers 1"
_KEY = b"kind"
# Rows in memory. If the disk is full for longer, the oldest are lost.
_MOST_ROWS, _MANY_ROWS = 50_000, 5_000
_BATCH = 1024


@dataclass(frozen=True)
class _Row:
    time: datetime
    model: str
    version: str
    sha256: str
    answer: str
    probability: float
    unknown: bool | None
    seconds: float
    features: Features | None


class AnswerLog:
    """Collects answers, and writes them when asked.

    Args:
        folder: The folder, with one folder per day.
        features: Whether features are logged too.
    """

    def __init__(self, folder: Path, *, features: bool) -> None:
        self.folder, self.features = folder, features
        self._rows: deque[_Row] = deque(maxlen=_MOST_ROWS)
        self._lost = 0
        self._writing = threading.Lock()

    @classmethod
    def at(cls, folder: Path, *, features: bool) -> Self:
        """Return a log in a folder, which is created.

        Raises:
            OutputError: It cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(folder, error) from None
        if not os.access(folder, os.W_OK):
            raise OutputError(f"The log '{folder}' cannot be written: it is read-only.")
        return cls(folder, features=features)

    @property
    def is_long(self) -> bool:
        """Whether it should be written now."""
        return len(self._rows) >= _MANY_ROWS

    def add(
        self,
        *,
        model: str,
        version: str,
        sha256: str,
        prediction: AnyTaskPrediction,
        seconds: float,
        features: Features,
    ) -> None:
        """Add an answer.

        Args:
            model: The name of the model.
            version: Its version.
            sha256: The hash of the file.
            prediction: The answer.
            seconds: How long it took.
            features: The features, rounded as stored, (width,).
        """
        cells = prediction.answer
        self._lost += len(self._rows) == _MOST_ROWS
        self._rows.append(
            _Row(
                datetime.now(UTC),
                model,
                version,
                sha256,
                str(cells.get("label", cells.get("labels"))),
                float(prediction.probabilities.max()),
                prediction.unknown,
                seconds,
                features if self.features else None,
            )
        )

    def write(self) -> None:
        """Write what was added since the last time to a new file. Several threads may call this.

        Raises:
            OutputError: It cannot be written; it is kept for the next time.
        """
        with self._writing:
            rows = [self._rows[number] for number in range(len(self._rows))]
            if not rows:
                return
            day = self.folder / f"{rows[0].time:%Y-%m-%d}"
            name = f"{rows[0].time:%H%M%S}-{os.getpid()}-{uuid4().hex[:8]}.parquet"
            try:
                _write(day / name, rows)
            except OSError as error:
                raise _not_written(
                    self.folder,
                    error,
                    f" {len(rows):,} answers wait in memory, and {self._lost:,} are lost.",
                ) from None
            written = set(map(id, rows))
            while self._rows and id(self._rows[0]) in written:
                self._rows.popleft()


def _not_written(folder: Path, error: OSError, ending: str = "") -> OutputError:
    return OutputError(f"The log '{folder}' cannot be written: {reason_of(error)}.{ending}")


@dataclass(frozen=True)
class LoggedFeatures:
    """Some images of a log.

    Attributes:
        sha256s: The hashes of their files.
        features: Their features, (images, width).
    """

    sha256s: tuple[str, ...]
    features: Features


def is_answer_log(folder: Path) -> bool:
    """Return whether a folder is a log of answers."""
    return next(_files(folder), None) is not None


def logged_features(folder: Path, version: str) -> Iterator[LoggedFeatures]:
    """Yield the features of the images in a log that a model answered, each image once.

    Args:
        folder: The folder of the log, or of a day.
        version: The version of the model; images that others answered are left out.
    """
    import pyarrow.parquet as pq

    seen: set[str] = set()
    for path in _files(folder):
        with pq.ParquetFile(path) as file:
            if "features" not in file.schema_arrow.names:
                continue
            columns = ["sha256", "version", "features"]
            for batch in file.iter_batches(_BATCH, columns=columns):
                chosen = _new_rows(batch, version, seen)
                if chosen:
                    yield _taken(batch, chosen)


def _new_rows(batch: pa.RecordBatch, version: str, seen: set[str]) -> list[int]:
    """Return the rows of a model with images that were not seen yet, and note these."""
    rows = []
    hashes, versions = batch["sha256"].to_pylist(), batch["version"].to_pylist()
    for row, (sha256, found) in enumerate(zip(hashes, versions, strict=True)):
        if found == version and sha256 not in seen:
            seen.add(sha256)
            rows.append(row)
    return rows


def _taken(batch: pa.RecordBatch, rows: list[int]) -> LoggedFeatures:
    chosen = batch.take(rows)
    values: Features = chosen["features"].flatten().to_numpy()
    return LoggedFeatures(tuple(chosen["sha256"].to_pylist()), values.reshape(len(rows), -1))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a log, oldest first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted([*folder.glob("*.parquet"), *folder.glob("????-??-??/*.parquet")]):
        try:
            metadata = pq.read_schema(path).metadata or {}
        except (OSError, pa.ArrowInvalid):
            continue
        if metadata.get(_KEY) == _KIND:
            yield path


def _write(path: Path, rows: list[_Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "time": pa.array([row.time for row in rows], pa.timestamp("ms", "UTC")),
        "model": pa.array([row.model for row in rows]),
        "version": pa.array([row.version for row in rows]),
        "sha256": pa.array([row.sha256 for row in rows]),
        "answer": pa.array([row.answer for row in rows]),
        "probability": pa.array([row.probability for row in rows], pa.float64()),
        "unknown": pa.array([row.unknown for row in rows], pa.bool_()),
        "seconds": pa.array([row.seconds for row in rows], pa.float32()),
    }
    if rows[0].features is not None:
        values = [row.features for row in rows]
        columns["features"] = pa.array(values, pa.list_(pa.float32()))
    table = pa.table(columns).replace_schema_metadata({_KEY: _KIND})
    with atomic_replace(path) as partial:
        pq.write_table(table, partial)
