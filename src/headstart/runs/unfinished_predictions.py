"""Predictions that are not finished: a folder beside the output, from which they are continued.

It has the list of the images, and the results of so many of them in each file. Each of these files
is complete, and computed without regard to the others. So what is computed after an interruption is
the same, to the bit, as without one.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.data.inputs import ListedImage
from headstart.errors import OutputError
from headstart.files import Locked, digest, locked, remove, replace, write_json
from headstart.options import PredictionFormat
from headstart.predictor.bundle import Bundle
from headstart.predictor.predictor import AnyResult
from headstart.runs.predictions import Counts, stream_predictions, unwritable

if TYPE_CHECKING:
    from headstart.data.boxes.coco_listing import CocoListing

IMAGES_PER_PART = 256
"""Images whose results are kept together; as many are computed again after an interruption."""

_SUFFIX = ".partial"
_REQUEST, _IMAGES, _COMPLETE, _LOCK = "request.json", "images.jsonl", "complete", ".lock"
_PART = "part-{:06d}.parquet"
_OURS = re.compile(r"request\.json|images\.jsonl|complete|joined\.\w+|part-\d+\.parquet|\..*")
# Increase it whenever parts may be divided or written in another way.
_VERSION = 1


def unfinished_folder(out: Path) -> Path:
    """Return the folder of unfinished predictions for an output."""
    return out.with_name(out.name + _SUFFIX)


def is_being_finished(out: Path) -> bool:
    """Return whether all predictions for an output are done, so that it is theirs if it exists."""
    return (unfinished_folder(out) / _COMPLETE).exists()


@dataclass(frozen=True)
class BatchRequest:
    """What predictions were asked for.

    Attributes:
        model: A hash of the model.
        options: The options that the predictions depend on.
        count: The number of images in the list.
        images: The hash of the list of images.
        version: Of the files.
    """

    model: str
    options: Mapping[str, JsonValue]
    count: int
    images: str
    version: int = _VERSION

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return what unfinished predictions were asked for; None if that is not known."""
        try:
            return TypeAdapter(cls).validate_json((folder / _REQUEST).read_bytes())
        except (OSError, ValidationError):
            return None

    def differences(self, now: Self) -> str:
        """Describe how this differs from another request; "" if it does not."""
        found = ["of an earlier version of Headstart"] if self.version != now.version else []
        found += ["of another model"] if self.model != now.model else []
        found += [
            f"with --{name.replace('_', '-')} {_shown(self.options, name)}, now "
            f"{_shown(now.options, name)}"
            for name in sorted({*self.options, *now.options})
            if self.options.get(name) != now.options.get(name)
        ]
        if self.count != now.count:
            found.append(f"of {self.count:,} images, now {now.count:,}")
        elif self.images != now.images:
            found.append("of other images, or of images that have changed since")
        return "; ".join(found)


@dataclass(frozen=True)
class UnfinishedPredictions:
    """The folder of predictions that are not finished. Iterating over it yields its results.

    Attributes:
        out: The output.
        request: What was asked for.
        continued: Whether an earlier command began it.
    """

    out: Path
    request: BatchRequest
    continued: bool

    def __iter__(self) -> Iterator[AnyResult]:
        from headstart.runs.stored_results import read_results

        for number in filter(self._is_done, range(self._parts)):
            yield from read_results(self._part(number))

    @property
    def folder(self) -> Path:
        """The folder."""
        return unfinished_folder(self.out)

    @property
    def done(self) -> int:
        """The number of images whose results are kept."""
        return sum(map(self._size, filter(self._is_done, range(self._parts))))

    def missing(self) -> Iterator[tuple[int, list[ListedImage]]]:
        """Yield the number of each part that is missing, and its images."""
        with (self.folder / _IMAGES).open(encoding="ascii") as lines:
            for number in range(self._parts):
                part = list(islice(lines, IMAGES_PER_PART))
                if not self._is_done(number):
                    yield number, [ListedImage(*json.loads(line)[:3]) for line in part]

    def write(self, number: int, results: Iterable[AnyResult]) -> None:
        """Write the results of a part.

        Raises:
            OutputError: They cannot be written.
        """
        from headstart.runs.stored_results import write_results

        try:
            write_results(self._part(number), results)
        except OSError as error:
            raise unwritable(self._part(number), error, self._advice) from None

    def join(
        self,
        classes: tuple[str, ...],
        format_: PredictionFormat = "headstart",
        numbering: "CocoListing | None" = None,
    ) -> Counts:
        """Write the output, with the results of all parts; see `stream_predictions`.

        Raises:
            OutputError: It cannot be written; an existing file is unchanged.
        """
        joined = self.folder / f"joined{self.out.suffix}"
        try:
            (self.folder / _COMPLETE).touch()
            counts = stream_predictions(joined, self, classes, format_, numbering)
            replace(joined, self.out)
        except OSError as error:
            remove(joined)
            raise unwritable(self.out, error, self._advice) from None
        return counts

    def remove(self) -> None:
        """Remove the folder with all results."""
        remove(self.folder)

    @property
    def _parts(self) -> int:
        return -(-self.request.count // IMAGES_PER_PART)

    @property
    def _advice(self) -> str:
        if not (done := self.done):
            return ""
        return (
            f" The predictions of {done:,} of {self.request.count:,} images are kept in "
            f"'{self.folder}'. Make room, and run the same command again to continue."
        )

    def _size(self, number: int) -> int:
        return min(IMAGES_PER_PART, self.request.count - number * IMAGES_PER_PART)

    def _part(self, number: int) -> Path:
        return self.folder / _PART.format(number)

    def _is_done(self, number: int) -> bool:
        return self._part(number).exists()


@contextmanager
def unfinished_predictions(
    out: Path,
    bundle: Bundle,
    options: Mapping[str, JsonValue],
    images: Iterable[ListedImage],
    *,
    overwrite: bool,
) -> Iterator[UnfinishedPredictions]:
    """Begin or continue predictions; if there are no results at the end, nothing is left.

    Args:
        out: The output.
        bundle: The model.
        options: The options that the predictions depend on.
        images: The images.
        overwrite: Whether earlier results that cannot be continued are discarded.

    Raises:
        OutputError: The folder cannot be written, another process writes it, or it has results of
            something else.
    """
    folder = unfinished_folder(out)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_files(folder)
            stack.enter_context(locked(folder / _LOCK))
        except Locked:
            raise OutputError(
                f"Output '{out}' is being written by another process. Wait until it has finished, "
                "or choose another --out."
            ) from None
        except OSError as error:
            raise unwritable(folder, error) from None
        stack.callback(_remove_without_results, folder)
        yield _opened(out, bundle, options, images, overwrite=overwrite)


def _opened(
    out: Path,
    bundle: Bundle,
    options: Mapping[str, JsonValue],
    images: Iterable[ListedImage],
    *,
    overwrite: bool,
) -> UnfinishedPredictions:
    """Write the list of images, and compare what is asked for with what the folder has."""
    folder = unfinished_folder(out)
    _remove_hidden(folder)
    new = folder / f".{_IMAGES}"
    try:
        count, images_hash = _write_list(new, images)
        request = BatchRequest(model_hash(bundle), options, count, images_hash)
        earlier = BatchRequest.read(folder)
        if earlier != request:
            if _parts_in(folder) and not overwrite:
                raise _other_results(folder, earlier, request)
            _empty(folder, but=new)
        _remove_damaged(folder)
        replace(new, folder / _IMAGES)
        write_json(folder / _REQUEST, asdict(request))
    except OSError as error:
        raise unwritable(folder, error) from None
    return UnfinishedPredictions(out, request, continued=earlier == request)


def model_hash(bundle: Bundle) -> str:
    """Return a hash of everything that the predictions of a model depend on."""
    sums = {
        name: hashlib.sha256(np.ascontiguousarray(tensor).tobytes()).hexdigest()
        for name, tensor in bundle.tensors.items()
        if not name.startswith("backbone.")  # The hash of its weights is in the configuration.
    }
    return digest({"config": bundle.config.to_json(), "tensors": sums})


def _write_list(path: Path, images: Iterable[ListedImage]) -> tuple[int, str]:
    """Write a line for each image; return their number and their hash."""
    count, found = 0, hashlib.sha256()
    with path.open("w", encoding="ascii") as file:
        for image in images:
            state = image.state or _state(image.path)
            line = json.dumps([image.name, image.path, image.problem, *state]) + "\n"
            file.write(line)
            found.update(line.encode())
            count += 1
    return count, found.hexdigest()


def _state(path: str) -> tuple[int, int]:
    """Return the size of a file and when it was changed; zeros if it is not there, or a URL."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _other_results(folder: Path, earlier: BatchRequest | None, now: BatchRequest) -> OutputError:
    what = earlier.differences(now) if earlier else f"whose '{_REQUEST}' is missing or damaged"
    return OutputError(
        f"'{folder}' has unfinished predictions {what}. To continue them, use the same model, "
        "options and images. To discard them, pass --overwrite (overwrite=True). To keep them, "
        "choose another --out."
    )


def _check_files(folder: Path) -> None:
    """Reject a folder with other files."""
    for path in folder.iterdir():
        if not _is_ours(path):
            raise OutputError(
                f"The folder '{folder}' is for unfinished predictions, but has another file, "
                f"'{path.name}'. Move the folder, or choose another --out."
            )


def _remove_hidden(folder: Path) -> None:
    """Remove files that were being written."""
    for path in folder.glob(".*"):
        if path.name != _LOCK:
            remove(path)


def _is_ours(path: Path) -> bool:
    return _OURS.fullmatch(path.name) is not None


def _parts_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _empty(folder: Path, *, but: Path) -> None:
    for path in folder.iterdir():
        if path not in (but, folder / _LOCK):
            remove(path)


def _remove_damaged(folder: Path) -> None:
    """Remove results that a power failure has damaged, so that they are computed again."""
    from headstart.runs.stored_results import is_complete

    for path in _parts_in(folder):
        if not is_complete(path):
            remove(path)


def _remove_without_results(folder: Path) -> None:
    # Pictures of results that were not complete are continued with, too.
    request = BatchRequest.read(folder)
    pictured = request is not None and request.options.get("explain")
    if not (_parts_in(folder) or pictured) and all(map(_is_ours, folder.glob("*"))):
        remove(folder)


def _shown(options: Mapping[str, JsonValue], name: str) -> str:
    value = options.get(name)
    return "none" if value is None else str(value)
