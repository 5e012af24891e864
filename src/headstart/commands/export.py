"""Export: the same answers from the same files, without this project."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headstart.commands.image_files import found_images
from headstart.data.images import Images
from headstart.errors import OptionError
from headstart.export.exporting import Exporting, check_output
from headstart.options import ComputeOptions, ExportOptions
from headstart.predictor.predictor import Predictor
from headstart.record.export import ExportRecord
from headstart.runs.images import images_of_run, is_run
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher

# The answers to so many files are compared, as far as there are so many.
_FILES = 200


def run_export(
    model: str | os.PathLike[str] | Predictor, options: ExportOptions, watcher: Watcher
) -> ExportRecord:
    """Run `export` with validated options."""
    check_output(options.out, overwrite=options.overwrite)
    if isinstance(model, Predictor):
        measured, images = model, None
    else:
        measured = load_predictor(model, ComputeOptions(cache=options.cache, device="cpu"))
        images = images_of_run(Path(model), measured.task) if is_run(Path(model)) else None
    files = _files(options, images, watcher)
    exact = replace(measured, extractor=measured.extractor.in_float32())
    return Exporting(exact, measured, files, images, options, watcher).run()


def _files(options: ExportOptions, images: Images | None, watcher: Watcher) -> Sequence[Path]:
    """Return the image files to check with: those that were named, or the run's, test images first.

    Raises:
        OptionError: None are named, and the model lists none or they are gone.
    """
    if options.images is not None:
        return [Path(str(image)) for image in found_images([options.images], watcher.warn)][:_FILES]
    if images is None:
        raise OptionError(
            "This model does not list images, so its export cannot be checked. "
            "Name some with --images FOLDER, or export the run."
        )
    parts = (images.test, images.val, images.train)
    paths = [Path(path) for part in parts for path, _ in part.files]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise OptionError(
            f"The images of the run are gone ('{paths[0]}' and others), so the export cannot be "
            "checked. Name others with --images FOLDER."
        )
    return found[:_FILES]
