"""The table of a gallery: enrolled images and their embeddings, in Lance.

Images are added in one atomic commit. Writers take turns; readers need no lock. A removal leaves no
embedding behind: the files that held it, the versions that referred to them and the index are
deleted, not only marked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headstart.arrays import Floats, Numbers, Rows
from headstart.errors import GalleryError
from headstart.features.store import delete_images, erase_deleted
from headstart.watching import warn_in_python

EXACT = 50_000
"""Up to so many images, a search compares with all of them; above, an index is used."""

_INDEX = "vector_idx"
# Rows per cell of the index when it is made, by how much cells may grow before it is made again,
# cells that are searched, and rows that may be outside it.
_CELL, _GROWTH, _PROBES, _OUTSIDE = 1_000, 2, 40, 10_000
_FRAGMENTS = 64
# Up to so many images are looked up by their hashes; of more, all rows are read.
_LOOKED_UP = 500
# What Lance raises for files that are missing or damaged.
_UNREADABLE = (OSError, ValueError)


@dataclass(frozen=True, eq=False)
class Enrolled:
    """Images with their embeddings.

    Attributes:
        images: Names.
        sha256s: Hash of each file, by which it is found again.
        labels: Label of each image.
        groups: Group of each image; images of a group are not independent.
        fields: The other columns of each image, such as a price.
        points: Embeddings of length 1, (images, dimensions).
    """

    images: Sequence[str]
    sha256s: Sequence[str]
    labels: Sequence[str]
    groups: Sequence[str]
    fields: Sequence[Mapping[str, str]]
    points: Floats

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Rows) -> Enrolled:
        """Return the images with the given row numbers."""
        chosen = rows.tolist()
        return Enrolled(
            [self.images[row] for row in chosen],
            [self.sha256s[row] for row in chosen],
            [self.labels[row] for row in chosen],
            [self.groups[row] for row in chosen],
            [self.fields[row] for row in chosen],
            self.points[rows],
        )


@dataclass(frozen=True)
class Row:
    """An enrolled image.

    Attributes:
        image: Its name.
        sha256: Hash of its file.
        label: Its label.
        fields: Its other columns.
    """

    image: str
    sha256: str
    label: str
    fields: Mapping[str, str]


class GalleryTable:
    """The table of a gallery.

    Args:
        path: The folder of the table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cached: tuple[int, Enrolled] | None = None
        self._session = lance.Session()  # Keeps the index from one search to the next.

    @classmethod
    def create(cls, path: Path, dimensions: int) -> GalleryTable:
        """Create an empty table."""
        vector = pa.list_(pa.float32(), dimensions)
        names = ("image", "sha256", "label", "group", "fields")
        schema = pa.schema([*((name, pa.string()) for name in names), ("vector", vector)])
        lance.write_dataset(schema.empty_table(), str(path), mode="create")
        return cls(path)

    def __len__(self) -> int:
        return int(self._open().count_rows())

    @property
    def has_index(self) -> bool:
        """Whether a search uses an index, so that it may miss some of the nearest images."""
        return _has_index(self._open())

    def append(self, new: Enrolled) -> None:
        """Add images in one commit."""
        points = np.ascontiguousarray(new.points, dtype=np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), points.shape[1])
        fields = [json.dumps(dict(one), ensure_ascii=False, sort_keys=True) for one in new.fields]
        texts = (new.images, new.sha256s, new.labels, new.groups, fields)
        columns = [pa.array(values, pa.string()) for values in texts]
        table = pa.table([*columns, vectors], schema=self._open().schema)
        dataset = lance.write_dataset(table, str(self.path), mode="append")
        if len(dataset.get_fragments()) > _FRAGMENTS:
            dataset.optimize.compact_files()
        self._index(dataset)

    def remove(self, sha256s: Sequence[str]) -> None:
        """Remove images by the hashes of their files, and every trace of their embeddings."""
        delete_images(self._open(), sha256s)
        self.erase()

    def erase(self) -> None:
        """Delete what is still on disk of images that were removed. Nobody else may be writing."""
        dataset = self._open()
        if _has_index(dataset):
            dataset.drop_index(_INDEX)
        erase_deleted(self.path)
        self._index(self._open())

    def enrolled(self) -> Enrolled:
        """Return all images with their embeddings; they are read once for each version."""
        dataset = self._open()
        if self._cached is None or self._cached[0] != dataset.version:
            self._cached = (dataset.version, _enrolled(dataset.to_table()))
        return self._cached[1]

    def labels(self) -> dict[str, int]:
        """Return the number of images of each label."""
        column = self._open().to_table(columns=["label"])["label"]
        return {one["values"]: one["counts"] for one in pc.value_counts(column).to_pylist()}

    def rows(self) -> list[Row]:
        """Return all images without their embeddings."""
        return _rows(self._open().to_table(columns=["image", "sha256", "label", "fields"]))

    def rows_of(self, sha256s: Sequence[str]) -> list[Row]:
        """Return those of some images that are enrolled, by the hashes of their files."""
        if len(sha256s) > _LOOKED_UP:
            wanted = set(sha256s)
            return [row for row in self.rows() if row.sha256 in wanted]
        names = ", ".join("'" + one.replace("'", "''") + "'" for one in sha256s)
        columns = ["image", "sha256", "label", "fields"]
        found = self._open().to_table(columns=columns, filter=f"sha256 IN ({names})")
        return _rows(found)

    def nearest(self, point: Floats, count: int) -> tuple[list[Row], Numbers]:
        """Return the nearest images and their cosine distances, nearest first.

        Args:
            point: An embedding, (dimensions,).
            count: How many.
        """
        try:
            return self._nearest(point, count)
        except _UNREADABLE:  # Another process may have removed images, with the files they were in.
            self._session = lance.Session()
        try:
            return self._nearest(point, count)
        except _UNREADABLE:
            if not self.has_index:
                raise
            self._repair()
        return self._nearest(point, count)

    def _nearest(self, point: Floats, count: int) -> tuple[list[Row], Numbers]:
        dataset = self._open()
        if not _has_index(dataset):
            return self._compared_with_all(point, count)
        query = {"column": "vector", "q": point, "k": count, "nprobes": _PROBES}
        columns = ["image", "sha256", "label", "fields", "_distance"]
        found = dataset.to_table(columns=columns, nearest=query)
        return _rows(found), found["_distance"].to_numpy().astype(np.float64)

    def _compared_with_all(self, point: Floats, count: int) -> tuple[list[Row], Numbers]:
        every = self.enrolled()
        distances = np.clip(1 - every.points @ point, 0, 2).astype(np.float64)
        count = min(count, len(every))
        rows: Rows = np.argpartition(distances, count - 1)[:count]
        rows = rows[np.argsort(distances[rows], kind="stable")]
        found = [
            Row(every.images[row], every.sha256s[row], every.labels[row], every.fields[row])
            for row in rows.tolist()
        ]
        return found, distances[rows]

    def _repair(self) -> None:
        """Make a damaged index again."""
        warn_in_python(f"The index of gallery '{self.path.parent}' is damaged; it is made again.")
        self._session = lance.Session()
        self._open().drop_index(_INDEX)
        self._index(self._open())

    def _index(self, dataset: lance.LanceDataset) -> None:
        """Make the index if there are many images, and add those to it that are outside."""
        count = dataset.count_rows()
        if count <= EXACT:
            return
        if known := _index_of(dataset):
            if count - known.num_rows_indexed <= _OUTSIDE:
                return
            cells = dataset.stats.index_stats(_INDEX)["indices"][0]["num_partitions"]
            if count <= _GROWTH * _CELL * cells:
                dataset.optimize.optimize_indices()
                return
        dataset.create_index(
            "vector",
            "IVF_FLAT",
            name=_INDEX,
            metric="cosine",
            replace=True,
            num_partitions=max(1, count // _CELL),
        )

    def _open(self) -> lance.LanceDataset:
        try:
            return lance.dataset(str(self.path), session=self._session)
        except ValueError:
            raise GalleryError(
                f"Gallery '{self.path.parent}' is damaged: '{self.path.name}' is missing. Make it "
                "again from the images."
            ) from None


def _has_index(dataset: lance.LanceDataset) -> bool:
    return _index_of(dataset) is not None


def _index_of(dataset: lance.LanceDataset) -> lance.indices.IndexDescription | None:
    return next((one for one in dataset.describe_indices() if one.name == _INDEX), None)


def _rows(table: pa.Table) -> list[Row]:
    names = ("image", "sha256", "label", "fields")
    columns = (table[name].to_pylist() for name in names)
    return [
        Row(image, sha256, label, json.loads(fields))
        for image, sha256, label, fields in zip(*columns, strict=True)
    ]


def _enrolled(table: pa.Table) -> Enrolled:
    vectors = table["vector"].combine_chunks()
    width = table.schema.field("vector").type.list_size
    names = ("image", "sha256", "label", "group")
    images, sha256s, labels, groups = (table[name].to_pylist() for name in names)
    fields = [json.loads(text) for text in table["fields"].to_pylist()]
    points = vectors.flatten().to_numpy().reshape(-1, width)
    return Enrolled(images, sha256s, labels, groups, fields, points)
