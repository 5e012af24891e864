"""Explain: heat maps of predictions, and the training images that are similar."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from headstart.commands.image_files import Volumes, count_of, found_images
from headstart.commands.picture_folder import PictureFolder
from headstart.data.inputs import ImagesLike
from headstart.explanations.explaining import Explanation, check_label, explain_each
from headstart.options import ExplainOptions
from headstart.predictor.predictor import FailedPrediction
from headstart.record.explanation import ExplainedImage, SimilarImage
from headstart.runs.images import files_by_hash
from headstart.tasks.loading import load_predictor
from headstart.watching import Watcher

AnyExplanation = ExplainedImage | FailedPrediction


def run_explanation(
    model: str | os.PathLike[str], images: ImagesLike, options: ExplainOptions, watcher: Watcher
) -> list[AnyExplanation]:
    """Run `explain` with validated options."""
    found = found_images(images, watcher.warn)
    count = count_of(found)
    predictor = load_predictor(model, options)
    check_label(predictor, options.label)
    volumes = Volumes.of(predictor.extractor.preprocess.contract, options.cache)
    known = files_by_hash(Path(model))
    folder = PictureFolder(options.out, overwrite=options.overwrite)
    results: list[AnyExplanation] = []
    with watcher.stage("Explaining") as progress:
        each = explain_each(
            predictor,
            volumes.unpacked(found),
            label=options.label,
            neighbours=options.nearest,
            pictured=not known,
        )
        for result in each:
            results.append(_written(result, volumes, known, folder))
            progress(len(results), max(len(results), count))
    return results


def _written(
    result: Explanation | FailedPrediction,
    volumes: Volumes,
    known: Mapping[str, tuple[str, str]],
    folder: PictureFolder,
) -> AnyExplanation:
    """Write the heat map of an image, and return its explanation."""
    if isinstance(result, FailedPrediction):
        name, error = volumes.named(result.image, result.error)
        return replace(result, image=name, error=str(error))
    prediction = result.prediction
    name, _ = volumes.named(prediction.image)
    return ExplainedImage(
        name,
        result.label,
        result.probability,
        str(folder.write(name, result.picture)),
        tuple(
            SimilarImage(
                known.get(one.sha256, ("", ""))[0],
                one.label,
                one.distance,
                str(folder.write_once(one.sha256, example)) if example else None,
            )
            for one, example in result.neighbours
        ),
        prediction.unknown,
    )
