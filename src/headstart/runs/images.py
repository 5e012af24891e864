"""The images of a run, as its manifest lists them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.data.decoding import sha256_of
from headstart.data.images import Images, ImageSet
from headstart.data.manifest import usable
from headstart.data.paths import list_names
from headstart.errors import RecordError, UnreadableImage
from headstart.task import Task
from headstart.urls import reading_threads
from headstart.watching import Progress

MANIFEST = "manifest.parquet"


def is_run(folder: Path) -> bool:
    """Return whether a folder lists the images of a training, which a bundle alone does not."""
    return (folder / MANIFEST).is_file()


def images_of_part(run: Path, part: str) -> set[str]:
    """Return the sha256 of each image in the part "train", "val" or "test" of a run.

    A bundle without a run has none.
    """
    if not is_run(run):
        return set()
    rows = _manifest(run, ["sha256", "split", "rejected"]).to_pylist()
    return {row["sha256"] for row in rows if row["split"] == part and row["rejected"] is None}


def files_by_hash(run: Path) -> dict[str, tuple[str, str]]:
    """Return name and path of each image of a run by the sha256 of its file.

    A bundle without a run has none.
    """
    if not is_run(run):
        return {}
    rows = _manifest(run, ["sha256", "image", "path"]).to_pylist()
    return {row["sha256"]: (row["image"], row["path"]) for row in rows if row["sha256"]}


def images_of_run(run: Path, task: Task) -> Images:
    """Return the images of a run, with the labels and the split of the training.

    Raises:
        RecordError: The manifest cannot be read.
    """
    manifest = _manifest(run)
    classes = task.classes(usable(manifest)["label"].to_pylist())
    return Images(run.resolve().name, manifest, classes, task)


def find_changes(images: ImageSet, progress: Progress) -> str:
    """Say which files of images are missing or have other bytes; return "" if there are none.

    Args:
        images: Images of a run.
        progress: Called after each image.
    """
    missing: list[str] = []
    changed: list[str] = []
    threads = max((reading_threads(path) for path, _ in images.files[:1]), default=1)
    with ThreadPoolExecutor(threads) as pool:
        digests = pool.map(_digest, [path for path, _ in images.files])
        for number, (digest, (path, sha256)) in enumerate(zip(digests, images.files, strict=True)):
            if digest != sha256:
                (changed if digest else missing).append(path)
            progress(number + 1, len(images))
    if len(missing) == len(images):
        return f"all are missing ({list_names(missing, 3)})"
    counts = (
        _counted(missing, "is", "are", "missing"),
        _counted(changed, "has", "have", "changed"),
    )
    return " and ".join(filter(None, counts))


def _manifest(run: Path, columns: Sequence[str] | None = None) -> pa.Table:
    path = run / MANIFEST
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(f"'{path}' cannot be read: {error}.") from None


def _digest(path: str) -> str | None:
    """Return the hash of a file, or None if it cannot be read."""
    try:
        return sha256_of(path)
    except (OSError, UnreadableImage):
        return None


def _counted(paths: list[str], singular: str, plural: str, problem: str) -> str:
    """Return how many files have a problem, with their names; "" if there are none."""
    verb = singular if len(paths) == 1 else plural
    return f"{len(paths):,} {verb} {problem} ({list_names(paths, 3)})" if paths else ""
