"""Predict: classify images with a trained model."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from headstart.answers import BoxesPrediction
from headstart.cluster.joining import joined
from headstart.commands.combinations import LABELS, PREDICTION, reject_ineffective_options
from headstart.commands.image_files import (
    Volumes,
    are_files,
    count_of,
    found_with_tables,
    listed_files,
    numbering_listing,
)
from headstart.commands.tiling import Tiling
from headstart.data.inputs import ImageLike, ImagesLike, ListedImage
from headstart.data.paths import list_names, printable
from headstart.errors import OptionError
from headstart.options import DecodeLimits, PredictOptions
from headstart.predictor.bundle import Bundle
from headstart.predictor.detector import Detector, check_answer_options
from headstart.predictor.predictor import AnyResult, FailedPrediction, Predictor
from headstart.runs.outputs import Output
from headstart.runs.predictions import Counts, write_predictions
from headstart.runs.unfinished_predictions import (
    UnfinishedPredictions,
    unfinished_predictions,
)
from headstart.tasks.loading import AnyModel, load_model, model_of, read_model
from headstart.watching import Progress, Watcher, name_place, name_step

if TYPE_CHECKING:
    from headstart.cluster.cluster import Cluster
    from headstart.commands.picture_folder import PictureFolder
    from headstart.data.boxes.coco_listing import CocoListing

_Predict = Callable[[Iterable[ImageLike]], Iterator[AnyResult]]
"""Yields the predictions for images."""

# Options that predictions do not depend on; device and precision are replaced by what they mean.
_FREE = ("out", "format", "overwrite", "cache", "device", "precision", "cluster")


@dataclass(frozen=True)
class WrittenPredictions:
    """Predictions in a file.

    Attributes:
        out: The file, or its URL.
        counts: Their number, and what they say.
        results: All of them; iterating over it reads them again.
    """

    out: Path | str
    counts: Counts
    results: Iterable[AnyResult]


def run_prediction(
    model: str | os.PathLike[str], images: ImagesLike, options: PredictOptions, watcher: Watcher
) -> list[AnyResult]:
    """Run `predict` with validated options, and return all results."""
    if options.out and are_files(images):
        with predict_to_file(model, images, options, watcher) as written:
            return list(written.results)
    reject_ineffective_options(options, PREDICTION)
    if options.cluster and not options.out:
        raise OptionError("--cluster needs --out: it is for many images, not for answers at once.")
    output = Output.of(options.out, options.cache) if options.out else None
    if output:
        output.check(overwrite=options.overwrite, format_=options.format)
    found = found_with_tables(images, options.cache, watcher)
    known = count_of(found)
    predictor = load_model(model, options)
    _reject_unsuitable(predictor, options)
    numbering = _numbering(images, predictor, options, watcher)
    volumes = Volumes.of(predictor.contract, options.cache)
    predict = _predict(predictor, options, resumed=False)
    tiling = Tiling.of(predictor, options, watcher.note)
    results: list[AnyResult] = []
    with watcher.stage("Predicting") as progress:
        for result in tiling.watched(predict(volumes.unpacked(found))):
            results.append(_named(result, volumes))
            progress(len(results), max(len(results), known))
    tiling.advise()
    if output:
        write_predictions(output.file, results, predictor.classes, options.format, numbering)
        output.publish()
    return results


@contextmanager
def predict_to_file(
    model: str | os.PathLike[str], images: ImagesLike, options: PredictOptions, watcher: Watcher
) -> Iterator[WrittenPredictions]:
    """Predict any number of files with few results in memory, and yield what is written.

    The results so far are kept in a folder beside the output, or in the cache if the output is at a
    URL, until all are done. The same command continues there if it was interrupted.

    Args:
        model: The model.
        images: Paths of files, folders and tables.
        options: With `out`.
        watcher: Receives progress.
    """
    assert options.out
    if options.cluster and (options.explain or options.pictures):
        raise OptionError("--explain and --pictures are not drawn on a cluster. Omit --cluster.")
    reject_ineffective_options(options, PREDICTION)
    output = Output.of(options.out, options.cache)
    output.check(overwrite=options.overwrite, format_=options.format)
    bundle = read_model(model)
    predictor = model_of(bundle, model, options)
    _reject_unsuitable(predictor, options)
    numbering = _numbering(images, predictor, options, watcher)
    with ExitStack() as stack:
        address = options.cluster
        cluster = stack.enter_context(joined(address, watcher)) if address else None
        with watcher.stage("Predicting") as progress:
            without = options.explain or options.pictures
            files = listed_files(images, options.cache, without, watcher)
            unfinished = stack.enter_context(
                unfinished_predictions(
                    *(output.file, bundle, _recorded(options, predictor), files),
                    overwrite=options.overwrite,
                )
            )
            stack.enter_context(_noting_interruption(unfinished, watcher))
            tiling = Tiling.of(predictor, options, watcher.note)
            if cluster:
                make = partial(_PartPredictor, bundle, str(model), _fixed(options, predictor))
                _predict_on(cluster, make, predictor.device, unfinished, tiling, progress)
            else:
                _predict_missing(predictor, unfinished, options, tiling, progress)
            name_step(progress, f"writing {options.out.name}")
            counts = unfinished.join(predictor.classes, options.format, numbering)
            output.publish()
        tiling.advise()
        stack.callback(unfinished.remove)
        yield WrittenPredictions(output.place, counts, unfinished)


def _numbering(
    images: ImagesLike, predictor: AnyModel, options: PredictOptions, watcher: Watcher
) -> "CocoListing | None":
    """Return the file whose ids COCO's results have, and say what ids they have.

    None if they have none, or if the images and classes are counted.

    Raises:
        DataError: The file has none of the classes.
        OptionError: Other images are passed beside the file.
    """
    if options.format != "coco" or not isinstance(predictor, Detector):
        return None
    listing = numbering_listing(images)
    if listing is None:
        watcher.note(
            "image_id counts the images of this command from 1, and category_id the classes of the "
            "model from 1. To compare with a file of your own, match by file_name and category; or "
            "pass that COCO file in place of the images, to get its ids."
        )
    elif missing := listing.without_category(predictor.classes):
        watcher.warn(
            f"Boxes of classes that are not categories of '{listing.file}', not written: "
            f"{list_names(missing)}."
        )
    return listing


def _predict_missing(
    predictor: AnyModel,
    unfinished: UnfinishedPredictions,
    options: PredictOptions,
    tiling: Tiling,
    progress: Progress,
) -> None:
    """Predict the images without results, part by part."""
    drawn = options.explain or options.pictures
    written = [path.name for path in map(_picture_of, unfinished) if path] if drawn else []
    predict = _predict(predictor, options, resumed=unfinished.continued, written=written)
    volumes = Volumes.of(predictor.contract, options.cache)
    done, count = unfinished.done, unfinished.request.count
    if 0 < done < count:
        name_place(progress, f"image {done + 1:,} of {count:,}")
    begin = 0  # The rate is that of this command, so its count begins anew.
    for number, files in unfinished.missing():
        results = tiling.watched(predict(volumes.unpacked(files)))
        named = (_named(result, volumes) for result in results)
        reported = _reported(named, begin, len(files), count - done, progress)
        unfinished.write(number, reported)
        begin += len(files)


class _PartPredictor:
    """Predicts parts of the images in a worker.

    Args:
        bundle: The model.
        model: Its name, for errors.
        options: With the device and the precision of the process that divides the work.
    """

    def __init__(self, bundle: Bundle, model: str, options: PredictOptions) -> None:
        predictor = model_of(bundle, model, options)
        self._predict = _predict(predictor, options, resumed=False)
        self._volumes = Volumes.of(predictor.contract, options.cache)

    def __call__(self, part: tuple[int, Sequence[ListedImage]]) -> tuple[int, list[AnyResult]]:
        number, files = part
        results = self._predict(self._volumes.unpacked(files))
        return number, [_named(result, self._volumes) for result in results]


def _fixed(options: PredictOptions, predictor: AnyModel) -> PredictOptions:
    """Return the options with the device and the precision of a model."""
    update = {"device": predictor.device, "precision": predictor.precision}
    return options.model_copy(update=update)


def _predict_on(
    cluster: "Cluster",
    make: Callable[[], _PartPredictor],
    device: str,
    unfinished: UnfinishedPredictions,
    tiling: Tiling,
    progress: Progress,
) -> None:
    """Predict the images without results on a cluster, part by part."""
    done, count = unfinished.done, unfinished.request.count
    if 0 < done < count:
        name_place(progress, f"image {done + 1:,} of {count:,}")
    predicted, total = 0, count - done
    for number, results in cluster.map(make, unfinished.missing(), device):
        unfinished.write(number, tiling.watched(results))
        predicted += len(results)
        progress(min(predicted, total), total)


def _reported(
    results: Iterable[AnyResult], begin: int, files: int, total: int, progress: Progress
) -> Iterator[AnyResult]:
    """Yield the results of some files, and report them; a file may have several."""
    for number, result in enumerate(results, 1):
        yield result
        progress(begin + min(number, files), total)


@contextmanager
def _noting_interruption(unfinished: UnfinishedPredictions, watcher: Watcher) -> Iterator[None]:
    """After Ctrl-C, say where the results so far are."""
    try:
        yield
    except KeyboardInterrupt:
        if done := unfinished.done:
            watcher.note(
                f"The predictions of {done:,} of {unfinished.request.count:,} images are kept in "
                f"'{unfinished.folder}'. The same command continues there."
            )
        raise


def _picture_of(result: AnyResult) -> Path | None:
    """Return the file with the heat map of a prediction, or with the picture of its boxes."""
    if isinstance(result, FailedPrediction):
        return None
    path = result.picture if isinstance(result, BoxesPrediction) else result.heat_map
    return Path(path) if path else None


def _reject_unsuitable(model: AnyModel, options: PredictOptions) -> None:
    """Reject options that are for another kind of model, before any image is read."""
    if isinstance(model, Detector):
        check_answer_options(options)
        return
    reject_ineffective_options(options, LABELS)
    if options.format == "coco":
        raise OptionError("--format coco is for boxes, which this model does not predict.")


def _recorded(options: PredictOptions, predictor: AnyModel) -> dict[str, JsonValue]:
    """Return the options that predictions depend on."""
    meant = {"device": predictor.device, "precision": predictor.precision}
    return options.model_dump(mode="json", exclude=set(_FREE)) | meant


def _predict(
    predictor: AnyModel, options: PredictOptions, *, resumed: bool, written: Iterable[str] = ()
) -> _Predict:
    """Return what predicts images, with heat maps or pictures if these are asked for.

    Args:
        predictor: The model.
        options: What was asked for.
        resumed: Whether an earlier command wrote pictures for this prediction.
        written: The names of these.
    """
    limits = DecodeLimits(max_pixels=options.max_pixels)
    overwrite = options.overwrite or resumed
    if isinstance(predictor, Detector):
        detector = replace(predictor, tiles=options.tiles or predictor.tiles)
        if options.pictures is None:
            return lambda images: detector.predict_each(images, options, limits)
        from headstart.commands.drawing import draw_each, picture_folder  # It imports the report.

        drawn = picture_folder(options.pictures, overwrite=overwrite, written=written)
        return lambda images: draw_each(detector, images, options, limits, drawn)
    if options.explain is None:
        return lambda images: predictor.predict_each(images, options, limits)
    from headstart.commands.picture_folder import PictureFolder  # It imports the report.

    folder = PictureFolder(options.explain, overwrite=overwrite, written=written)
    return lambda images: _explained(predictor, images, options, folder)


def _explained(
    predictor: Predictor,
    images: Iterable[ImageLike],
    options: PredictOptions,
    folder: "PictureFolder",
) -> Iterator[AnyResult]:
    """Yield predictions, and write a heat map of each."""
    from headstart.explanations.explaining import explain_each  # It needs PyTorch.

    for result in explain_each(predictor, images, options, neighbours=0):
        if isinstance(result, FailedPrediction):
            yield result
            continue
        prediction = result.prediction
        path = folder.write(prediction.image, result.picture)
        yield replace(prediction, heat_map=str(path))


def was_read(predictions: Iterable[AnyResult], images: Iterable[str]) -> bool:
    """Return whether every file that was passed could be read, and at least one file of a folder.

    Args:
        predictions: The results for `images`.
        images: The paths of files, folders and tables.
    """
    named = set(map(printable, images))
    any_read = False
    for prediction in predictions:
        if not isinstance(prediction, FailedPrediction):
            any_read = True
        elif prediction.image in named:
            return False
    return any_read


def _named(result: AnyResult, volumes: Volumes) -> AnyResult:
    """Return a result with the name of its image, and why it cannot be read."""
    if isinstance(result, FailedPrediction):
        name, error = volumes.named(result.image, result.error)
        return replace(result, image=name, error=str(error))
    return replace(result, image=volumes.named(result.image)[0])
