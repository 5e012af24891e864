"""Compare: measure trained models on the same labelled images, and test their differences."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headstart.commands.combinations import COMPARISON, reject_ineffective_options
from headstart.commands.pairing import (
    check_readings,
    common_classes,
    record_comparison,
    restricted_to,
    warn_of_classes,
)
from headstart.commands.parts import part_of_data, used_before
from headstart.errors import OptionError
from headstart.options import CompareOptions
from headstart.record.comparison import ComparisonRecord
from headstart.report.comparison import render_comparison
from headstart.report.page import write_page
from headstart.report.pictures import Pictures
from headstart.runs.folders import check_page
from headstart.runs.images import is_run
from headstart.tasks.loading import load_predictor
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
    predictors = {name: load_predictor(name, options) for name in names}
    task, classes = common_classes(predictors)
    left_out = warn_of_classes(predictors, classes, watcher)
    first = replace(predictors[names[0]], classes=classes)
    part = part_of_data(Path(names[0]), first, data, options, watcher, slices=options.slices)
    check_readings(predictors, part.images)
    warnings = list(part.warnings)
    for name in names[1:]:
        for warning in used_before(Path(name), predictors[name].record, part.images):
            warnings.append(f"'{name}': {warning}")
            watcher.warn(warnings[-1])
    answers = {}
    for name, predictor in predictors.items():
        with watcher.stage(f"Predicting with {name}") as progress:
            found = predictor.probabilities_of(part.images, progress=progress, warn=watcher.warn)
        answers[name] = restricted_to(task, predictor, found, classes)
    shown = replace(part, images=replace(part.images, classes=classes))
    record = record_comparison(task, answers, shown, left_out, warnings)
    if options.report:
        with watcher.stage("Writing the page"):
            contract = first.extractor.preprocess.contract
            pictures = Pictures.of(part.images, contract)
            write_page(options.report, render_comparison(record, pictures))
    return record


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
