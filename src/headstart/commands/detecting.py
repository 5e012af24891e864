"""Train a detector: what `train` does if the data has boxes."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.weights import check_reachable
from headstart.commands.clock import Clock
from headstart.commands.combinations import DETECTION, RUN, reject_ineffective_options
from headstart.commands.describing import few_images
from headstart.commands.found_boxes import FoundBoxes, evaluate_part, report_of
from headstart.data.boxes.labels import boxes_of
from headstart.data.images import Images, ImageSet
from headstart.detection.fitting import FittedDetector, fit_detector, part_of
from headstart.detection.limits import limits_of
from headstart.detection.maps import stages_below
from headstart.detection.stored import store_maps
from headstart.engines.devices import choose_device
from headstart.errors import BackboneError
from headstart.evaluation.boxes.likely_missing import LikelyMissing, find_likely_missing
from headstart.evaluation.boxes.thresholds import parse_purpose
from headstart.options import TrainOptions
from headstart.predictor.detector import Detector
from headstart.record import (
    BoxesEvaluation,
    Counts,
    Data,
    DetectionCourse,
    Leak,
    MissingBox,
    Record,
    Rejection,
)
from headstart.record.data_check import describe_few
from headstart.runs.marking import marked_unfinished
from headstart.runs.run import write_run
from headstart.runs.unfinished import Request, list_unfinished
from headstart.tuning.trainings import delete_finished, is_finished
from headstart.urls import url_of
from headstart.watching import Watcher

IMAGE_SIZE = 320
"""The side of the input if none is given; boxes need more pixels than labels."""


def check_detection(options: TrainOptions) -> None:
    """Reject options without an effect on boxes, and unknown names.

    Raises:
        OptionError: An option has no effect, or is unknown.
    """
    reject_ineffective_options(options, DETECTION)
    reject_ineffective_options(options, RUN)
    choose_device(options.device)
    parse_purpose(options.operating_point)
    check_reachable(options.backbone, options.weights)


def load_detection_backbone(options: TrainOptions, watcher: Watcher) -> Backbone:
    """Load the backbone for images that are padded to a square.

    Raises:
        BackboneError: The architecture does not accept the image size that was asked for.
    """

    def load(size: int | None) -> Backbone:
        return load_backbone(
            options.backbone,
            weights=options.weights,
            image_size=size,
            fit="pad",
            seed=options.seed,
            note=watcher.note,
        )

    if options.image_size is not None:
        return load(options.image_size)
    try:
        return load(IMAGE_SIZE)
    except BackboneError:  # It accepts few sizes, of which its own is one.
        return load(None)


def fit_and_measure(
    data: str | os.PathLike[str],
    run: Path,
    request: Request,
    images: Images,
    options: TrainOptions,
    watcher: Watcher,
    clock: Clock,
) -> tuple[Detector, Record]:
    """Fit a detector, evaluate it and write its run.

    Args:
        data: What the user passed.
        run: The folder of the run, which is reserved.
        request: What the training was asked to do.
        images: The opened images, whose labels are boxes.
        options: What to do.
        watcher: Follows the stages.
        clock: Measures the steps.
    """
    images = _warned(images, _too_few(images), watcher)
    with clock.step("load"), watcher.stage("Loading the backbone"):
        backbone = load_detection_backbone(options, watcher)
        if (tuned := part_of(options)) != "none":
            stages_below(backbone, tuned)  # An error now, not after the head has been trained.
    with clock.step("extract"):
        stored = store_maps(backbone, images.train, images.val, options, watcher)
    checkpoints = request.checkpoints(images.name)
    with marked_unfinished(run, request, checkpoints):
        with clock.step("head"):
            fitted = fit_detector(
                *(stored, options),
                task=images.task,
                checkpoints=checkpoints,
                watcher=watcher,
            )
        detector = fitted.detector
        with clock.step("limits"):
            limits = limits_of(images.train, detector.extractor, seed=options.seed, watcher=watcher)
        detector = replace(detector, limits=limits)
    images = _warned(images, too_short(fitted.course, fitted.usual_epochs), watcher)
    unfinished = None if is_finished(fitted.checkpoints) else request
    with clock.step("evaluate"), watcher.stage("Evaluating"):
        validation, shown = evaluate_part(detector, images.val)
        test, tested = evaluate_part(detector, images.test)
    seconds = {"tune": 0.0} | clock.total()
    record = _record_of(data, options, images, fitted, test, validation, seconds)
    record = replace(record, missing_boxes=tuple(_missing_boxes(fitted, images, tested)))
    detector = replace(detector, record=record)
    with clock.step("write"), watcher.stage("Writing the report"):
        reported, found = (images.test, tested) if test else (images.val, shown)
        part = None
        if (evaluation := test or validation) and found:
            trained_on = record.data.trained_on
            part = report_of(
                *(detector, reported, found, images.all, evaluation, trained_on),
                missing=record.missing_boxes,
            )
        write_run(
            *(run, detector.to_bundle(), images.manifest, record, part, ()),
            predictions=tested.table(images.test.names) if tested else None,
            unfinished=unfinished,
        )
        delete_finished(fitted.checkpoints)
        list_unfinished(checkpoints)
    return detector, record


def _warned(images: Images, warning: str, watcher: Watcher) -> Images:
    """Return images with one more warning, and pass it on; the same ones if it is empty."""
    if not warning:
        return images
    watcher.warn(warning)
    return replace(images, warnings=(*images.warnings, warning))


def _too_few(images: Images) -> str:
    """Return a sentence about classes with few images; "" without any."""
    few = tuple(few_images(images))
    return f"{describe_few(few)} Add images with boxes of them." if few else ""


def too_short(course: DetectionCourse, usual: int) -> str:
    """Return a sentence if a longer training would probably be better; "" if that is not known.

    Args:
        course: The training.
        usual: The number of epochs that it has by default.
    """
    epochs, best = len(course.history), course.best_map
    if epochs >= usual or (course.held_out and course.best_epoch < epochs):
        return ""
    trained = f"{epochs:,} epoch{'' if epochs == 1 else 's'}"
    last = f", and the last was the best (mAP50-95 {best:.3f})" if best is not None else ""
    return (
        f"The detector was trained for {trained}{last}. By default, there are {usual:,}, so more "
        "may help."
    )


def _record_of(
    data: str | os.PathLike[str],
    options: TrainOptions,
    images: Images,
    fitted: FittedDetector,
    test: BoxesEvaluation | None,
    validation: BoxesEvaluation | None,
    seconds: dict[str, float],
) -> Record:
    detector, course = fitted.detector, fitted.course
    counts = Counts(len(images.train), len(images.val), len(images.test), len(images.rejected))
    trained_on = _boxes_by_class(images.train, detector.classes)
    return Record(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=images.task.name,
        data=Data(
            images.name,
            url_of(data) or str(Path(data)),
            images.classes,
            counts,
            images.understood,
            trained_on,
        ),
        backbone=detector.backbone.name,
        weights=detector.backbone.origin,
        features="maps",
        head="boxes",
        temperature=1.0,
        tuned=course.tuning.part if course.tuning and course.tuning.kept else None,
        tuning=None,
        engine="openvino" if detector.device == "cpu" else "torch",
        precision=detector.precision,
        precision_trial=None,
        image_size=detector.preprocess.size,
        seed=options.seed,
        options=options.model_dump(mode="json"),
        choice=(),
        test=test,
        rejected=tuple(Rejection(*rejection) for rejection in images.rejected),
        warnings=images.warnings,
        leaks=tuple(map(Leak, images.leaks)),
        seconds=seconds,
        validation=validation,
        val_used_for=("choice", "calibration") if validation else (),
        detection=course,
    )


def _missing_boxes(
    fitted: FittedDetector, images: Images, tested: FoundBoxes | None
) -> list[MissingBox]:
    """Return the boxes that are probably missing in the labels, the most probable first."""
    part: Literal["train", "val"] = "val" if fitted.course.chosen_on == "val" else "train"
    held_out = images.val if part == "val" else images.train
    names, classes = held_out.names, fitted.detector.classes
    found = [_missing_box(one, names[one.row], part, classes) for one in fitted.missing]
    if tested:
        missing = find_likely_missing(tested.truths, tested.detections, fitted.confident)
        found += [_missing_box(one, images.test.names[one.row], "test", classes) for one in missing]
    return sorted(found, key=lambda one: -one.probability)


def _missing_box(
    one: LikelyMissing, image: str, part: Literal["train", "val", "test"], classes: Sequence[str]
) -> MissingBox:
    return MissingBox(image, part, classes[one.category], one.score, one.box)


def _boxes_by_class(images: ImageSet, classes: Sequence[str]) -> tuple[int, ...]:
    counts = [0] * len(classes)
    for text in images.table["label"].to_pylist():
        for number in boxes_of(text, classes).classes.tolist():
            counts[number] += 1
    return tuple(counts)
