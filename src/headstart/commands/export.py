"""Export: the same answers from the same files, without this project."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headstart.commands.image_files import found_images
from headstart.data.images import Images
from headstart.errors import OptionError
from headstart.exporting.detector_job import DetectorExportJob, check_detector_options
from headstart.exporting.job import ExportJob
from headstart.exporting.output import check_output
from headstart.options import ComputeOptions, ExportOptions
from headstart.predictor.detector import Detector
from headstart.record.export import ExportRecord
from headstart.runs.images import images_of_run, is_run
from headstart.tasks.loading import AnyModel, load_model
from headstart.urls import is_url
from headstart.watching import Watcher

# The answers to so many files are compared, as far as there are so many.
_FILES = 200


def run_export(
    model: str | os.PathLike[str] | AnyModel, options: ExportOptions, watcher: Watcher
) -> ExportRecord:
    """Run `export` with validated options."""
    check_output(options.out, overwrite=options.overwrite)
    if isinstance(model, AnyModel):
        measured, images = model, None
    else:
        measured = load_model(model, ComputeOptions(cache=options.cache, device="cpu"))
        images = images_of_run(Path(model), measured.task) if is_run(Path(model)) else None
    if isinstance(measured, Detector):
        check_detector_options(options)
        return DetectorExportJob(measured, _files(options, images, watcher), options, watcher).run()
    files = _files(options, images, watcher)
    exact = replace(measured, extractor=measured.extractor.in_float32())
    return ExportJob(exact, measured, files, images, options, watcher).run()


def _files(options: ExportOptions, images: Images | None, watcher: Watcher) -> Sequence[Path]:
    """Return the image files to check with: those that were named, or the run's, test images first.

    Raises:
        OptionError: None are named, and the model lists none or they are gone.
    """
    if options.images is not None:
        return _spread([Path(str(one)) for one in found_images([options.images], watcher.warn)])
    if images is None:
        raise OptionError(
            "This model does not list images, so its export cannot be checked. "
            "Name some with --images FOLDER, or export the run."
        )
    if any(is_url(path) for path, _ in images.train.files[:1]):
        raise OptionError(
            "The images of this run are in an object store, and an export is checked with files of "
            "this machine. Name some with --images FOLDER."
        )
    parts = [[Path(path) for path, _ in part.files] for part in (images.test, images.val)]
    parts.append([Path(path) for path, _ in images.train.files])
    found = list[Path]()
    for part in parts:
        found += _spread([path for path in part if path.is_file()], _FILES - len(found))
    gone = sum(not path.is_file() for part in parts for path in part)
    if gone and found:
        watcher.warn(f"{gone:,} images of the run are gone, so others check the export.")
    if not found:
        missing = next(path for part in parts for path in part)
        raise OptionError(
            f"The images of the run are gone ('{missing}' and others), so the export cannot be "
            "checked. Name others with --images FOLDER."
        )
    return found


def _spread(paths: Sequence[Path], count: int = _FILES) -> list[Path]:
    """Return so many of the paths at equal distances, or all."""
    if len(paths) <= count:
        return list(paths)
    return [paths[number * len(paths) // count] for number in range(count)]
