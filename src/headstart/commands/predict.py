"""Predict: classify images with a trained model."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from headstart.commands.combinations import PREDICTION, reject_ineffective_options
from headstart.commands.image_files import Volumes, count_of, found_images
from headstart.data.inputs import ImageLike, ImagesLike
from headstart.data.paths import printable
from headstart.options import PredictOptions
from headstart.predictor.predictor import AnyPrediction, FailedPrediction, Predictor
from headstart.runs.predictions import check_output, write_predictions
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher


def run_prediction(
    model: str | os.PathLike[str], images: ImagesLike, options: PredictOptions, watcher: Watcher
) -> list[AnyPrediction]:
    """Run `predict` with validated options."""
    reject_ineffective_options(options, PREDICTION)
    check_output(options.out, overwrite=options.overwrite)
    found = found_images(images, watcher.warn)
    known = count_of(found)
    predictor = load_predictor(model, options)
    volumes = Volumes.of(predictor.extractor.preprocess.contract, options.cache)
    each = volumes.unpacked(found)
    predict = _explained if options.explain else Predictor.predict_each
    predictions = predict(predictor, each, options)
    results: list[AnyPrediction] = []
    with watcher.stage("Predicting") as progress:
        for result in predictions:
            results.append(_named(result, volumes))
            progress(len(results), max(len(results), known))
    if options.out:
        write_predictions(options.out, results, predictor.classes)
    return results


def _explained(
    predictor: Predictor, images: Iterable[ImageLike], options: PredictOptions
) -> Iterator[AnyPrediction]:
    """Yield predictions, and write a heat map of each."""
    # These need PyTorch, which is slow to import.
    from headstart.commands.picture_folder import PictureFolder
    from headstart.explanations.explaining import explain_each

    assert options.explain
    folder = PictureFolder(options.explain, overwrite=options.overwrite)
    for result in explain_each(predictor, images, options, neighbours=0):
        if isinstance(result, FailedPrediction):
            yield result
            continue
        prediction = result.prediction
        path = folder.write(prediction.image, result.picture)
        yield replace(prediction, heat_map=str(path))


def was_read(predictions: Sequence[AnyPrediction], images: Sequence[str]) -> bool:
    """Return whether every file that was passed could be read, and at least one file of a folder.

    Args:
        predictions: The results for `images`.
        images: The paths of files and folders.
    """
    named = set(map(printable, images))
    failed = [p.image for p in predictions if isinstance(p, FailedPrediction)]
    return named.isdisjoint(failed) and len(failed) < len(predictions)


def _named(result: AnyPrediction, volumes: Volumes) -> AnyPrediction:
    """Return a result with the name of its image, and why it cannot be read."""
    if isinstance(result, FailedPrediction):
        name, error = volumes.named(result.image, result.error)
        return replace(result, image=name, error=str(error))
    return replace(result, image=volumes.named(result.image)[0])
