"""The boundary store: rows that the frozen part computes once for each view of each image.

The store is a memory-mapped file of rows and a file of checksums, so epochs read at the speed of
the page cache. A row is valid once its checksum is written: a run that is killed loses at most the
current batch, and damaged rows are recomputed.
"""

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.arrays import Features, Pixels, Rows
from headstart.engines.engine import Engine
from headstart.errors import StoreError
from headstart.features.batches import Decoding, pixel_batches, stack_batches
from headstart.files import atomic_create, remove, write_zeros
from headstart.watching import Progress

# Version of the augmentation code; rows of other versions are not read.
_VIEWS_VERSION = 1

Stored = NDArray[np.floating]
"""Rows on disk, (rows, width), in half or single precision."""

_Number = TypeVar("_Number", bound=np.generic)


class Views(Protocol):
    """The views of a set of images, each made from the image's pixels.

    Attributes:
        files: Path and sha256 of each image.
        preset: The kind of augmentation.
        views: Number of views per image.
        seed: Random seed of the views.
    """

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Path and sha256 of each image."""
        ...

    @property
    def preset(self) -> str:
        """The kind of augmentation."""
        ...

    @property
    def views(self) -> int:
        """Number of views per image."""
        ...

    @property
    def seed(self) -> int:
        """Random seed of the views."""
        ...

    def view(self, pixels: Pixels, image: int, view: int) -> Pixels:
        """Return a view of an image, given by its number."""
        ...


class OutOfTime(Exception):
    """The time limit was reached before training could begin."""


class ViewStore:
    """The rows of every view of every image, in files.

    Attributes:
        plan: The views of the images.
        width: Numbers per row.
        path: The file with the rows.
        bytes: Size on disk.
    """

    def __init__(self, folder: Path, key: str, plan: Views, width: int, *, half: bool) -> None:
        self.plan, self.width = plan, width
        self._kind = np.float16 if half else np.float32
        self.count = len(plan.files) * plan.views
        self.bytes = self.size_of(plan, width, half=half)
        self.path = self.path_of(folder, key, plan, half=half)
        sums = self.path.with_suffix(".sums")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rows: Stored = _mapped(self.path, self._kind, (self.count, width))
            self._sums = _mapped(sums, np.uint32, (self.count,))
            self.path.touch()
        except OSError as error:
            for path in (self.path, sums):  # Neither file is useful without the other.
                path.unlink(missing_ok=True)
            raise StoreError(
                f"The boundary store cannot be written: {error.strerror or error}."
            ) from None

    def __getstate__(self) -> dict[str, object]:
        """Leave out the rows, which another process reads from the same files."""
        return {name: value for name, value in vars(self).items() if name not in ("_rows", "_sums")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        sums = self.path.with_suffix(".sums")
        self._rows = np.memmap(self.path, self._kind, "r", shape=(self.count, self.width))
        self._sums = np.memmap(sums, np.uint32, "r", shape=(self.count,))

    @staticmethod
    def path_of(folder: Path, key: str, plan: Views, *, half: bool) -> Path:
        """Return the file for the rows of a plan, which may not exist yet."""
        content = [_VIEWS_VERSION, key, plan.preset, plan.views, plan.seed, plan.files, half]
        return folder / f"{hashlib.sha256(json.dumps(content).encode()).hexdigest()}.rows"

    @staticmethod
    def size_of(plan: Views, width: int, *, half: bool) -> int:
        """Return the size on disk in bytes for rows of some width, with checksums."""
        return len(plan.files) * plan.views * (width * (2 if half else 4) + 4)

    def evict_others(self, limit: float) -> None:
        """Remove the least recently used other stores until all take at most `limit` bytes."""
        others = {}
        for path in self.path.parent.glob("*.rows"):
            with suppress(OSError):  # Another training may remove it at the same time.
                others[path] = path.stat()
        others.pop(self.path, None)
        total = self.bytes + sum(stat.st_size for stat in others.values())
        for path in sorted(others, key=lambda path: others[path].st_mtime):
            if total <= limit:
                return
            total -= others[path].st_size
            remove(path.with_suffix(".sums"))
            remove(path)

    def fill(
        self,
        engine: Engine,
        preprocess: Decoding,
        *,
        progress: Progress | None = None,
        deadline: float | None = None,
    ) -> int:
        """Compute the rows that are missing or damaged.

        Args:
            engine: Runs what is below the boundary.
            preprocess: How images are decoded.
            progress: Called with the numbers of rows computed and rows missing.
            deadline: Time limit, by `time.perf_counter`.

        Returns:
            The number of rows that were computed.

        Raises:
            OutOfTime: The deadline has passed; the rows so far are kept.
            StoreError: A value exceeds the range of half precision.
        """
        missing = self._missing()
        done = 0
        wanted = [self._image_and_view(place) for place in missing]
        with self._view_batches(wanted, engine.batch_size, preprocess) as batches:
            for features in engine.run(batches):
                self.put(missing[done : done + len(features)], features)
                done += len(features)
                if progress:
                    progress(done, len(missing))
                if deadline and time.perf_counter() > deadline:
                    raise OutOfTime
        return done

    def put(self, places: Rows, features: Features) -> None:
        """Write rows; the place of a row is image * views + view.

        Raises:
            StoreError: A value exceeds the range of half precision.
        """
        rows = features.astype(self._rows.dtype)
        if not np.isfinite(rows).all():
            raise StoreError(
                "Feature maps at the boundary exceed the range of half precision. "
                "Use --precision float32."
            )
        self._rows[places] = rows
        self._sums[places] = [_checksum(row) for row in rows]

    def read(self, images: Rows, views: Rows | int) -> Tensor:
        """Return the rows of one view of each image: (images, width), float32."""
        rows = self._rows[images * self.plan.views + views]
        return torch.from_numpy(rows).float()

    def _missing(self) -> Rows:
        """Return the places of rows whose checksum is missing or does not match."""
        bad = [
            place
            for place in range(self.count)
            if self._sums[place] == 0 or self._sums[place] != _checksum(self._rows[place])
        ]
        return np.array(bad, dtype=np.int64)

    def _image_and_view(self, place: int) -> tuple[int, int]:
        return divmod(int(place), self.plan.views)

    @contextmanager
    def _view_batches(
        self, wanted: Sequence[tuple[int, int]], batch_size: int, preprocess: Decoding
    ) -> Iterator[Iterator[Pixels]]:
        """Yield batches of views, decoding each file once for all of its missing views."""
        by_file = [
            (file, list(same))
            for file, same in groupby(wanted, lambda one: self.plan.files[one[0]])
        ]
        files = [(sha256, path) for (path, sha256), _ in by_file]
        with pixel_batches(files, 1, preprocess) as decoded:

            def views() -> Iterator[Pixels]:
                for (_, same), pixels in zip(by_file, decoded, strict=True):
                    for image, view in same:
                        yield self.plan.view(pixels[0], image, view)

            yield stack_batches(views(), batch_size)


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of a folder, which need not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _mapped(path: Path, kind: type[_Number], shape: tuple[int, ...]) -> NDArray[_Number]:
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    if path.exists() and path.stat().st_size != size:
        path.unlink(missing_ok=True)
    if not path.exists():
        # Atomic, because another training may be about to map the same file. Not sparse, because
        # writing to a hole on a full disk would kill the process.
        with atomic_create(path) as partial:
            write_zeros(partial, max(size, 1))
    return np.memmap(path, dtype=kind, mode="r+", shape=shape)


def _checksum(row: Stored) -> int:
    """Return a crc32 that is never 0, because 0 marks a missing row."""
    return zlib.crc32(np.ascontiguousarray(row).view(np.uint8).data) or 1
