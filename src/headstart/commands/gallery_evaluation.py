"""Evaluate a gallery: look up its own images among the others, or other labelled images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from headstart.commands.embedding import features_of, open_gallery, open_labelled
from headstart.data.contract import PixelContract
from headstart.data.formats import is_image_file
from headstart.data.images import ImageSet
from headstart.data.paths import data_name, walk_files
from headstart.errors import OptionError, OutputError
from headstart.files import file_sha256
from headstart.galleries.evaluating import evaluate_retrieval
from headstart.galleries.queries import Queries, other_queries, own_queries
from headstart.galleries.store import GalleryStore
from headstart.galleries.table import Enrolled
from headstart.gallery_options import EvaluateGalleryOptions
from headstart.record import Rejection
from headstart.record.gallery_evaluation import GalleryEvaluation, GalleryMeasures
from headstart.report.gallery_evaluation import render_gallery_evaluation
from headstart.report.pictures import Pictures
from headstart.runs.folders import check_evaluation_folder
from headstart.runs.run import write_gallery_evaluation
from headstart.watching import Watcher


def run_gallery_evaluation(
    gallery: str | os.PathLike[str],
    data: str | os.PathLike[str] | None,
    options: EvaluateGalleryOptions,
    watcher: Watcher,
) -> GalleryEvaluation:
    """Run `gallery evaluate` with validated options.

    Args:
        gallery: The folder of the gallery.
        data: Labelled images to look up; None for the enrolled ones.
        options: What to do.
        watcher: Follows the stages.
    """
    folder = Path(gallery)
    _check(folder, data, options)
    opened = open_gallery(folder, options)
    enrolled = opened.table.enrolled()
    images: ImageSet | None = None
    rejected: tuple[Rejection, ...] = ()
    if data is None:
        queries = own_queries(enrolled, str(gallery))
    else:
        images, rejected = open_labelled(data, opened.extractor, options, watcher)
        queries = _look_up_data(opened, enrolled, images, data, watcher)
    with watcher.stage("Looking up images"):
        measures = evaluate_retrieval(queries, enrolled, opened.settings.certainty)
    record = GalleryEvaluation(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        gallery=str(gallery),
        data=None if data is None else data_name(data),
        enrolled=len(enrolled),
        labels=len(set(enrolled.labels)),
        measures=measures,
        rejected=rejected,
    )
    if options.out:
        with watcher.stage("Writing the report"):
            contract = opened.extractor.preprocess.contract
            shown = _enrolled_pictures(options.pictures, enrolled, measures, contract)
            looked_up = Pictures.of(images, contract) if images else shown
            trials = opened.settings.trials
            page = render_gallery_evaluation(record, trials, looked_up, shown)
            write_gallery_evaluation(options.out, record, page)
    return record


def _check(
    gallery: Path, data: str | os.PathLike[str] | None, options: EvaluateGalleryOptions
) -> None:
    """Check the options before any work is done."""
    if data is None and options.group is not None:
        raise OptionError(
            "--group is a column of DATA, and has no effect without it: the groups of enrolled "
            "images are those with which they were added."
        )
    if options.out is None:
        if options.pictures is not None:
            raise OptionError("--pictures has no effect without a report. Pass --out FOLDER.")
        return
    if options.out.resolve().is_relative_to(gallery.resolve()):
        raise OutputError(
            f"Output '{options.out}' is inside the gallery, which keeps no pictures. Choose a "
            "folder elsewhere."
        )
    if options.pictures is not None and not options.pictures.is_dir():
        raise OptionError(
            f"Pictures '{options.pictures}' are not a folder. Pass the folder that has the "
            "enrolled images."
        )
    check_evaluation_folder(options.out, overwrite=options.overwrite)


def _look_up_data(
    gallery: GalleryStore,
    enrolled: Enrolled,
    images: ImageSet,
    data: str | os.PathLike[str],
    watcher: Watcher,
) -> Queries:
    features, _ = features_of(gallery.extractor, images, watcher)
    found = gallery.embedded(images, features)
    return other_queries(found, enrolled, str(gallery.folder), os.fspath(data))


def _enrolled_pictures(
    folder: Path | None, enrolled: Enrolled, measures: GalleryMeasures, contract: PixelContract
) -> Pictures:
    """Return the pictures of the enrolled images that a report shows, by name."""
    if folder is None:
        return Pictures({}, contract)
    names = set(_shown_names(measures))
    wanted: dict[str, str] = {}
    for name, sha256 in zip(enrolled.images, enrolled.sha256s, strict=True):
        if name in names:  # Of two images of one name, neither can be told by it.
            wanted[name] = "" if name in wanted else sha256
    return Pictures(_found_files(folder, wanted), contract)


def _shown_names(measures: GalleryMeasures) -> Iterator[str]:
    for miss in (*measures.misses, *measures.accepted):
        yield from (miss.image, miss.found.image)
        if miss.right:
            yield miss.right.image


def _found_files(folder: Path, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return where images are, by name; first where the name says, then by their content."""
    found = {
        name: str(folder / name)
        for name, sha256 in wanted.items()
        if sha256 and (folder / name).is_file() and file_sha256(folder / name) == sha256
    }
    missing = {sha256: name for name, sha256 in wanted.items() if sha256 and name not in found}
    for file in walk_files(folder, on_unreadable=lambda error: None):
        if not missing:
            break
        if is_image_file(file) and (name := missing.pop(file_sha256(file), None)):
            found[name] = str(file)
    return found
