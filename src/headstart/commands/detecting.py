"""Train a detector: what `train` does if the data has boxes."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from headstart.arrays import Anything
from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.catalogue import architecture_of
from headstart.backbones.weights import check_reachable
from headstart.boxes import Boxes, Detections
from headstart.commands.clock import Clock
from headstart.commands.combinations import DETECTION, RUN, reject_ineffective_options
from headstart.data.boxes.findings import find_in_boxes
from headstart.data.boxes.labels import boxes_of
from headstart.data.images import Images, ImageSet
from headstart.detection.fitting import FittedDetector, fit_detector
from headstart.engines.devices import choose_device
from headstart.errors import BackboneError, DataError
from headstart.evaluation.boxes.measure import evaluate_boxes
from headstart.evaluation.boxes.thresholds import parse_purpose
from headstart.evaluation.boxes.worst_images import worst_images
from headstart.options import TrainOptions
from headstart.predictor.detector import Detector
from headstart.predictor.predictor import FailedPrediction
from headstart.record import BoxesEvaluation, Counts, Data, Leak, Record, Rejection
from headstart.report.box_findings import describe_boxes
from headstart.report.box_pictures import SIDE
from headstart.report.boxes import BoxesPicture, boxes_part
from headstart.report.thumbnails import thumbnail
from headstart.runs.marking import marked_unfinished
from headstart.runs.run import write_run
from headstart.runs.unfinished import Request, list_unfinished
from headstart.task import ReportPart
from headstart.tuning.trainings import delete_finished, is_finished
from headstart.watching import Watcher

IMAGE_SIZE = 320
"""The side of the input if none is given; boxes need more pixels than labels."""

_SHOWN = 12


class FoundBoxes:
    """The detections in a set of labelled images.

    Attributes:
        truths: The true boxes of each image.
        detections: The detections in each image, with those below the thresholds.
        sizes: Width and height of each image as it is seen.
    """

    def __init__(self, detector: Detector, images: ImageSet) -> None:
        labels = images.table["label"].to_pylist()
        self.truths: list[Boxes] = [boxes_of(text, detector.classes) for text in labels]
        self.detections: list[Detections] = []
        self.sizes: list[tuple[int, int]] = []
        for prediction in detector.predict_each(images.paths):
            if isinstance(prediction, FailedPrediction):
                raise DataError(f"'{prediction.image}' cannot be read any more: {prediction.error}")
            self.detections.append(prediction.detections)
            self.sizes.append(prediction.size)

    def table(self, names: Sequence[str]) -> pa.Table:
        """Return a row per image: its name, the true and the detected boxes as JSON."""
        return pa.table(
            {
                "image": pa.array(names, pa.string()),
                "truth": [_as_json(boxes.corners, boxes.classes) for boxes in self.truths],
                "predicted": [
                    _as_json(found.corners, found.classes, found.scores)
                    for found in self.detections
                ],
            }
        )


def check_detection(options: TrainOptions) -> None:
    """Reject options without an effect on boxes, and unknown names.

    Raises:
        OptionError: An option has no effect, or is unknown.
    """
    reject_ineffective_options(options, RUN)
    reject_ineffective_options(options, DETECTION)
    choose_device(options.device)
    parse_purpose(options.operating_point)
    check_reachable(architecture_of(options.backbone), options.weights)


def load_detection_backbone(options: TrainOptions) -> Backbone:
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
    with clock.step("load"), watcher.stage("Loading the backbone"):
        backbone = load_detection_backbone(options)
    checkpoints = request.checkpoints(images.name)
    with clock.step("head"), marked_unfinished(run, request, checkpoints):
        fitted = fit_detector(
            *(backbone, images.train, images.val, options),
            task=images.task,
            checkpoints=checkpoints,
            watcher=watcher,
        )
    unfinished = None if is_finished(fitted.checkpoints) else request
    detector = fitted.detector
    with clock.step("evaluate"), watcher.stage("Evaluating"):
        validation, shown = evaluate_part(detector, images.val)
        test, tested = evaluate_part(detector, images.test)
    seconds = {"extract": 0.0, "tune": 0.0} | clock.total()
    record = _record_of(data, options, images, fitted, test, validation, seconds)
    detector = replace(detector, record=record)
    with clock.step("write"), watcher.stage("Writing the report"):
        reported, found = (images.test, tested) if test else (images.val, shown)
        part = None
        if (evaluation := test or validation) and found:
            trained_on = record.data.trained_on
            part = report_of(detector, reported, found, images.all, evaluation, trained_on)
        write_run(
            *(run, detector.to_bundle(), images.manifest, record, part, ()),
            predictions=tested.table(images.test.names) if tested else None,
            unfinished=unfinished,
        )
        delete_finished(fitted.checkpoints)
        list_unfinished(checkpoints)
    return detector, record


def evaluate_part(
    detector: Detector, images: ImageSet
) -> tuple[BoxesEvaluation | None, FoundBoxes | None]:
    """Evaluate a detector on labelled images; None without any."""
    if not len(images):
        return None, None
    found = FoundBoxes(detector, images)
    evaluation = evaluate_boxes(
        *(found.truths, found.detections, found.sizes, detector.classes),
        thresholds=detector.thresholds,
        groups=images.given_groups,
    )
    return evaluation, found


def report_of(
    detector: Detector,
    images: ImageSet,
    found: FoundBoxes,
    every: ImageSet,
    evaluation: BoxesEvaluation,
    trained_on: Sequence[int],
) -> ReportPart:
    """Return the part of the report that shows an evaluation.

    Args:
        detector: The detector.
        images: The evaluated images.
        found: The detections in them.
        every: All images of the data, whose boxes are described.
        evaluation: The metrics.
        trained_on: The number of training boxes of each class.
    """
    thresholds = [result.threshold for result in evaluation.per_class]
    rows = worst_images(found.truths, found.detections, np.array(thresholds), limit=_SHOWN)
    names, paths = images.names, images.paths
    pictures = [
        BoxesPicture(
            names[row],
            thumbnail(paths[row], detector.preprocess.contract, side=2 * SIDE),
            found.truths[row],
            found.detections[row],
            size=found.sizes[row],
        )
        for row in rows
    ]
    return boxes_part(
        evaluation,
        pictures,
        trained_on=trained_on,
        findings=describe_boxes(find_in_boxes(every.table)),
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
    detector = fitted.detector
    counts = Counts(len(images.train), len(images.val), len(images.test), len(images.rejected))
    trained_on = _boxes_by_class(images.train, detector.classes)
    return Record(
        headstart=version("headstart"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=images.task.name,
        data=Data(
            images.name, str(Path(data)), images.classes, counts, images.understood, trained_on
        ),
        backbone=detector.backbone.name,
        weights=detector.backbone.origin,
        features="maps",
        head="boxes",
        temperature=1.0,
        tuned=None,
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
        detection=fitted.course,
    )


def _as_json(*columns: Anything) -> str:
    """Return the corners, class and probability of each box as JSON."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return json.dumps([[*row[0], *row[1:]] for row in rows])


def _boxes_by_class(images: ImageSet, classes: Sequence[str]) -> tuple[int, ...]:
    counts = [0] * len(classes)
    for text in images.table["label"].to_pylist():
        for number in boxes_of(text, classes).classes.tolist():
            counts[number] += 1
    return tuple(counts)
