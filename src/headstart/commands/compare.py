"""Compare: measure trained models on the same labelled images, and test their differences."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from headstart.commands.combinations import COMPARISON, reject_ineffective_options
from headstart.commands.pairing import (
    common_classes,
    compare_pairs,
    dependent_groups,
    restricted_to,
)
from headstart.commands.parts import Part, part_of_data, used_before
from headstart.data.medical.volumes import reading_of
from headstart.data.paths import list_names
from headstart.errors import DataError, OptionError
from headstart.options import CompareOptions
from headstart.predictor.predictor import Predictor
from headstart.record.comparison import ComparisonRecord
from headstart.report.comparison import write_comparison
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
    left_out = sorted({label for one in predictors.values() for label in one.classes} - {*classes})
    if left_out:
        watcher.warn(
            f"Only the classes that all models have are compared. Left out: {list_names(left_out)}."
        )
    first = replace(predictors[names[0]], classes=classes)
    part = part_of_data(Path(names[0]), first, data, options, watcher, slices=options.slices)
    _check_readings(predictors, part)
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
    groups = dependent_groups(part.images)
    record = ComparisonRecord(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        models=tuple(names),
        data=part.data,
        split=part.name,
        images=len(part.images),
        groups=len(set(groups)) if groups else None,
        classes=classes,
        left_out=tuple(left_out),
        pairs=compare_pairs(task, answers, part.images, groups),
        rejected=part.rejected,
        warnings=tuple(warnings),
    )
    if options.report:
        with watcher.stage("Writing the page"):
            contract = first.extractor.preprocess.contract
            write_comparison(options.report, record, part.images, contract)
    return record


def _check_readings(predictors: dict[str, Predictor], part: Part) -> None:
    """Check that all models read medical images alike: each has its window and frames."""
    readings = {
        name: reading_of(one.extractor.preprocess.contract) for name, one in predictors.items()
    }
    if len(set(readings.values())) > 1 and part.images.is_medical:
        listed = ", ".join(
            f"'{name}' --window {one.window} --frames {one.frames}"
            for name, one in readings.items()
        )
        raise DataError(
            f"The models read medical images differently, so they cannot be compared on these: "
            f"{listed}."
        )


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
