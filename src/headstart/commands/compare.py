"""Compare: measure trained models on the same labelled images, and test their differences."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from headstart.commands.box_pairs import error_pictures, find_with_each, measure_detectors
from headstart.commands.combinations import COMPARISON, reject_ineffective_options
from headstart.commands.pairing import (
    Answers,
    check_readings,
    common_classes,
    measure_labels,
    record_comparison,
    restricted_to,
    warn_of_classes,
)
from headstart.commands.parts import part_of_data, used_before
from headstart.data.images import ImageSet
from headstart.errors import OptionError
from headstart.options import CompareOptions
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import Predictor
from headstart.record.comparison import ComparisonRecord
from headstart.report.comparison import render_comparison
from headstart.report.page import write_page
from headstart.report.pictures import Pictures
from headstart.runs.folders import check_page
from headstart.runs.images import is_run
from headstart.task import Task
from headstart.tasks.loading import load_model
from headstart.watching import Watcher


def run_comparison(
    models: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    options: CompareOptions,
    watcher: Watcher,
) -> ComparisonRecord:
    """Run `compare` with validated options.

    Args:
        models: Run folders or bundles, at least two.
        data: See `compare`.
        options: What to do.
        watcher: Follows the stages.
    """
    names = [os.fspath(model) for model in models]
    reject_ineffective_options(options, COMPARISON)
    _check_models(names, os.fspath(data))
    check_page(options.report, overwrite=options.overwrite)
    models_by_name = {name: load_model(name, options) for name in names}
    task, classes = common_classes(models_by_name)
    left_out = warn_of_classes(models_by_name, classes, watcher)
    first = replace(models_by_name[names[0]], classes=classes)
    part = part_of_data(Path(names[0]), first, data, options, watcher, slices=options.slices)
    check_readings(models_by_name, part.images)
    part = replace(part, images=replace(part.images, classes=classes))
    warnings = list(part.warnings)
    for name in names[1:]:
        for warning in used_before(Path(name), models_by_name[name].record, part.images):
            warnings.append(f"'{name}': {warning}")
            watcher.warn(warnings[-1])
    if detectors := {n: one for n, one in models_by_name.items() if isinstance(one, Detector)}:
        found = find_with_each(detectors, part.images, watcher)
        measured = measure_detectors(found, part.images)
        shown: Mapping[str, Pictures] = error_pictures(found, part.images, first.contract)
    else:
        predictors = {n: one for n, one in models_by_name.items() if isinstance(one, Predictor)}
        answers = _answers(predictors, task, part.images, watcher)
        measured = measure_labels(task, answers, part.images)
        shown = dict.fromkeys(names, Pictures.of(part.images, first.contract))
    record = record_comparison(measured, part, left_out, warnings)
    if options.report:
        with watcher.stage("Writing the page"):
            write_page(options.report, render_comparison(record, shown))
    return record


def _answers(
    predictors: Mapping[str, Predictor], task: Task, images: ImageSet, watcher: Watcher
) -> dict[str, Answers]:
    """Predict the images with each model."""
    answers = {}
    for name, predictor in predictors.items():
        with watcher.stage(f"Predicting with {name}") as progress:
            found = predictor.probabilities_of(images, progress=progress, warn=watcher.warn)
        answers[name] = restricted_to(task, predictor, found, images.classes)
    return answers


def _check_models(names: Sequence[str], data: str) -> None:
    if names and is_run(Path(data)):
        raise OptionError(
            f"DATA is missing: '{data}' is a run. Pass labelled images last: headstart compare "
            "MODEL MODEL… DATA"
        )
    if len(names) < 2:
        raise OptionError("Pass at least two models: headstart compare MODEL MODEL… DATA")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"'{repeated[0]}' is passed twice. Pass different models.")
