"""Check: look at labelled images before training on them."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from headstart.backbones.backbone import load_backbone
from headstart.backbones.weights import check_reachable
from headstart.classifier import Classifier
from headstart.commands.combinations import CHECK, reject_ineffective_options
from headstart.commands.describing import describe_data
from headstart.commands.extraction import extract_features
from headstart.commands.inspecting import inspect_images
from headstart.commands.label_audit import doubtful_labels
from headstart.commands.proposing import propose_steps
from headstart.data.boxes.findings import find_in_boxes
from headstart.data.contract import PixelContract
from headstart.data.images import Images
from headstart.data.manifest import with_column
from headstart.data.paths import list_names
from headstart.data.plan import Action, Step, apply_plan, read_plan, write_plan
from headstart.errors import DataError, OptionError, OutputError
from headstart.heads.specs import AutoHead, LinearHead
from headstart.options import CheckOptions
from headstart.record.data_check import DataCheck, LabelError
from headstart.report.box_findings import describe_boxes
from headstart.report.data_check import render_check
from headstart.report.page import write_page
from headstart.report.pictures import Pictures
from headstart.runs.folders import check_page
from headstart.tasks.opening import has_boxes, open_data
from headstart.watching import Watcher

# The average of heads finds slightly more label errors; with more images it takes minutes.
_MANY, _FEW_CLASSES = 5000, 10


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Attributes:
        record: Everything that was found.
        applied: The number of images by what was done with them, if a plan was carried out.
        out: The copy that was written, if any.
    """

    record: DataCheck
    applied: dict[Action, int] | None = None
    out: Path | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return everything that was found or, with a plan, what was done."""
        if self.applied is None:
            return self.record.to_json()
        applied: dict[str, JsonValue] = {str(one): count for one, count in self.applied.items()}
        return {"out": str(self.out), "applied": applied}


def run_check(data: str | os.PathLike[str], options: CheckOptions, watcher: Watcher) -> CheckResult:
    """Run `check` with validated options.

    Args:
        data: See `train`.
        options: What to do.
        watcher: Follows the stages.
    """
    reject_ineffective_options(options, CHECK)
    _check_outputs(data, options)
    if has_boxes(data, options.task):
        _check_boxes(options)  # An error now, not after all images have been read.
    check_reachable(options.backbone, options.weights)
    steps = read_plan(options.apply) if options.apply else []
    start = time.perf_counter()
    images = open_data(data, options, watcher)
    if images.task.name == "boxes":
        _check_boxes(options)
    if options.apply and options.out:
        return _apply(data, images, steps, options.apply, options.out, watcher)
    contract = PixelContract(background=images.all.background, window=images.all.window)
    with watcher.stage("Looking at the images") as progress:
        inspection = inspect_images(images.all, contract, progress)
    warnings = list(images.warnings)
    errors: tuple[LabelError, ...] = ()
    accuracy = None
    if not options.no_label_errors and images.task.name != "boxes":
        try:
            errors, accuracy = _label_errors(images, options, watcher)
        except DataError as error:
            warnings.append(f"Label errors were not looked for: {error}")
            watcher.warn(warnings[-1])
    record = replace(
        describe_data(data, images),
        oddities=inspection.oddities,
        constant=inspection.constant,
        shortcuts=inspection.shortcuts,
        label_errors=errors,
        accuracy=accuracy,
        warnings=tuple(warnings),
        boxes=_describe_boxes(images),
        seconds=time.perf_counter() - start,
    )
    if options.report:
        with watcher.stage("Writing the page"):
            pictures = Pictures.of_manifest(images.manifest, contract)
            write_page(options.report, render_check(record, pictures))
    if options.plan:
        write_plan(options.plan, propose_steps(record, images))
    return CheckResult(record)


def _check_boxes(options: CheckOptions) -> None:
    """Reject what is for labels of whole images.

    Raises:
        OptionError: The option has no effect on boxes.
    """
    for name in ("plan", "apply", "no_label_errors", "backbone", "weights"):
        if name in options.given():
            raise OptionError(
                f"--{name.replace('_', '-')} is for classifiers, and this data has boxes. Remove "
                "it."
            )


def _describe_boxes(images: Images) -> tuple[tuple[str, str], ...]:
    if images.task.name != "boxes":
        return ()
    return tuple(describe_boxes(find_in_boxes(images.all.table)))


def _check_outputs(data: str | os.PathLike[str], options: CheckOptions) -> None:
    """Check before any work is done where results are written."""
    for path in (options.report, options.plan):
        check_page(path, overwrite=options.overwrite)
    if options.report and options.plan and options.report.resolve() == options.plan.resolve():
        raise OptionError("--report and --plan are the same file. Pass two names.")
    if options.out and options.out.resolve().is_relative_to(Path(data).resolve()):
        raise OutputError(
            f"Output '{options.out}' is inside the data, which is never changed. Choose a folder "
            "elsewhere."
        )


def _label_errors(
    images: Images, options: CheckOptions, watcher: Watcher
) -> tuple[tuple[LabelError, ...], float]:
    """Return the suspects of all parts, and the accuracy of the models that found them.

    The features are those of `train`, so that whichever command runs first computes them.
    """
    many = len(images.all) * max(len(images.classes), _FEW_CLASSES) > _MANY * _FEW_CLASSES
    with watcher.stage("Loading the backbone"):
        backbone = load_backbone(options.backbone, weights=options.weights, seed=options.seed)
        model = Classifier(
            backbone,
            LinearHead() if many else AutoHead(),
            classes=images.classes,
            features="last" if many else "auto",
            seed=options.seed,
            device=options.device,
            precision=options.precision,
            cache=options.cache,
        )
        model.choose_preprocessing(images.train, warn=watcher.warn, note=watcher.note)
    extract_features(model, images, watcher)
    with watcher.stage("Looking for label errors"):
        features, stored_as = model.features_of(images.all, warn=watcher.warn)
        model.fit_features(images.all, features, stored_as)
        found = model.held_out_probabilities()
        if found is None:
            raise DataError("no images could be held out.")
        rows, probabilities = found
        held_out = images.all.take(rows)
        split = None if images.split_given else ""
        correct = images.task.hits(probabilities, held_out.labels)
        return doubtful_labels(held_out, probabilities, split=split), float(correct.mean())


def _apply(
    data: str | os.PathLike[str],
    images: Images,
    steps: Sequence[Step],
    plan: Path,
    out: Path,
    watcher: Watcher,
) -> CheckResult:
    several = images.task.activation == "sigmoid"
    manifest = images.manifest
    if not images.split_given:
        manifest = with_column(manifest, "split", [None] * manifest.num_rows)
    counts = apply_plan(manifest, steps, out, several=several, plan=plan)
    if added := _new_classes(images, steps, several=several):
        watcher.warn(
            f"The plan introduces new classes: {list_names(added)}. If they are misspelt, correct "
            "the plan and apply it again."
        )
    return CheckResult(describe_data(data, images), counts, out)


def _new_classes(images: Images, steps: Sequence[Step], *, several: bool) -> list[str]:
    """Return the labels of a plan that the data does not have."""
    labels = [step.new_label.strip() for step in steps if step.action == "relabel"]
    names = {
        name.strip() for label in labels for name in (label.split("|") if several else [label])
    }
    return sorted(names - {*images.classes, ""})
